//! Telling long steps that they shall stop, and why.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Why a step shall stop. Given by [`should_abort`](crate::should_abort).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbortReason {
    /// This process shuts down. The step may still come to its end for a short while, and is recorded
    /// then; an error that it returns is not, and it runs again elsewhere or after the restart.
    Shutdown,
    /// The workflow was cancelled. What the step returns is not recorded.
    Cancelled,
    /// The workflow's time is up. What the step returns is not recorded.
    Deadline,
    /// The run that it belongs to counts no longer: another executor has taken over, or something
    /// beside it has ended the workflow. What the step returns is not recorded.
    Lost,
}

impl AbortReason {
    const ALL: [Self; 4] = [Self::Shutdown, Self::Cancelled, Self::Deadline, Self::Lost];
}

/// Whether an execution's steps shall stop.
#[derive(Debug, Default)]
pub(crate) struct CancellationFlag {
    /// Zero, or one more than the index of the reason.
    reason: AtomicU8,
    changed: Notify,
}

impl CancellationFlag {
    /// Tells them. A shutdown gives way to what is stronger; else the first reason counts.
    pub(crate) fn cancel(&self, why: AbortReason) {
        let Some(index) = AbortReason::ALL.iter().position(|it| *it == why) else { return };
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
            // Registered before the look: a word that comes between the two is heard.
            let told = self.changed.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shutdown_gives_way_to_what_is_stronger() {
        let cancelling = CancellationFlag::default();
        assert_eq!(cancelling.reason(), None);
        cancelling.cancel(AbortReason::Shutdown);
        cancelling.cancel(AbortReason::Deadline);
        cancelling.cancel(AbortReason::Shutdown);
        cancelling.cancel(AbortReason::Cancelled);
        assert_eq!(cancelling.cancelled().await, AbortReason::Deadline);
    }
}
