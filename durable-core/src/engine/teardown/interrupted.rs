//! The report of a shutdown that could not finish: its task panicked, or was dropped with its runtime.

use std::sync::Arc;

use crate::engine::report::{ShutdownOutcome, ShutdownReport};
use crate::engine::teardown::Teardown;
use crate::engine::teardown::leftovers::Leftovers;
use crate::journal::current_engine;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// Publishes a report when it is dropped, unless there is one already: callers get one however the
/// shutdown's task ends.
pub(super) struct ReportOnDrop(pub(super) Arc<Teardown>);

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        let teardown = &self.0;
        current_engine::mark_closed(&teardown.runtime);
        if teardown.report.borrow().is_none() {
            let report = teardown.interrupted_report();
            tracing::error!(target: "durable::shutdown", %report, "the shutdown was interrupted; the next launch recovers the unfinished workflows");
            teardown.publish(report);
        }
    }
}

impl Teardown {
    fn interrupted_report(&self) -> ShutdownReport {
        let running = &self.runtime.running;
        let mut leftovers = Leftovers::default();
        let mut left = running.all();
        leftovers.add_overdue(&left);
        self.drop_everything();
        self.runtime.shutdown.advance_to(EnginePhase::Closed);
        // Of the workflows that were dropped with the runtime, some are still listed as running.
        let unfinished = running.take_unfinished();
        left.retain(|run| !unfinished.iter().any(|it| it.key == run.key));
        left.extend(unfinished);
        leftovers.add_left(&[], &self.runtime.blocking_steps.all(), left);

        let start = self.start_times();
        let mut report = ShutdownReport::of(ShutdownOutcome::Failed, self.budget.borrow().reason());
        (report.started_at, report.elapsed) = (start.started_at, start.at.elapsed());
        report.phases = std::mem::take(&mut *lock(&self.phases));
        report.completed = running.finished_count() - start.finished;
        report.returned_claims = self.runtime.queues.returned();
        report.released_without_task = self.runtime.running.released_without_task();
        leftovers.write_to(&mut report, false);
        report.released = Err("the shutdown was interrupted".to_owned());
        report.panics = self.take_panics();
        report.background = self.background.report();
        report
    }
}
