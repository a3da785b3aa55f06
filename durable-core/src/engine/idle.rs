//! Waits until this process has no work left, for `run_until_idle`.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::store::WorkQuery;
use crate::types::backoff::Backoff;
use crate::wait::shutdown_phase::EnginePhase;

/// The delays between two checks of the database.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(20), Duration::from_secs(1));

/// Returns once there is no work left for this process.
pub(super) async fn wait_until_idle(runtime: &Arc<Runtime>, delayed: bool) {
    let mut checks = 0;
    loop {
        runtime.running.wait_until_empty().await;
        // A process that takes no new work does not run what is queued or released.
        if runtime.shutdown.phase() >= EnginePhase::Quiesced && runtime.running.is_empty() {
            return;
        }
        let query = WorkQuery {
            executor: runtime.fence().executor,
            queues: runtime.queues.names(),
            delayed,
            known: runtime.known(),
        };
        // `own`: claimed a moment ago and not yet started here.
        match runtime.store.work_left(&query).await {
            Ok(left) if !left.own && !left.released && !left.queued && runtime.running.is_empty() => return,
            Ok(left) if left.released => runtime.released.wake(),
            Ok(_) => {}
            Err(error) => tracing::debug!(target: "durable", %error, "looking for remaining work failed"),
        }
        checks += 1;
        tokio::select! {
            () = tokio::time::sleep(DELAYS.delay(checks)) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => {}
        }
    }
}
