//! Finds killed processes of this host by their lock files, without waiting for their leases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::executor_identity::ExecutorIdentity;
use crate::engine::recovery::RecoveryRequests;
use crate::runtime::Runtime;
use crate::wait::shutdown_phase::EnginePhase;

/// The pause between two looks at the lock files.
const INTERVAL: Duration = Duration::from_millis(500);
/// Where a look takes long, because the folder is large or slow, the pause is so many times longer: the
/// watch uses at most one percent of a processor.
const PAUSE_PER_LOOK: u32 = 100;

/// The task that looks at the lock files. It reads one folder, and asks the database only if it finds a file
/// that no process holds.
pub(super) async fn run(runtime: Arc<Runtime>, identity: Arc<ExecutorIdentity>, recovery: Arc<RecoveryRequests>) {
    let mut pause = INTERVAL;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
        }
        let started = Instant::now();
        let looking = Arc::clone(&identity);
        let look = tokio::task::spawn_blocking(move || looking.lock_folder().free());
        let free = tokio::select! {
            free = look => free.unwrap_or_default(),
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
        };
        pause = INTERVAL.max(started.elapsed() * PAUSE_PER_LOOK);
        if free.is_empty() {
            continue;
        }
        // Without an answer the next look finds the same files.
        let Ok(executors) = runtime.store.executors().await else { continue };
        for key in free.iter().filter(|key| executors.iter().all(|it| it.key != **key)) {
            identity.lock_folder().remove_free(*key); // its executor was taken over, or has ended
        }
        let dead: Vec<_> = executors.into_iter().filter(|it| free.contains(&it.key)).collect();
        if !dead.is_empty() {
            recovery.request(dead);
        }
    }
}
