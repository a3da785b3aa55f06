//! The task that notifies other processes of what this one has written.

use std::time::Duration;

use crate::runtime::Runtime;
use crate::wait::shutdown_phase::EnginePhase;

/// The shortest time between two notifications: what is written meanwhile is announced with the next one.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// The notifier's task. Committing a notification takes a lock over the whole server. So notifications are
/// not part of the commits that they announce, and one covers many of them.
pub(super) async fn run(runtime: &Runtime) {
    loop {
        let closing = tokio::select! {
            () = runtime.notifications.wakeup.notified() => false,
            () = runtime.shutdown.wait_for(EnginePhase::Closing) => true,
        };
        let hints = runtime.notifications.take();
        // A process that misses a notification finds the change with its next poll.
        if !hints.is_empty()
            && let Err(error) = runtime.store.notify(&hints).await
        {
            tracing::debug!(target: "durable", %error, "cannot notify other processes");
        }
        if closing {
            return;
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}
