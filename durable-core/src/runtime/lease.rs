//! Until when this executor certainly owns what it runs, by a clock of its own.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::store::Fence;
use crate::types::boot_time::boot_time;
use crate::types::keys::ExecutorKey;

/// The lease as the database last confirmed it, by this machine's clock.
///
/// A process that was stopped, or that could not reach the database, finds its lease expired here, before
/// it finds out whether another executor has taken over. Until the lease is confirmed it begins nothing.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    /// The executor whose lease it is. It changes when this process registers again.
    executor: AtomicI64,
    /// The end of the lease, in microseconds of [`boot_time`].
    until: AtomicU64,
    /// How often the lease was confirmed, or given up.
    changes: watch::Sender<u64>,
    /// An operation waits for a confirmation.
    needed: Notify,
}

impl Lease {
    /// The lease of an executor that was registered by a statement sent at `sent`.
    pub(crate) fn new(length: Duration, executor: ExecutorKey, sent: Duration) -> Self {
        let lease = Self {
            length,
            executor: AtomicI64::new(0),
            until: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            needed: Notify::new(),
        };
        lease.confirm(executor, sent);
        lease
    }

    /// The database has confirmed the lease, by a statement that was sent at this [`boot_time`]. In the
    /// database the lease is counted from a later moment, so it does not end there before it ends here.
    pub(crate) fn confirm(&self, executor: ExecutorKey, sent: Duration) {
        let until = u64::try_from(sent.saturating_add(self.length).as_micros()).unwrap_or(u64::MAX);
        if self.executor.load(Ordering::Relaxed) != executor.get() {
            // In between, no executor has a lease.
            self.until.store(0, Ordering::SeqCst);
            self.executor.store(executor.get(), Ordering::SeqCst);
        }
        self.until.store(until, Ordering::SeqCst);
        self.changes.send_modify(|it| *it += 1);
    }

    /// The executor was fenced out: its operations never begin. Returns whether it had the lease until now.
    pub(crate) fn give_up(&self) -> bool {
        let earlier = self.executor.swap(0, Ordering::SeqCst);
        self.changes.send_modify(|it| *it += 1);
        earlier != 0
    }

    /// Whether an operation of this executor may begin. Every one asks, so it takes no lock.
    pub(crate) fn holds(&self, fence: Fence) -> bool {
        // In this order: `confirm` clears the time before it changes the executor.
        let until = self.until.load(Ordering::SeqCst);
        boot_time() < Duration::from_micros(until) && self.executor.load(Ordering::SeqCst) == fence.executor.get()
    }

    /// Whether the executor was fenced out, or this process has registered as another one.
    fn is_lost(&self, fence: Fence) -> bool {
        self.executor.load(Ordering::SeqCst) != fence.executor.get()
    }

    /// Returns once the lease is confirmed: `true` if the operation may begin, and `false` if another
    /// executor has taken over.
    pub(crate) async fn confirmed(&self, fence: Fence) -> bool {
        let mut changes = self.changes.subscribe();
        loop {
            if self.is_lost(fence) {
                return false;
            }
            if self.holds(fence) {
                return true;
            }
            self.needed.notify_one();
            let _ = changes.changed().await; // the sender is in `self`
        }
    }

    /// How long ago the statement was sent by which the database last confirmed the lease.
    #[cfg(feature = "metrics")]
    pub(crate) fn age(&self) -> Duration {
        let until = Duration::from_micros(self.until.load(Ordering::SeqCst));
        (boot_time() + self.length).saturating_sub(until)
    }

    /// Whether the database has confirmed the lease by a statement that was sent within this time.
    pub(crate) fn confirmed_within(&self, time: Duration) -> bool {
        let until = Duration::from_micros(self.until.load(Ordering::SeqCst));
        boot_time() <= until.saturating_sub(self.length).saturating_add(time)
    }

    /// Returns once an operation needs the lease to be confirmed.
    pub(crate) async fn needed(&self) {
        self.needed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FENCE: Fence = Fence { executor: ExecutorKey::new(7), epoch: Fence::FIRST_EPOCH };

    #[tokio::test]
    async fn nothing_begins_on_an_expired_lease_before_it_is_confirmed() {
        let lease = Lease::new(Duration::from_mins(1), FENCE.executor, boot_time());
        assert!(lease.holds(FENCE));
        lease.confirm(FENCE.executor, boot_time().saturating_sub(Duration::from_mins(2)));
        assert!(!lease.holds(FENCE));
        let (may_begin, ()) = tokio::join!(lease.confirmed(FENCE), async {
            lease.needed().await;
            lease.confirm(FENCE.executor, boot_time());
        });
        assert!(may_begin);
    }

    #[tokio::test]
    async fn an_operation_of_an_executor_that_was_fenced_out_never_begins() {
        let lease =
            Lease::new(Duration::from_mins(1), FENCE.executor, boot_time().saturating_sub(Duration::from_mins(2)));
        let (may_begin, ()) = tokio::join!(lease.confirmed(FENCE), async {
            lease.needed().await;
            assert!(lease.give_up(), "it had the lease");
        });
        assert!(!may_begin && !lease.give_up(), "it has none any more");
        lease.confirm(ExecutorKey::new(8), boot_time());
        assert!(!lease.holds(FENCE) && !lease.confirmed(FENCE).await, "another executor has the lease now");
    }
}
