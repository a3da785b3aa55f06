//! Asking running steps to stop, with the reason.

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::types::sync::atomic::{AtomicU8, Ordering};

/// Why a running step is asked to stop. Returned by [`should_abort`](crate::should_abort).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbortReason {
    /// This process shuts down. The step has a short time to finish. A value that it returns is
    /// recorded; an error is not, and the step runs again in another process or after the restart.
    Shutdown,
    /// The workflow was cancelled. What the step returns is not recorded.
    Cancelled,
    /// The workflow's deadline has passed. What the step returns is not recorded.
    Deadline,
    /// This run no longer owns the workflow: another executor took it over, or the workflow was ended
    /// from outside. What the step returns is not recorded.
    Lost,
    /// This attempt took longer than the step's timeout, and has failed. What it returns is not recorded;
    /// the next attempt waits until this one has returned.
    Timeout,
    /// The workflow no longer waits for this call of the step: another branch of a `select!` was first, an
    /// earlier item of a `map` with `stop_on_error` has failed, or the call was dropped. What the step
    /// returns is not recorded.
    Dropped,
}

impl AbortReason {
    const ALL: [Self; 6] = [Self::Shutdown, Self::Cancelled, Self::Deadline, Self::Lost, Self::Timeout, Self::Dropped];
}

/// Whether the steps of an execution, or one attempt of a step, are asked to stop, and why.
#[derive(Debug, Default)]
pub(crate) struct CancellationFlag {
    /// Zero while there is no reason, else the index of the reason plus one.
    reason: AtomicU8,
    changed: Notify,
}

impl CancellationFlag {
    /// Asks the steps to stop. The first reason is kept, except that any other one replaces a shutdown.
    pub(crate) fn cancel(&self, reason: AbortReason) {
        let Some(index) = AbortReason::ALL.iter().position(|it| *it == reason) else { return };
        let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let _ = self.reason.fetch_update(Ordering::AcqRel, Ordering::Acquire, |it| (it <= 1).then_some(number.max(it)));
        self.changed.notify_waiters();
    }

    pub(crate) fn reason(&self) -> Option<AbortReason> {
        let number = usize::from(self.reason.load(Ordering::Acquire));
        AbortReason::ALL.get(number.checked_sub(1)?).copied()
    }

    pub(crate) async fn cancelled(&self) -> AbortReason {
        loop {
            // Created before the flag is read, so that a cancellation between the two is not missed.
            let changed = self.changed.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_is_kept_except_that_any_other_replaces_a_shutdown() {
        let flag = CancellationFlag::default();
        assert_eq!(flag.reason(), None);
        flag.cancel(AbortReason::Shutdown);
        flag.cancel(AbortReason::Deadline);
        flag.cancel(AbortReason::Shutdown);
        flag.cancel(AbortReason::Cancelled);
        assert_eq!(flag.cancelled().await, AbortReason::Deadline);
    }
}
