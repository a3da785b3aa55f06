//! How long a launch waits for a database that cannot be used yet.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{StoreError, StoreErrorKind, StoreFuture};
use crate::types::backoff::Backoff;

const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// The time that a launch has for its database.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaunchPatience {
    until: Instant,
    limit: Duration,
    connections: u32,
}

impl LaunchPatience {
    pub(super) fn new(limit: Duration, connections: u32) -> Self {
        // A limit of any length, without an overflow.
        let until = Instant::now() + limit.min(Duration::from_hours(24 * 365));
        Self { until, limit, connections }
    }

    /// Makes a call until it succeeds, its error is one that does not pass, or the time is up.
    ///
    /// # Errors
    /// That of the last try.
    pub(super) async fn call<'a, T>(&self, call: impl Fn() -> StoreFuture<'a, T>) -> Result<T, StoreError> {
        let mut failed = 0;
        loop {
            let error = match call().await {
                Err(error) if may_pass(&error) => error,
                other => return other,
            };
            failed += 1;
            let delay = DELAYS.delay(failed);
            if Instant::now() + delay >= self.until {
                return Err(self.given_up(&error));
            }
            if failed == 1 {
                tracing::warn!(target: "durable", %error, "the database cannot be used yet; trying again for up to {:?}", self.limit);
            }
            tokio::time::sleep(delay).await;
        }
    }

    fn given_up(&self, error: &StoreError) -> StoreError {
        let needed = if error.message.contains("(SQLSTATE 53300)") {
            format!("; durable needs at least 4 connections, and uses up to {}", self.connections)
        } else {
            String::new()
        };
        StoreError::new(error.kind, format_args!("{error}{needed}; tried for {:?}", self.limit))
    }
}

/// Whether trying again may help. Refused logins, missing databases and missing privileges are for a person.
fn may_pass(error: &StoreError) -> bool {
    let is_lasting = ["SQLSTATE 28", "SQLSTATE 3D000", "SQLSTATE 42501"].iter().any(|it| error.message.contains(it));
    match error.kind {
        StoreErrorKind::Unreachable | StoreErrorKind::Unavailable => !is_lasting,
        StoreErrorKind::Contended => true,
        StoreErrorKind::Closed | StoreErrorKind::Refused | StoreErrorKind::Foreign => false,
    }
}
