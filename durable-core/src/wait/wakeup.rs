//! How a task of the engine waits until there is work for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Wakes one task, which waits between two rounds of its work.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    notify: Notify,
    /// Whether there is a wake-up that the task has not received yet.
    pending: AtomicBool,
    waiting: AtomicBool,
}

impl Wakeup {
    /// Wakes the task. If it is not waiting now, its next wait returns at once.
    pub(crate) fn wake(&self) {
        self.pending.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Waits for a wake-up, at most as long as `timeout`. Returns whether there was one.
    pub(crate) async fn wait_timeout(&self, timeout: Duration) -> bool {
        self.waiting.store(true, Ordering::SeqCst);
        let woken = tokio::time::timeout(timeout, self.notify.notified()).await.is_ok();
        self.waiting.store(false, Ordering::SeqCst);
        if woken {
            self.pending.store(false, Ordering::SeqCst);
        }
        woken
    }

    /// Whether the task waits and has no pending wake-up, for tests that count statements.
    #[cfg(feature = "testing")]
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) && !self.pending.load(Ordering::SeqCst)
    }
}
