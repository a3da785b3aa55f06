//! Counts the statements of a store, so that tests can compare the cost of operations.

#[cfg(feature = "testing")]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::StatementCounts;

/// The counters of one store. Both stores count in the one helper that makes their statements.
#[derive(Debug, Default)]
pub(super) struct StatementCounter {
    statements: AtomicU64,
    commits: AtomicU64,
    notifications: AtomicU64,
    /// When the last one was committed that wrote something, in microseconds since 1970.
    last_commit: AtomicU64,
    #[cfg(feature = "testing")]
    calls_in_flight: AtomicUsize,
}

/// A call of a method of the store is in flight while this lives.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub(super) struct CallGuard<'a>(&'a StatementCounter);

#[cfg(feature = "testing")]
impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.calls_in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl StatementCounter {
    /// A call of a method of the store begins.
    #[cfg(feature = "testing")]
    pub(super) fn call(&self) -> CallGuard<'_> {
        self.calls_in_flight.fetch_add(1, Ordering::SeqCst);
        CallGuard(self)
    }

    /// How many calls have begun and not ended.
    #[cfg(feature = "testing")]
    pub(super) fn calls_in_flight(&self) -> usize {
        self.calls_in_flight.load(Ordering::SeqCst)
    }

    /// A statement is sent: a round trip, whatever it does.
    pub(super) fn statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// A notification is sent.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite has none"))]
    pub(super) fn notification(&self) {
        self.notifications.fetch_add(1, Ordering::Relaxed);
    }

    /// A transaction was committed, and wrote something if `rows` is above zero.
    pub(super) fn committed(&self, rows: u64) {
        if rows > 0 {
            self.commits.fetch_add(1, Ordering::Relaxed);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.last_commit.store(u64::try_from(now.as_micros()).unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// When the last transaction was committed that wrote something.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "Postgres sends notifications"))]
    pub(super) fn last_commit(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.last_commit.load(Ordering::Relaxed))
    }

    pub(super) fn read(&self) -> StatementCounts {
        StatementCounts {
            statements: self.statements.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            notifications: self.notifications.load(Ordering::Relaxed),
        }
    }
}
