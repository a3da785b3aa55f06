//! How a task of the engine waits until there is work for it.

use std::time::Duration;

use tokio::sync::Notify;

use crate::types::sync::atomic::{AtomicBool, Ordering};

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
        tokio::time::timeout(timeout, self.woken()).await.is_ok()
    }

    /// Waits for a wake-up.
    pub(crate) async fn woken(&self) {
        let _waiting = WaitingGuard::new(self);
        self.notify.notified().await;
        self.pending.store(false, Ordering::SeqCst);
    }

    /// Whether the task waits and has no pending wake-up.
    #[cfg(feature = "testing")]
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) && !self.pending.load(Ordering::SeqCst)
    }
}

/// The task waits while this lives.
struct WaitingGuard<'a>(&'a Wakeup);

impl<'a> WaitingGuard<'a> {
    fn new(wakeup: &'a Wakeup) -> Self {
        wakeup.waiting.store(true, Ordering::SeqCst);
        Self(wakeup)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::SeqCst);
    }
}
