//! What keeps a test with virtual time from coming to rest, and what each unfinished workflow waits for, as text.

use std::collections::HashSet;
use std::fmt::Write;

use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::types::filter::Filter;
use crate::types::keys::WorkflowKey;
use crate::types::listing::WorkflowInfo;
use crate::types::status::Status;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;

/// How many workflows a message lists.
const MAX_LISTED: usize = 50;

/// A step that is running: its workflow, and a number.
pub(super) type StepKey = (WorkflowKey, u64);

/// What goes on without time passing.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    /// The steps and transactions that run, each with the time at which it times out by itself.
    pub(super) steps: Vec<(StepKey, Option<Timestamp>)>,
    /// Something of the engine itself.
    pub(super) engine: Option<&'static str>,
}

impl Unrest {
    pub(super) fn is_none(&self) -> bool {
        self.steps.is_empty() && self.engine.is_none()
    }

    /// What goes on now, without the steps that are not waited for. The state of the engine changes only while one of its
    /// tasks is polled, so what is read while none is holds for one moment.
    pub(super) fn of(runtime: &Runtime, ignored: &HashSet<StepKey>) -> Self {
        let polls = runtime.rest.polls();
        let mut unrest = Self { steps: Vec::new(), engine: engine_unrest(runtime) };
        for run in runtime.running.all() {
            let activities = run.execution().map(|it| it.activities()).unwrap_or_default();
            let running = activities.iter().filter(|it| !it.is_waiting);
            let steps = running.map(|it| ((run.key, it.number), it.times_out_at));
            unrest.steps.extend(steps.filter(|(key, _)| !ignored.contains(key)));
        }
        if unrest.engine.is_none() && (runtime.rest.is_busy() || runtime.rest.polls() != polls) {
            unrest.engine = Some("a workflow that computes, or a task of the engine");
        }
        unrest
    }
}

fn engine_unrest(runtime: &Runtime) -> Option<&'static str> {
    let takes_work = runtime.shutdown.phase() < EnginePhase::Quiesced;
    Some(match () {
        () if runtime.rest.is_busy() => "a workflow that computes, or a task of the engine",
        () if runtime.writer.is_busy() || runtime.writer.has_unsettled() => "a write to the database",
        () if runtime.store.calls_in_flight() > 0 => "a statement in the database",
        () if !runtime.notifications.is_empty() => "a notification of other processes",
        () if !runtime.waiters.wakeup.is_idle() => "a poll of the database",
        () if takes_work && !runtime.queues.wakeup.is_idle() => "a claim from a queue",
        () if takes_work && !runtime.schedules.is_idle() => "a tick of a schedule",
        () if takes_work && !runtime.released.is_idle() => "a takeover of workflows",
        () => return None,
    })
}

/// Every unfinished workflow and what it waits for, a line each.
pub(super) async fn unfinished(runtime: &Runtime) -> String {
    let mut found = Vec::new();
    for status in [Status::Pending, Status::Enqueued, Status::Delayed, Status::Parked] {
        match runtime.store.list(&Filter::new().status(status)).await {
            Ok(page) => found.extend(page.items),
            Err(error) => return format!("  the unfinished workflows cannot be listed: {error}"),
        }
    }
    if found.is_empty() {
        return "  no workflow is unfinished".to_owned();
    }
    let mut text = String::new();
    for it in found.iter().take(MAX_LISTED) {
        let run = runtime.running.get(&it.id);
        let _ = writeln!(text, "  {} {:?}: {}", it.name, it.id, waits_for(runtime, it, run.as_deref())); // a text takes everything
    }
    if found.len() > MAX_LISTED {
        let _ = writeln!(text, "  and {} more", found.len() - MAX_LISTED); // likewise
    }
    text.trim_end().to_owned()
}

fn waits_for(runtime: &Runtime, workflow: &WorkflowInfo, run: Option<&RunningWorkflow>) -> String {
    let queue = workflow.queue.as_deref().unwrap_or_default();
    match workflow.status {
        Status::Enqueued => format!("waiting on the queue {queue:?} for its start"),
        Status::Delayed => {
            let until = workflow.due_at.map(|it| format!(" until {it}")).unwrap_or_default();
            format!("delayed{until} on the queue {queue:?}")
        }
        Status::Parked => format!("parked: {}", workflow.reason.as_deref().unwrap_or("without a reason")),
        _ => {
            let Some(run) = run else {
                let is_known = runtime.registry.get(&workflow.name).is_some();
                let what =
                    if is_known { "not running in this process" } else { "this program has no workflow of this name" };
                return what.to_owned();
            };
            let Some(execution) = run.execution() else {
                let permits = runtime.permits.as_ref().map_or("", |_| ", or for one of `max_concurrent_workflows`");
                return format!("about to begin{permits}");
            };
            let texts: Vec<String> = execution.activities().into_iter().map(|it| it.text).collect();
            if texts.is_empty() { "in code of its own, and not in a durable call".to_owned() } else { texts.join("; ") }
        }
    }
}
