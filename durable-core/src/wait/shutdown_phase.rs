//! The phase of the engine's shutdown, and how tasks wait for it. A phase never goes back.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::types::sync::atomic::{AtomicBool, Ordering};
use crate::types::time::Timestamp;

/// How far the shutdown of the engine has advanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EnginePhase {
    /// Normal operation: no shutdown has been requested.
    Running,
    /// No work is taken from queues, schedules and other executors; running workflows continue.
    Quiesced,
    /// No new top-level workflows start; running workflows may finish.
    Draining,
    /// No further durable operation starts; a running step may finish, and is recorded.
    Aborting,
    /// Workflows that still run are dropped, and unfinished ones are handed over.
    Stopping,
    /// The hand-over is done; the engine's own tasks end, and the connections are closed.
    Closing,
    /// All connections are closed.
    Closed,
}

/// The current phase, and the way to wait for a later one.
#[derive(Debug)]
pub(crate) struct ShutdownSignal {
    phase: watch::Sender<EnginePhase>,
    /// Whether the phase is `Aborting` or later. Every durable operation checks this, so the check
    /// takes no lock.
    aborting: AtomicBool,
    /// Until when callers outside of workflows wait for what can end here, and for nothing else; `None` in
    /// normal operation.
    callers_released: watch::Sender<Option<Timestamp>>,
}

impl ShutdownSignal {
    pub(crate) fn new() -> Self {
        Self {
            phase: watch::Sender::new(EnginePhase::Running),
            aborting: AtomicBool::new(false),
            callers_released: watch::Sender::new(None),
        }
    }

    pub(crate) fn phase(&self) -> EnginePhase {
        *self.phase.borrow()
    }

    /// Returns `true` if no durable operation may start any more.
    pub(crate) fn is_aborting(&self) -> bool {
        self.aborting.load(Ordering::Acquire)
    }

    /// Advances to a phase. An earlier phase than the current one is ignored, so callers need not check.
    pub(crate) fn advance_to(&self, next: EnginePhase) {
        if next >= EnginePhase::Aborting {
            self.aborting.store(true, Ordering::Release);
        }
        self.phase.send_if_modified(|current| {
            let advances = next > *current;
            if advances {
                *current = next;
            }
            advances
        });
    }

    /// From now on callers outside of workflows wait only for what can end in this process until `deadline`.
    pub(crate) fn release_callers(&self, deadline: Timestamp) {
        self.callers_released.send_replace(Some(deadline));
    }

    /// Returns once [`release_callers`](Self::release_callers) was called, with its deadline.
    pub(crate) async fn callers_released(&self) -> Timestamp {
        let mut watcher = self.callers_released.subscribe();
        loop {
            if let Some(deadline) = *watcher.borrow_and_update() {
                return deadline;
            }
            let _ = watcher.changed().await; // the sender lives as long as `self`
        }
    }

    /// Returns once the phase is `phase` or later.
    pub(crate) async fn wait_for(&self, phase: EnginePhase) {
        let mut watcher = self.phase.subscribe();
        // The guard is dropped here: holding it across an await would make the caller's future
        // not Send. The sender lives as long as `self`, so the wait cannot fail.
        let _ = watcher.wait_for(|current| *current >= phase).await.map(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_phase_never_goes_back() {
        let shutdown = ShutdownSignal::new();
        shutdown.advance_to(EnginePhase::Aborting);
        shutdown.advance_to(EnginePhase::Draining);
        assert_eq!(shutdown.phase(), EnginePhase::Aborting);
        shutdown.wait_for(EnginePhase::Quiesced).await;
    }
}
