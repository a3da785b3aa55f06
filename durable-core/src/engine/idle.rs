//! Whether anything is left to do.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::runtime::Runtime;

/// The pauses between two looks, from the first to the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// Returns once nothing is left that this process could do.
pub(super) async fn idle(runtime: &Arc<Runtime>) {
    let mut pause = PAUSES[0];
    loop {
        runtime.live.idle().await;
        let waiting = runtime.store.queues().await.map(|all| all.iter().any(|it| it.enqueued + it.delayed > 0));
        match waiting {
            Ok(false) if runtime.live.is_empty() => return,
            _ => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES[1]);
            }
        }
    }
}
