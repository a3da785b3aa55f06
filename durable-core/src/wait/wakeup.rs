//! How a task of the engine rests until it has something to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Wakes one task, which rests in between.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    notify: Notify,
    poked: AtomicBool,
    resting: AtomicBool,
}

impl Wakeup {
    /// Lets the task go on. One that does not rest goes on once more.
    pub(crate) fn wake(&self) {
        self.poked.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Rests, and gives whether it was poked before the time was up.
    pub(crate) async fn wait_timeout(&self, longest: Duration) -> bool {
        self.resting.store(true, Ordering::SeqCst);
        let poked = tokio::time::timeout(longest, self.notify.notified()).await.is_ok();
        self.resting.store(false, Ordering::SeqCst);
        if poked {
            self.poked.store(false, Ordering::SeqCst);
        }
        poked
    }

    /// Whether the task rests and has no reason to get up, for tests that count what others do.
    #[cfg(feature = "testing")]
    pub(crate) fn is_idle(&self) -> bool {
        self.resting.load(Ordering::SeqCst) && !self.poked.load(Ordering::SeqCst)
    }
}
