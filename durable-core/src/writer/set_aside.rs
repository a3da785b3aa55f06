//! Writes that the database cannot carry out now, for a reason that is not in their data. They wait here,
//! so that all other writes continue, and are tried again until they succeed.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{StoreError, StoreErrorKind};
use crate::types::backoff::WHILE_DATABASE_IS_AWAY;
use crate::types::keys::WorkflowKey;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::writer::write_batch::WriteRequest;

/// How often a condition that lasts is logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Writes that wait until the database can carry them out.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    /// In the order in which they are tried next. Those of one run are in the order in which they were submitted.
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
        self.due = Some(now + WHILE_DATABASE_IS_AWAY.delay(self.failed));
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

    /// Puts everything back behind the waiting requests, if the next attempt is due: these are of other runs, and do not
    /// wait for what may fail again. A stop stays last.
    pub(super) fn put_back_if_due(&mut self, waiting: &mut Vec<WriteRequest>, shutdown: &ShutdownSignal) {
        if self.due.is_some_and(|due| due <= Instant::now() || shutdown.is_aborting()) {
            self.due = None;
            self.runs.clear();
            let end = waiting.iter().position(|it| matches!(it, WriteRequest::Stop)).unwrap_or(waiting.len());
            waiting.splice(end..end, self.requests.drain(..));
        }
    }

    fn push(&mut self, requests: Vec<WriteRequest>) {
        self.runs.extend(requests.iter().filter_map(WriteRequest::run));
        self.requests.extend(requests);
    }
}

/// The order of the next attempt: what was not tried comes first, so that it does not wait behind writes that fail
/// each time. Writes of one run stay in their order.
pub(super) fn untried_first<T>(failed: Vec<T>, untried: Vec<T>, run: impl Fn(&T) -> Option<WorkflowKey>) -> Vec<T> {
    let failed_runs: HashSet<WorkflowKey> = failed.iter().filter_map(&run).collect();
    let stays_behind = |it: &T| run(it).is_some_and(|run| failed_runs.contains(&run));
    let (behind, mut order): (Vec<T>, Vec<T>) = untried.into_iter().partition(stays_behind);
    order.extend(failed);
    order.extend(behind);
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A write is the number of its run, if it has one, and its place among all.
        #[test]
        fn what_was_not_tried_comes_first_and_runs_stay_in_order(runs in prop::collection::vec(0_i64..4, 0..20), tried in 0_usize..20) {
            let writes: Vec<(i64, usize)> = runs.iter().copied().zip(0..).collect();
            let (failed, untried) = writes.split_at(tried.min(writes.len()));
            let run = |it: &(i64, usize)| (it.0 > 0).then(|| WorkflowKey::new(it.0));
            let order = untried_first(failed.to_vec(), untried.to_vec(), run);

            let mut sorted = order.clone();
            sorted.sort_by_key(|it| it.1);
            prop_assert_eq!(&sorted, &writes, "nothing is lost or doubled");
            for number in 1..4 {
                let places: Vec<usize> = order.iter().filter(|it| it.0 == number).map(|it| it.1).collect();
                prop_assert!(places.is_sorted(), "run {} is out of order: {:?}", number, order);
            }
            let first_failed = order.iter().position(|it| failed.contains(it)).unwrap_or(order.len());
            for it in untried.iter().filter(|it| failed.iter().all(|other| other.0 != it.0 || it.0 == 0)) {
                prop_assert!(order[..first_failed].contains(it), "{:?} waits behind what has failed: {:?}", it, order);
            }
        }
    }
}
