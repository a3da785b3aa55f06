//! Writes that the database cannot carry out now, for a reason that is not in their data. They wait here,
//! so that all other writes continue, and are tried again until they succeed.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{StoreError, StoreErrorKind};
use crate::types::backoff::Backoff;
use crate::types::keys::WorkflowKey;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::writer::write_batch::WriteRequest;

/// The delays between the attempts.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5));
/// How often a condition that lasts is logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Writes that wait until the database can carry them out.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    /// In the order in which they were submitted.
    requests: Vec<WriteRequest>,
    /// The runs that they are of: what a run submits later becomes durable later.
    runs: HashSet<WorkflowKey>,
    /// How many attempts in a row have failed.
    failed: u32,
    due: Option<Instant>,
    logged: Option<Instant>,
}

impl SetAside {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Adds writes that have just failed.
    pub(super) fn add(&mut self, requests: Vec<WriteRequest>, error: &StoreError) {
        self.failed += 1;
        let now = Instant::now();
        self.due = Some(now + DELAYS.delay(self.failed));
        self.push(requests);
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            self.logged = Some(now);
            if error.kind == StoreErrorKind::Unreachable {
                tracing::warn!(target: "durable", writes = self.requests.len(), attempts = self.failed, %error, "the database cannot be reached; workflows wait, and their writes are tried again until they succeed");
                return;
            }
            tracing::error!(target: "durable", writes = self.requests.len(), attempts = self.failed, %error, "the database cannot carry out some writes; their workflows wait, and the writes are tried again until they succeed");
        }
    }

    /// A batch has just been carried out completely.
    pub(super) fn succeeded(&mut self) {
        if self.requests.is_empty() && self.failed > 0 {
            tracing::info!(target: "durable", attempts = self.failed + 1, "the database carries out the writes again that had failed");
            (self.failed, self.logged) = (0, None);
        }
    }

    /// Takes over those of the waiting requests that have to stay behind an earlier one of the same run.
    pub(super) fn hold_back(&mut self, waiting: &mut Vec<WriteRequest>) {
        if self.runs.is_empty() {
            return;
        }
        let is_held = |it: &mut WriteRequest| it.run().is_some_and(|run| self.runs.contains(&run));
        let held: Vec<_> = waiting.extract_if(.., is_held).collect();
        self.push(held);
    }

    /// Returns when the next attempt is due; never, if there is nothing to try again.
    pub(super) fn wait_until_due<'s>(&self, shutdown: &'s ShutdownSignal) -> impl Future<Output = ()> + Send + use<'s> {
        let due = self.due;
        async move {
            let Some(due) = due else { return std::future::pending().await };
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = shutdown.wait_for(EnginePhase::Aborting) => {}
            }
        }
    }

    /// Puts everything back in front of the waiting requests, if the next attempt is due.
    pub(super) fn put_back_if_due(&mut self, waiting: &mut Vec<WriteRequest>, shutdown: &ShutdownSignal) {
        if self.due.is_some_and(|due| due <= Instant::now() || shutdown.is_aborting()) {
            self.due = None;
            self.runs.clear();
            waiting.splice(..0, self.requests.drain(..));
        }
    }

    fn push(&mut self, requests: Vec<WriteRequest>) {
        self.runs.extend(requests.iter().filter_map(WriteRequest::run));
        self.requests.extend(requests);
    }
}
