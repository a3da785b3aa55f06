//! What has become of everything that was running: who was suspended, killed, or is stuck.

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::report::{Killed, MOST_LISTED, ShutdownReport, Stuck, StuckKind, Suspended};
use crate::runtime::blocking_steps::BlockingStep;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::types::keys::WorkflowKey;

/// What has become of everything that was running.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// The steps that were running when the time for them was over. What each was doing has to be asked
    /// before it is dropped.
    overdue: Vec<(WorkflowKey, Killed)>,
    suspended: Vec<Arc<RunningWorkflow>>,
    killed: Vec<Killed>,
    stuck: Vec<(WorkflowKey, Stuck)>,
}

impl Leftovers {
    /// The time is over, and these still run. Who is in no step loses nothing by being dropped, and
    /// is suspended like all others: it waits for a database that does not answer.
    pub(super) fn add_overdue(&mut self, runs: &[Arc<RunningWorkflow>]) {
        self.overdue = runs.iter().filter_map(|run| Some((run.key, killed(run)?))).collect();
    }

    /// After everything was dropped: these still run, these threads are occupied, and these have left.
    ///
    /// By sets of keys: there can be a hundred thousand of each.
    pub(super) fn add_left(
        &mut self,
        runs: &[Arc<RunningWorkflow>],
        threads: &[BlockingStep],
        left: Vec<Arc<RunningWorkflow>>,
    ) {
        let tasks = runs.iter().map(|run| (run.key, stuck(run)));
        let on_tasks: HashSet<WorkflowKey> = runs.iter().map(|run| run.key).collect();
        let threads = threads.iter().filter(|it| !on_tasks.contains(&it.key));
        let threads = threads.map(|it| (it.key, on_thread(it)));
        self.stuck = tasks.chain(threads).collect();
        let stuck: HashSet<WorkflowKey> = self.stuck.iter().map(|(key, _)| *key).collect();
        let overdue: HashSet<WorkflowKey> = self.overdue.iter().map(|(key, _)| *key).collect();
        let killed: HashSet<WorkflowKey> = left.iter().map(|run| run.key).filter(|it| overdue.contains(it)).collect();
        self.suspended = left;
        self.suspended.retain(|run| !overdue.contains(&run.key) && !stuck.contains(&run.key));
        // Who came to its end at the last moment was not killed.
        let dropped = std::mem::take(&mut self.overdue).into_iter();
        self.killed = dropped.filter(|(key, _)| killed.contains(key) && !stuck.contains(key)).map(|it| it.1).collect();
        for it in &self.killed {
            tracing::warn!(target: "durable::shutdown", workflow = it.name, id = it.id, at = it.at, running_for = ?it.running_for, "a running step was dropped; it runs again");
        }
        for (_, it) in &self.stuck {
            tracing::error!(target: "durable::shutdown", workflow = it.name, id = it.id, at = it.at, running_for = ?it.running_for, kind = ?it.kind, "a workflow does not let go of its thread; it is not handed over, and others take it when the lease has run out");
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
        report.suspended = self.suspended.iter().take(MOST_LISTED).map(|run| suspended(run, released)).collect();
        report.killed = self.killed.into_iter().take(MOST_LISTED).collect();
        report.stuck = self.stuck.into_iter().take(MOST_LISTED).map(|(_, it)| it).collect();
    }
}

fn suspended(run: &RunningWorkflow, released: bool) -> Suspended {
    let execution = run.execution();
    Suspended {
        id: run.id.to_string(),
        name: run.workflow.to_owned(),
        at: execution.as_ref().and_then(|it| it.activity()),
        steps_done: execution.map_or(0, |it| it.steps_done()),
        released,
    }
}

/// A run whose step runs and is about to be dropped; `None` for one that is in no step.
fn killed(run: &RunningWorkflow) -> Option<Killed> {
    let execution = run.execution()?;
    let running_for = execution.step_running_for()?;
    Some(Killed { id: run.id.to_string(), name: run.workflow.to_owned(), at: execution.activity(), running_for })
}

fn stuck(run: &RunningWorkflow) -> Stuck {
    let execution = run.execution();
    let running_for = execution.as_ref().and_then(|it| it.step_running_for()).unwrap_or_default();
    // What it did when it was told to stop may be over, and it hangs in a destructor since.
    let at = execution.and_then(|it| it.current_activity());
    Stuck { id: run.id.to_string(), name: run.workflow.to_owned(), kind: StuckKind::Task, at, running_for }
}

fn on_thread(thread: &BlockingStep) -> Stuck {
    Stuck {
        id: thread.id.clone(),
        name: thread.workflow.to_owned(),
        kind: StuckKind::BlockingThread,
        at: Some(format!("step `{}`", thread.step)),
        running_for: thread.since.elapsed(),
    }
}
