//! Carries the retention out at intervals, in one process of the fleet.

use std::sync::Arc;

use crate::operations::retention_run::{RetentionProgress, RetentionRun};
use crate::runtime::Runtime;
use crate::types::retention::Retention;
use crate::wait::shutdown_phase::EnginePhase;

/// From this number of workflows on a launch without a retention says so.
const LARGE: u32 = 100_000;

/// The retention's task. A batch under way when the shutdown begins is finished.
pub(super) async fn run(runtime: Arc<Runtime>, policy: Retention) {
    let mut progress = RetentionProgress::default();
    loop {
        // Jitter, so that the processes of a fleet do not ask together.
        let random = f64::from(uuid::Uuid::new_v4().as_fields().1) / f64::from(u16::MAX);
        tokio::select! {
            () = tokio::time::sleep(policy.interval().mul_f64(0.8 + 0.4 * random)) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
        }
        let run = RetentionRun::new(&runtime, &policy, false);
        tokio::select! {
            done = run.in_turn(&mut progress) => match done {
                Ok(Some(report)) if report.total + report.executors > 0 => {
                    tracing::info!(target: "durable", workflows = report.total, executors = report.executors, "deleted workflows that have been kept for their time");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(target: "durable", %error, "deleting old workflows failed; trying again later"),
            },
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
        }
    }
}

/// Logs that nothing is ever deleted, if there is much already.
pub(super) async fn warn_if_large(runtime: &Runtime) {
    match runtime.store.estimate_workflows(LARGE).await {
        Ok(workflows) if workflows >= u64::from(LARGE) => {
            tracing::warn!(target: "durable", workflows = LARGE, "there are at least so many workflows, and they are kept forever; delete old ones with `.retention(Retention::new().keep(Retention::days(30)))` in the builder, or say that it is meant with `.retention(Retention::new())`");
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(target: "durable", %error, "the number of workflows could not be estimated"),
    }
}
