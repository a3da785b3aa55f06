//! The task that notifies other processes.

use std::time::Duration;

use crate::runtime::Runtime;
use crate::wait::shutdown_phase::EnginePhase;

/// The least time between two notifications: what happens within it goes with the next one.
const COALESCE: Duration = Duration::from_millis(5);

/// The task that tells. A notification takes a lock over the whole server while it is committed, so
/// it never rides in a commit that anybody waits for, and one goes for many.
pub(super) async fn run(runtime: &Runtime) {
    loop {
        let down = tokio::select! {
            () = runtime.notifications.wakeup.notified() => false,
            () = runtime.shutdown.wait_for(EnginePhase::Closing) => true,
        };
        let hints = runtime.notifications.take();
        // Who does not hear of it asks by the clock, a little later.
        if !hints.is_empty()
            && let Err(error) = runtime.store.notify(&hints).await
        {
            tracing::debug!(target: "durable", %error, "telling other processes failed");
        }
        if down {
            return;
        }
        tokio::time::sleep(COALESCE).await;
    }
}
