//! The queues from which this process claims: how many of their workflows run here, and which queue to
//! claim from next.

mod one_queue;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::queue_state::one_queue::QueueState;
use crate::store::{Hint, StoredLimits};
use crate::types::sync::{Mutex, lock};
use crate::types::time::Timestamp;
use crate::wait::wakeup::Wakeup;

/// The queues from which this process claims.
#[derive(Debug, Default)]
pub(crate) struct LocalQueues {
    by_name: Mutex<HashMap<Arc<str>, QueueState>>,
    /// Whether a delayed workflow may be due earlier than the dispatcher knows.
    delayed_changed: AtomicBool,
    /// Whether a workflow may be waiting on any of the queues; the dispatcher asks the database on which.
    any_changed: AtomicBool,
    /// How many workflows were returned because their claim was answered after the shutdown began.
    returned: AtomicU64,
    /// Wakes the dispatcher.
    pub(crate) wakeup: Wakeup,
}

/// A queue to claim from.
#[derive(Debug)]
pub(crate) struct NextClaim {
    pub(crate) queue: Arc<str>,
    /// How many workflows to claim at most.
    pub(crate) free: u32,
    /// Whether an earlier claim may have taken workflows without an answer.
    pub(crate) claim_unknown: bool,
}

impl LocalQueues {
    /// Adds a queue from which this process claims.
    pub(crate) fn register(&self, queue: &str, limits: StoredLimits) {
        lock(&self.by_name).insert(queue.into(), QueueState::new(limits));
        self.notify_all();
    }

    /// There may be something to claim from this queue.
    pub(crate) fn notify(&self, hint: Hint) {
        let mut found = false;
        for (name, state) in lock(&self.by_name).iter_mut() {
            if Hint::for_queue(name) == hint {
                state.notify();
                found = true;
            }
        }
        if found {
            self.wakeup.wake();
        }
    }

    /// There may be something to claim from any queue; the dispatcher asks the database from which.
    pub(crate) fn notify_all(&self) {
        self.any_changed.store(true, Ordering::Relaxed);
        self.wakeup.wake();
    }

    /// Workflows are waiting on these queues.
    pub(crate) fn notify_waiting(&self, queues: &[String]) {
        let mut by_name = lock(&self.by_name);
        for name in queues {
            if let Some(state) = by_name.get_mut(name.as_str()) {
                state.notify();
            }
        }
    }

    /// A workflow was delayed; the dispatcher asks the database when it is due.
    pub(crate) fn notify_delayed(&self) {
        self.delayed_changed.store(true, Ordering::Relaxed);
        self.wakeup.wake();
    }

    /// Whether [`notify_delayed`](Self::notify_delayed) was called since the last call of this.
    pub(crate) fn take_delayed_changed(&self) -> bool {
        self.delayed_changed.swap(false, Ordering::Relaxed)
    }

    /// Whether [`notify_all`](Self::notify_all) was called since the last call of this.
    pub(crate) fn take_any_changed(&self) -> bool {
        self.any_changed.swap(false, Ordering::Relaxed)
    }

    /// Whether there is a queue to claim from.
    pub(crate) fn any_ready(&self, now: Timestamp) -> bool {
        lock(&self.by_name).values().any(|state| state.is_ready(now))
    }

    /// The queues to claim from now. Each is given once, until it is notified again.
    pub(crate) fn next_claims(&self, now: Timestamp) -> Vec<NextClaim> {
        let mut by_name = lock(&self.by_name);
        let claims = by_name.iter_mut().filter_map(|(name, state)| {
            let claim = state.take_claim(now)?;
            Some(NextClaim { queue: Arc::clone(name), free: claim.free, claim_unknown: claim.claim_unknown })
        });
        claims.collect()
    }

    /// Whether a queue to claim from has only some of its slots free.
    pub(crate) fn has_few_slots(&self, now: Timestamp) -> bool {
        lock(&self.by_name).values().any(|state| state.has_few_slots(now))
    }

    /// How many more workflows of a queue may run here.
    pub(crate) fn free_slots(&self, queue: &str) -> usize {
        let by_name = lock(&self.by_name);
        by_name.get(queue).and_then(|state| usize::try_from(state.free()).ok()).unwrap_or_default()
    }

