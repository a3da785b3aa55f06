//! Telling long steps that they shall stop.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether an execution's steps shall stop.
#[derive(Debug, Default)]
pub(crate) struct Cancelling {
    cancelled: AtomicBool,
    told: Notify,
}

impl Cancelling {
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        loop {
            // Registered before the look: a word that comes between the two is heard.
            let told = self.told.notified();
            if self.is_cancelled() {
                return;
            }
            told.await;
        }
    }
}
