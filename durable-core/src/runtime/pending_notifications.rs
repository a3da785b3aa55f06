//! Notifications that are not yet sent to other processes.

use std::collections::BTreeSet;

use tokio::sync::Notify;

use crate::store::Hint;
use crate::types::sync::{Mutex, lock};

/// The name in notifications that the schedules have changed.
pub(crate) const SCHEDULES: &str = "durable:schedules";
/// The name in notifications that workflows were released.
pub(crate) const RELEASED: &str = "durable:released";

/// Notifications that are not yet sent to other processes.
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

    #[cfg(feature = "testing")]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.hints).is_empty()
    }

    pub(crate) fn take(&self) -> Vec<Hint> {
        std::mem::take(&mut *lock(&self.hints)).into_iter().collect()
    }
}
