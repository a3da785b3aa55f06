//! Counts the statements of a store, so that tests can compare the cost of operations.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::StatementCounts;

/// The counters of one store. Both stores count in the one helper that makes their statements.
#[derive(Debug, Default)]
pub(super) struct StatementCounter {
    statements: AtomicU64,
    commits: AtomicU64,
    notifications: AtomicU64,
}

impl StatementCounter {
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
        }
    }

    pub(super) fn read(&self) -> StatementCounts {
        StatementCounts {
            statements: self.statements.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            notifications: self.notifications.load(Ordering::Relaxed),
        }
    }
}
