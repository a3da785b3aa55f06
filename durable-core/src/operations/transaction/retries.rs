//! When a transaction is tried again, and when it is given up.

use std::time::{Duration, Instant};

use tracing::field::{DisplayValue, display};

use crate::journal::reserved_position::ReservedPosition;
use crate::runtime::Runtime;
use crate::store::TransactionStart;
use crate::types::backoff::{Backoff, CALLS_WHILE_DATABASE_IS_AWAY};
use crate::types::position::Position;
use crate::wait::shutdown_phase::EnginePhase;

/// The delays after lost races.
const RACE_DELAYS: Backoff = Backoff::doubling(Duration::from_millis(10), Duration::from_millis(500)).with_jitter(0.5);
/// The delays after interruptions.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(0.2);
/// A transaction is not given up before so many of its attempts were interrupted, however long they take.
const MIN_INTERRUPTIONS: u32 = 5;
/// An outage is logged at WARN when it begins, and then after every so many attempts.
const LOG_EVERY: u32 = 20;

/// A transaction gives way to other callers in so many attempts, and then no longer, so that it ends.
const ATTEMPTS_THAT_GIVE_WAY: u32 = 3;

/// The attempts of one transaction so far.
#[derive(Debug)]
pub(super) struct Retries<'r> {
    runtime: &'r Runtime,
    transaction: &'static str,
    /// The workflow and the position in it, for the log.
    workflow: Option<&'r str>,
    position: Option<DisplayValue<&'r Position>>,
    /// How many attempts there were.
    pub(super) attempts: u32,
    /// How many failed in a row because the database could not be reached before the function began.
    outages: u32,
    /// How many were interrupted after the function began: each may have been the function's own doing.
    interruptions: u32,
    interrupted_since: Option<Instant>,
}

/// The engine shuts down: there are no more attempts.
pub(super) struct NoMoreAttempts;

impl<'r> Retries<'r> {
    pub(super) fn new(runtime: &'r Runtime, transaction: &'static str, reserved: Option<&'r ReservedPosition>) -> Self {
        Self {
            runtime,
            transaction,
            workflow: reserved.map(|it| &*it.execution.row.id),
            position: reserved.map(|it| display(&it.position)),
            attempts: 0,
            outages: 0,
            interruptions: 0,
            interrupted_since: None,
        }
    }

    /// How the next attempt is opened.
    pub(super) fn opening(&self, start: TransactionStart) -> TransactionStart {
        let executor = Some(self.runtime.fence().executor);
        TransactionStart { gives_way: self.attempts < ATTEMPTS_THAT_GIVE_WAY, executor, ..start }
    }

    /// The attempt lost a race.
    pub(super) async fn after_lost_race(&mut self) -> Result<(), NoMoreAttempts> {
        self.attempts += 1;
        tracing::debug!(target: "durable", transaction = self.transaction, id = self.workflow, position = self.position, attempt = self.attempts, "a transaction lost a race and is tried again");
        self.pause(RACE_DELAYS, self.attempts).await
    }

    /// The database could not be reached, or could not do it, and the function was not called.
    pub(super) async fn after_outage(&mut self, error: &str) -> Result<(), NoMoreAttempts> {
        self.outages += 1;
        if self.outages == 1 || self.outages.is_multiple_of(LOG_EVERY) {
            tracing::warn!(target: "durable", transaction = self.transaction, id = self.workflow, position = self.position, attempts = self.outages, %error, "a transaction cannot begin; trying again until the database lets it");
        }
        self.pause(CALLS_WHILE_DATABASE_IS_AWAY, self.outages).await
    }

    /// The connection was lost or a statement was cancelled after the function was called. Returns whether
    /// there is to be another attempt.
    pub(super) async fn after_interruption(&mut self, error: &str) -> Result<bool, NoMoreAttempts> {
        self.attempts += 1;
        self.outages = 0;
        self.interruptions += 1;
        let since = *self.interrupted_since.get_or_insert_with(Instant::now);
        let time_is_up = since.elapsed() >= self.runtime.settings.transaction_retry_limit;
        if time_is_up && self.interruptions >= MIN_INTERRUPTIONS {
            return Ok(false);
        }
        tracing::warn!(target: "durable", transaction = self.transaction, id = self.workflow, position = self.position, attempts = self.attempts, %error, "a transaction was rolled back because its connection was lost or a statement was cancelled; trying again");
        self.pause(DELAYS, self.interruptions).await.map(|()| true)
    }

    /// The message of the error of a transaction that is given up.
    pub(super) fn given_up(&self, place: &str, error: &str) -> String {
        let elapsed = self.interrupted_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        format!(
            "the transaction `{}`{place} is given up after {} attempts in {elapsed:.1} s: each time its connection was lost or a statement was cancelled, and nothing was written; make it shorter, or raise the timeouts of the database (idle_in_transaction_session_timeout, statement_timeout); the last error: {error}",
            self.transaction, self.attempts
        )
    }

    async fn pause(&self, delays: Backoff, failed: u32) -> Result<(), NoMoreAttempts> {
        tokio::select! {
            () = self.runtime.timers.elapsed(delays.random_delay(failed)) => Ok(()),
            () = self.runtime.shutdown.wait_for(EnginePhase::Aborting) => Err(NoMoreAttempts),
        }
    }
}
