//! How far the engine is on its way down. It only ever goes one way.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// How far the engine is on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EnginePhase {
    /// Everything works.
    Running,
    /// Takes no work from queues, schedules and other executors; what runs goes on.
    Quiesced,
    /// Starts nothing new from outside; what runs may come to its end.
    Draining,
    /// No further durable operation begins; a step that runs may come to its end and be recorded.
    Aborting,
    /// What still runs is dropped, and what is left is handed over.
    Stopping,
    /// Everything is handed over; the engine's own tasks end, and the connections are closed.
    Closing,
    /// Everything is closed.
    Closed,
}

/// The level, and the way to wait for it.
#[derive(Debug)]
pub(crate) struct ShutdownSignal {
    phase: watch::Sender<EnginePhase>,
    /// Whether the level is `Aborting` or higher: every durable operation asks that, so it is asked
    /// without a lock.
    aborting: AtomicBool,
}

impl ShutdownSignal {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(EnginePhase::Running), aborting: AtomicBool::new(false) }
    }

    pub(crate) fn phase(&self) -> EnginePhase {
        *self.phase.borrow()
    }

    /// Whether no durable operation may begin any more.
    pub(crate) fn is_aborting(&self) -> bool {
        self.aborting.load(Ordering::Acquire)
    }

    /// Raises the level. A lower one than the present is ignored, so that callers need not look first.
    pub(crate) fn advance_to(&self, to: EnginePhase) {
        if to >= EnginePhase::Aborting {
            self.aborting.store(true, Ordering::Release);
        }
        self.phase.send_if_modified(|level| {
            let higher = to > *level;
            if higher {
                *level = to;
            }
            higher
        });
    }

    /// Returns once the level is `at` or higher.
    pub(crate) async fn wait_for(&self, at: EnginePhase) {
        let mut watcher = self.phase.subscribe();
        // The guard is dropped here: holding it across an await would make the caller's future
        // not Send. The sender lives as long as `self`, so the wait cannot fail.
        let _ = watcher.wait_for(|level| *level >= at).await.map(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_level_never_goes_back_up() {
        let gate = ShutdownSignal::new();
        gate.advance_to(EnginePhase::Aborting);
        gate.advance_to(EnginePhase::Draining);
        assert_eq!(gate.phase(), EnginePhase::Aborting);
        gate.wait_for(EnginePhase::Quiesced).await;
    }
}
