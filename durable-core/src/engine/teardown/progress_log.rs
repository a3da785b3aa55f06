//! The log and the report of each phase.

use std::sync::Arc;

use tokio::time::Instant;

use crate::engine::report::PhaseReport;
use crate::engine::teardown::Teardown;
use crate::engine::teardown::phase_runner::PhaseObserver;
use crate::engine::teardown::phase_table::PhaseSpec;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::types::error::Error;
use crate::types::sync::lock;

/// How many workflows one log line names.
const MAX_NAMED: usize = 10;

impl PhaseObserver for Teardown {
    fn still_waiting(&self, spec: &PhaseSpec, deadline: Instant) {
        let running = self.runtime.running.all();
        let remaining = deadline.saturating_duration_since(Instant::now());
        tracing::info!(target: "durable::shutdown", phase = spec.name, workflows = running.len(), ?remaining, "waiting for: {}", describe(&running));
    }

    fn ended(&self, spec: &PhaseSpec, report: PhaseReport, panic: Option<Error>) {
        let PhaseReport { elapsed, timed_out, .. } = report;
        let phase = spec.name;
        if let Some(panic) = panic {
            tracing::error!(target: "durable::shutdown", phase, %panic, "a phase of the shutdown panicked; the shutdown continues with the next one");
            self.runtime.note_panic(format!("the phase {phase:?} of the shutdown {panic}"));
        }
        if timed_out {
            tracing::info!(target: "durable::shutdown", phase, ?elapsed, timed_out, "phase ended: no time was left to wait for {}", spec.waits_for);
        } else {
            tracing::info!(target: "durable::shutdown", phase, ?elapsed, timed_out, "phase ended");
        }
        lock(&self.phases).push(report);
    }
}

/// Names workflows and what each is doing: all of them, or the first ten.
pub(in crate::engine) fn describe(running: &[Arc<RunningWorkflow>]) -> String {
    let one = |run: &Arc<RunningWorkflow>| {
        let activity = run.execution().and_then(|it| it.activity());
        format!("{} {:?}: {}", run.workflow.name, &*run.id, activity.as_deref().unwrap_or("running its own code"))
    };
    let named: Vec<String> = running.iter().take(MAX_NAMED).map(one).collect();
    match running.len().saturating_sub(MAX_NAMED) {
        0 if named.is_empty() => "no workflow".to_owned(),
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}
