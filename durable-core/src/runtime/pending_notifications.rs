//! What other processes are yet to be notified of.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::store::Hint;
use crate::types::sync::lock;

/// The name under which processes tell each other that the schedules have changed.
pub(crate) const SCHEDULES: &str = "durable:schedules";
/// The name under which processes tell each other that they have let go of workflows.
pub(crate) const RELEASED: &str = "durable:released";

/// What is to be told to other processes.
#[derive(Debug, Default)]
pub(crate) struct PendingNotifications {
    hints: Mutex<BTreeSet<Hint>>,
    pub(crate) wakeup: Notify,
}

impl PendingNotifications {
    pub(crate) fn add(&self, hint: Hint) {
        let mut hints = lock(&self.hints);
        let first = hints.is_empty();
        hints.insert(hint);
        drop(hints);
        if first {
            self.wakeup.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Vec<Hint> {
        std::mem::take(&mut *lock(&self.hints)).into_iter().collect()
    }
}
