//! Whether anything is left to do.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::store::WorkQuery;
use crate::types::backoff::Backoff;
use crate::wait::shutdown_phase::EnginePhase;

/// The delays between two looks at the database.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(20), Duration::from_secs(1));

/// Returns once nothing is left that this process could do.
pub(super) async fn idle(runtime: &Arc<Runtime>) {
    let mut looks = 0;
    loop {
        runtime.running.wait_until_empty().await;
        // Who takes no new work never comes to what waits in a queue, or was let go of.
        if runtime.shutdown.phase() >= EnginePhase::Quiesced && runtime.running.is_empty() {
            return;
        }
        let asked = WorkQuery {
            executor: runtime.fence().executor,
            queues: runtime.queues.names(),
            known: runtime.registry.known(),
        };
        // What was claimed a moment ago and has no body yet is PENDING, and this executor's own.
        match runtime.store.work_left(&asked).await {
            Ok(found) if !found.own && !found.released && !found.queued && runtime.running.is_empty() => return,
            Ok(found) if found.released => runtime.released.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::debug!(target: "durable", %error, "looking for work that is left failed"),
        }
        looks += 1;
        tokio::select! {
            () = tokio::time::sleep(DELAYS.delay(looks)) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => {}
        }
    }
}
