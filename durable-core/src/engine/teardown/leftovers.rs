//! The workflows that were still running when their time was up: suspended, killed or stuck.

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::report::{Killed, MAX_LISTED, ShutdownReport, Stuck, StuckKind, Suspended};
use crate::runtime::blocking_steps::BlockingStep;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::types::keys::WorkflowKey;

/// The workflows that were still running when their time was up.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// The steps that were running when their time was up, read before they are dropped.
    overdue: Vec<(WorkflowKey, Killed)>,
    suspended: Vec<Arc<RunningWorkflow>>,
    killed: Vec<Killed>,
    stuck: Vec<(WorkflowKey, Stuck)>,
}

impl Leftovers {
    /// Notes the steps that still run when their time is up. A workflow that is in no step loses nothing
    /// when it is dropped, so it counts as suspended: it waits for a database that does not answer.
    pub(super) fn add_overdue(&mut self, running: &[Arc<RunningWorkflow>]) {
        self.overdue = running.iter().filter_map(|run| Some((run.key, killed(run)?))).collect();
    }

    /// Sorts what is left after everything was dropped: the workflows that still run, the blocking steps
    /// that still run, and the workflows that left without having finished.
    ///
    /// Looked up in sets: there can be a hundred thousand of each.
    pub(super) fn add_left(
        &mut self,
        running: &[Arc<RunningWorkflow>],
        blocking_steps: &[BlockingStep],
        unfinished: Vec<Arc<RunningWorkflow>>,
    ) {
        let stuck_tasks = running.iter().map(|run| (run.key, stuck_task(run)));
        let task_keys: HashSet<WorkflowKey> = running.iter().map(|run| run.key).collect();
        let only_threads = blocking_steps.iter().filter(|it| !task_keys.contains(&it.key));
        let stuck_threads = only_threads.map(|it| (it.key, stuck_thread(it)));
        self.stuck = stuck_tasks.chain(stuck_threads).collect();

        let stuck: HashSet<WorkflowKey> = self.stuck.iter().map(|(key, _)| *key).collect();
        let overdue: HashSet<WorkflowKey> = self.overdue.iter().map(|(key, _)| *key).collect();
        // An overdue workflow that finished in the last moment was not killed.
        let killed: HashSet<WorkflowKey> =
            unfinished.iter().map(|run| run.key).filter(|it| overdue.contains(it)).collect();
        self.suspended = unfinished;
        self.suspended.retain(|run| !overdue.contains(&run.key) && !stuck.contains(&run.key));
        let overdue = std::mem::take(&mut self.overdue).into_iter();
        self.killed = overdue.filter(|(key, _)| killed.contains(key) && !stuck.contains(key)).map(|it| it.1).collect();

        for it in &self.killed {
            tracing::warn!(target: "durable::shutdown", workflow = it.name, workflow_id = it.id, at = it.at, running_for = ?it.running_for, "a running step was dropped; it runs again when the workflow continues");
        }
        for (_, it) in &self.stuck {
            tracing::error!(target: "durable::shutdown", workflow = it.name, workflow_id = it.id, at = it.at, running_for = ?it.running_for, kind = ?it.kind, "a workflow blocks its thread and cannot be dropped; it is not released, and other executors take it over when the lease expires");
        }
    }

    pub(super) fn stuck_keys(&self) -> Vec<WorkflowKey> {
        self.stuck.iter().map(|(key, _)| *key).collect()
    }

    pub(super) fn is_anything_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    pub(super) fn suspended_total(&self) -> usize {
        self.suspended.len()
    }

    pub(super) fn write_to(self, report: &mut ShutdownReport, released: bool) {
        report.suspended_total = self.suspended.len();
        report.killed_total = self.killed.len();
        report.stuck_total = self.stuck.len();
        report.suspended = self.suspended.iter().take(MAX_LISTED).map(|run| suspended(run, released)).collect();
        report.killed = self.killed.into_iter().take(MAX_LISTED).collect();
        report.stuck = self.stuck.into_iter().take(MAX_LISTED).map(|(_, it)| it).collect();
    }
}

fn suspended(run: &RunningWorkflow, released: bool) -> Suspended {
    let execution = run.execution();
    Suspended {
        id: run.id.to_string(),
        name: run.workflow.name.to_owned(),
        at: execution.as_ref().and_then(|it| it.activity()),
        steps_done: execution.map_or(0, |it| it.steps_done()),
        released,
    }
}

/// The running step of a workflow that is about to be dropped; `None` if it is in no step.
fn killed(run: &RunningWorkflow) -> Option<Killed> {
    let execution = run.execution()?;
    let running_for = execution.step_running_for()?;
    Some(Killed { id: run.id.to_string(), name: run.workflow.name.to_owned(), at: execution.activity(), running_for })
}

fn stuck_task(run: &RunningWorkflow) -> Stuck {
    let execution = run.execution();
    let running_for = execution.as_ref().and_then(|it| it.step_running_for()).unwrap_or_default();
    // Its current activity: the aborted operation may be over, and a destructor may block since.
    let at = execution.and_then(|it| it.current_activity());
    Stuck { id: run.id.to_string(), name: run.workflow.name.to_owned(), kind: StuckKind::Task, at, running_for }
}

fn stuck_thread(step: &BlockingStep) -> Stuck {
    Stuck {
        id: step.id.clone(),
        name: step.workflow.to_owned(),
        kind: StuckKind::BlockingThread,
        at: Some(format!("step `{}`", step.step)),
        running_for: step.since.elapsed(),
    }
}
