//! The report of a shutdown that was cut off: its task died, with the runtime or by a panic.

use std::sync::Arc;

use crate::engine::teardown::leftovers::Leftovers;
use crate::engine::teardown::{ShutdownOutcome, ShutdownReport, Teardown};
use crate::journal::current_engine;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// However the task of the shutdown ends, its callers hear of it.
pub(super) struct ReportOnDrop(pub(super) Arc<Teardown>);

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        let teardown = &self.0;
        current_engine::mark_closed(&teardown.runtime);
        if teardown.report.borrow().is_none() {
            let report = teardown.report_of_the_rest();
            tracing::error!(target: "durable::shutdown", %report, "the shutdown was cut off; the next launch recovers what was running");
            teardown.publish(report);
        }
    }
}

impl Teardown {
    fn report_of_the_rest(&self) -> ShutdownReport {
        let live = &self.runtime.running;
        let mut findings = Leftovers::default();
        let mut left = live.all();
        findings.add_overdue(&left);
        self.let_everything_go();
        self.runtime.shutdown.advance_to(EnginePhase::Closed);
        // Of those that have gone with the runtime some are out of the list of the living, and some are not yet.
        let gone = live.take_unfinished();
        left.retain(|run| !gone.iter().any(|it| it.key == run.key));
        left.extend(gone);
        findings.add_left(&[], &self.runtime.blocking_steps.all(), left);

        let since = self.since();
        let mut report = ShutdownReport::of(ShutdownOutcome::Failed, self.budget.borrow().reason());
        (report.started_at, report.elapsed) = (since.started_at, since.at.elapsed());
        report.phases = std::mem::take(&mut *lock(&self.phases));
        report.completed = live.finish() - since.ended;
        report.returned_claims = self.runtime.queues.returned();
        findings.write_to(&mut report, false);
        report.released = Err("the shutdown was cut off before it was known".to_owned());
        report.panics = self.take_panics();
        report.background = self.background.report();
        report
    }
}