    /// When a queue may become ready by itself.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        lock(&self.by_name).values().filter_map(QueueState::wakes_at).min()
    }

    /// A claim took `taken` workflows, read the limits, and when the rate limit allows the next start.
    pub(crate) fn claimed(
        &self,
        claim: &NextClaim,
        taken: u32,
        limits: StoredLimits,
        next_start_at: Option<Timestamp>,
    ) {
        if let Some(state) = lock(&self.by_name).get_mut(&claim.queue) {
            state.claimed(claim.free, taken, limits, next_start_at);
        }
    }

    /// A claim failed: nothing is claimed from the queue for the `delay` of the number of failures in a
    /// row, which is returned.
    pub(crate) fn failed(&self, queue: &str, now: Timestamp, delay: impl Fn(u32) -> Duration) -> u32 {
        lock(&self.by_name).get_mut(queue).map_or(1, |state| state.failed(now, delay))
    }

    /// A claim succeeded. Returns how many had failed before it.
    pub(crate) fn succeeded(&self, queue: &str) -> u32 {
        lock(&self.by_name).get_mut(queue).map(QueueState::succeeded).unwrap_or_default()
    }

    /// Whether a claim may have taken workflows without an answer.
    pub(crate) fn set_claim_unknown(&self, queue: &str, claim_unknown: bool) {
        if let Some(state) = lock(&self.by_name).get_mut(queue) {
            state.set_claim_unknown(claim_unknown);
        }
    }

    /// So many workflows were returned because their claim was answered after the shutdown began.
    pub(crate) fn count_returned(&self, many: usize) {
        self.returned.fetch_add(many as u64, Ordering::Relaxed);
    }

    /// How many workflows were returned.
    pub(crate) fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// The names of the queues.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.by_name).keys().map(ToString::to_string).collect()
    }

    /// A slot for a workflow that runs here, with a partition key or without, until the guard is dropped.
    pub(crate) fn slot(self: &Arc<Self>, queue: &str, keyed: bool) -> QueueSlot {
        let mut by_name = lock(&self.by_name);
        let name = by_name.get_key_value(queue).map_or_else(|| queue.into(), |(name, _)| Arc::clone(name));
        if let Some(state) = by_name.get_mut(queue) {
            state.take_slot();
        }
        drop(by_name);
        QueueSlot { queues: Arc::clone(self), queue: name, keyed }
    }
}

/// The slot of a workflow of a queue. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct QueueSlot {
    queues: Arc<LocalQueues>,
    queue: Arc<str>,
    /// Whether the workflow has a partition key.
    keyed: bool,
}

impl QueueSlot {
    /// The queue, if the end of this workflow may let another process start one.
    pub(crate) fn fleet_hint(&self) -> Option<Hint> {
        let by_name = lock(&self.queues.by_name);
        by_name.get(&self.queue)?.frees_others(self.keyed).then(|| Hint::for_queue(&self.queue))
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        if let Some(state) = lock(&self.queues.by_name).get_mut(&self.queue) {
            state.free_slot(self.keyed);
        }
        self.queues.wakeup.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn registered(limits: StoredLimits) -> Arc<LocalQueues> {
        let queues = Arc::new(LocalQueues::default());
        queues.register("q", limits);
        queues.notify_waiting(&["q".to_owned(), "another".to_owned()]);
        queues
    }

    #[test]
    fn a_slot_is_taken_until_its_guard_is_dropped() {
        let queues = registered(StoredLimits { worker_concurrency: Some(2), ..StoredLimits::default() });
        let (first, _second) = (queues.slot("q", false), queues.slot("q", false));
        assert!(queues.next_claims(at(0)).is_empty() && queues.free_slots("q") == 0);
        drop(first);
        assert_eq!(queues.next_claims(at(0))[0].free, 1);
    }

    #[test]
    fn a_hint_for_another_queue_changes_nothing() {
        let queues = registered(StoredLimits::default());
        queues.next_claims(at(0));
        queues.notify(Hint::for_queue("another"));
        assert!(!queues.any_ready(at(0)));
        queues.notify(Hint::for_queue("q"));
        assert!(queues.any_ready(at(0)));
    }

    #[test]
    fn a_slot_has_a_hint_for_the_fleet_only_under_a_fleet_limit_or_with_a_partition_key() {
        let hint = Some(Hint::for_queue("q"));
        let free = registered(StoredLimits::default());
        assert_eq!((free.slot("q", false).fleet_hint(), free.slot("q", true).fleet_hint()), (None, hint));
        let fleet = registered(StoredLimits { concurrency: Some(5), ..StoredLimits::default() });
        assert_eq!(fleet.slot("q", false).fleet_hint(), hint);
    }

    #[test]
    fn the_end_of_a_workflow_with_a_partition_key_makes_the_queue_ready() {
        let queues = registered(StoredLimits::default());
        queues.next_claims(at(0));
        drop(queues.slot("q", false));
        assert!(!queues.any_ready(at(0)));
        drop(queues.slot("q", true));
        assert!(queues.any_ready(at(0)));
    }
}
