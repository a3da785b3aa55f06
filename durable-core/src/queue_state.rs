//! What this process knows of the queues it takes work from: how much of it runs here, and which of
//! them are worth a look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::store::{Hint, StoredLimits};
use crate::types::sync::lock;
use crate::types::time::micros;
use crate::wait::wakeup::Wakeup;

/// The queues that this process takes work from.
#[derive(Debug, Default)]
pub(crate) struct LocalQueues {
    by_name: Mutex<HashMap<Arc<str>, QueueState>>,
    /// Whether something may be due that was not known to be: another process has told of the queue.
    due_news: AtomicBool,
    /// How many were given back that were taken when the engine began to go down.
    returned: AtomicU64,
    /// Whether something may wait on any of them, which has to be asked for.
    any_news: AtomicBool,
    /// Pokes the dispatcher.
    pub(crate) wakeup: Wakeup,
}

#[derive(Debug, Default)]
struct QueueState {
    /// How many of its workflows run here, or are about to.
    running: u32,
    /// Whether there may be something to take.
    maybe_ready: bool,
    /// Whether the answer to a claim was lost: nobody knows what it took.
    claim_unknown: bool,
    /// When a rate limit lets the next one start.
    next_at: Option<i64>,
    /// How many claims from it have failed since the last one that did not.
    failures: u32,
    /// Until when it is left alone, because claims from it fail.
    backoff_until: Option<i64>,
    limits: StoredLimits,
}

impl QueueState {
    /// How many are taken now, if there are so many.
    fn free(&self) -> u32 {
        let most = self.limits.worker_concurrency.unwrap_or(MAX_RUNNING);
        most.saturating_sub(self.running).min(MAX_PER_CLAIM)
    }

    /// Whether nothing says that it is to be left alone now.
    fn is_backoff_over(&self, now: i64) -> bool {
        self.backoff_until.is_none_or(|at| at <= now)
    }

    /// Whether a slot that becomes free here may let something start that no claim could take for
    /// want of it: the limit is one over the fleet, or the next one of a partition key waits.
    fn has_fleet_limits(&self) -> bool {
        let limits = &self.limits;
        let of_keys = limits.partition_concurrency.is_some() || limits.partition_rate_limit.is_some();
        limits.concurrency.is_some() || limits.partitioned || of_keys
    }
}

/// How many workflows of one queue run in one process, if the queue does not say: there is a limit
/// for each process's memory.
const MAX_RUNNING: u32 = 1_000;
/// How many are taken at a time.
const MAX_PER_CLAIM: u32 = 100;

/// A queue whose turn it is, and how many of it there is room for.
#[derive(Debug)]
pub(crate) struct NextClaim {
    pub(crate) queue: Arc<str>,
    pub(crate) free: u32,
    /// Whether an earlier claim may have taken something that nobody here knows of.
    pub(crate) claim_unknown: bool,
}

impl LocalQueues {
    /// Takes work from this queue from now on.
    pub(crate) fn register(&self, queue: &str, limits: StoredLimits) {
        lock(&self.by_name).insert(queue.into(), QueueState { limits, ..QueueState::default() });
        self.notify_all();
    }

    /// There may be something to take from this queue.
    pub(crate) fn notify(&self, hint: Hint) {
        let mut told = false;
        for (name, line) in lock(&self.by_name).iter_mut() {
            if Hint::for_queue(name) == hint {
                line.maybe_ready = true;
                told = true;
            }
        }
        if told {
            self.wakeup.wake();
        }
    }

    /// There may be something to take from any: which of them it is has to be asked for.
    pub(crate) fn notify_all(&self) {
        self.any_news.store(true, Ordering::Relaxed);
        self.wakeup.wake();
    }

    /// Something waits on these.
    pub(crate) fn notify_waiting(&self, queues: &[String]) {
        let mut by_name = lock(&self.by_name);
        for name in queues {
            if let Some(line) = by_name.get_mut(name.as_str()) {
                line.maybe_ready = true;
            }
        }
    }

    /// Something is delayed, and when it is due has to be asked for.
    pub(crate) fn notify_delayed(&self) {
        self.due_news.store(true, Ordering::Relaxed);
        self.wakeup.wake();
    }

    /// Whether when something is due has to be asked for; asked once, it is told of anew.
    pub(crate) fn take_due_news(&self) -> bool {
        self.due_news.swap(false, Ordering::Relaxed)
    }

    /// Whether what waits on any of them has to be asked for; asked once, it is told of anew.
    pub(crate) fn take_any_news(&self) -> bool {
        self.any_news.swap(false, Ordering::Relaxed)
    }

    /// Whether one of them is worth a look now and has room here.
    pub(crate) fn any_maybe_ready(&self, now: i64) -> bool {
        let worth = |line: &QueueState| line.maybe_ready || line.next_at.is_some_and(|at| at <= now);
        lock(&self.by_name).values().any(|line| worth(line) && line.is_backoff_over(now) && line.free() > 0)
    }

    /// The queues that are worth a look now and have room here; asked once, they are told of anew.
    pub(crate) fn next_claims(&self, now: i64) -> Vec<NextClaim> {
        let mut turns = Vec::new();
        for (name, line) in lock(&self.by_name).iter_mut() {
            if line.next_at.is_some_and(|at| at <= now) {
                (line.next_at, line.maybe_ready) = (None, true);
            }
            if !line.is_backoff_over(now) {
                continue;
            }
            line.backoff_until = None;
            let free = line.free();
            if line.maybe_ready && free > 0 {
                line.maybe_ready = false;
                turns.push(NextClaim { queue: Arc::clone(name), free, claim_unknown: line.claim_unknown });
            }
        }
        turns
    }

    /// Whether a queue that is worth a look has slots here of which some are taken, and some are free.
    pub(crate) fn is_short(&self, now: i64) -> bool {
        let short = |line: &QueueState| {
            let most = line.limits.worker_concurrency.map(|it| it.min(MAX_PER_CLAIM));
            line.maybe_ready
                && line.is_backoff_over(now)
                && line.free() > 0
                && most.is_some_and(|most| line.free() < most)
        };
        lock(&self.by_name).values().any(short)
    }

    /// How many more of a queue's workflows may run here.
    pub(crate) fn free_slots(&self, queue: &str) -> usize {
        let by_name = lock(&self.by_name);
        by_name.get(queue).and_then(|line| usize::try_from(line.free()).ok()).unwrap_or_default()
    }

    /// When the next rate limit lets something start, or a queue has been left alone for long enough.
    pub(crate) fn next_at(&self) -> Option<i64> {
        lock(&self.by_name).values().filter_map(|line| line.backoff_until.or(line.next_at)).min()
    }

    /// What a claim has shown: the limits as they are, how many of `turn` came, and whether there may be more.
    pub(crate) fn claimed(&self, turn: &NextClaim, taken: u32, limits: StoredLimits, next_at: Option<i64>) {
        if let Some(line) = lock(&self.by_name).get_mut(&turn.queue) {
            line.limits = limits;
            line.next_at = next_at;
            line.maybe_ready |= taken >= turn.free;
        }
    }

    /// A claim from this queue has failed, for the so many-th time in a row, which is given: it is left
    /// alone for as long as `pause` says of that.
    pub(crate) fn failed(&self, queue: &str, now: i64, pause: impl Fn(u32) -> Duration) -> u32 {
        let mut by_name = lock(&self.by_name);
        let Some(line) = by_name.get_mut(queue) else { return 1 };
        line.failures = line.failures.saturating_add(1);
        line.backoff_until = Some(now.saturating_add(micros(pause(line.failures))));
        line.maybe_ready = true;
        line.failures
    }

    /// A claim from this queue has come to its end. Gives how many had failed before.
    pub(crate) fn succeeded(&self, queue: &str) -> u32 {
        lock(&self.by_name).get_mut(queue).map(|line| std::mem::take(&mut line.failures)).unwrap_or_default()
    }

    /// Whether nobody knows what a claim took.
    pub(crate) fn set_claim_unknown(&self, queue: &str, unsure: bool) {
        if let Some(line) = lock(&self.by_name).get_mut(queue) {
            line.claim_unknown = unsure;
            line.maybe_ready |= unsure; // whatever it was that the claim took no longer waits
        }
    }

    /// So many were given back that were taken when the engine began to go down.
    pub(crate) fn count_returned(&self, many: usize) {
        self.returned.fetch_add(many as u64, Ordering::Relaxed);
    }

    /// How many those are.
    pub(crate) fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// The queues that this process takes work from.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.by_name).keys().map(ToString::to_string).collect()
    }

    /// A slot for a workflow that runs here, until the guard is dropped.
    pub(crate) fn slot(self: &Arc<Self>, queue: &str) -> QueueSlot {
        let name = match lock(&self.by_name).get_key_value(queue) {
            Some((name, _)) => Arc::clone(name),
            None => queue.into(),
        };
        if let Some(line) = lock(&self.by_name).get_mut(queue) {
            line.running += 1;
        }
        QueueSlot { lines: Arc::clone(self), queue: name }
    }
}

/// A place in which a workflow of a queue runs.
#[derive(Debug)]
pub(crate) struct QueueSlot {
    lines: Arc<LocalQueues>,
    queue: Arc<str>,
}

impl QueueSlot {
    /// The queue, if others wait for this slot too.
    pub(crate) fn has_fleet_limits(&self) -> Option<Hint> {
        let lines = lock(&self.lines.by_name);
        lines.get(&self.queue)?.has_fleet_limits().then(|| Hint::for_queue(&self.queue))
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        if let Some(line) = lock(&self.lines.by_name).get_mut(&self.queue) {
            line.running = line.running.saturating_sub(1);
            // Otherwise a claim has taken all there was, or as many as there were slots; in that case
            // the line is worth a look since then.
            line.maybe_ready |= line.has_fleet_limits();
        }
        self.lines.wakeup.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(limits: StoredLimits) -> Arc<LocalQueues> {
        let lines = Arc::new(LocalQueues::default());
        lines.register("q", limits);
        lines.notify_waiting(&["q".to_owned(), "another".to_owned()]);
        lines
    }

    #[test]
    fn a_queue_is_asked_for_no_more_than_there_is_room_for() {
        let lines = opened(StoredLimits { worker_concurrency: Some(2), ..StoredLimits::default() });
        assert_eq!(lines.next_claims(0)[0].free, 2);
        assert!(lines.next_claims(0).is_empty(), "nobody has told of anything since");
        let (first, _second) = (lines.slot("q"), lines.slot("q"));
        lines.notify(Hint::for_queue("q"));
        assert!(lines.next_claims(0).is_empty(), "there is no room");
        drop(first);
        assert_eq!(lines.next_claims(0)[0].free, 1);
    }

    #[test]
    fn a_free_slot_is_no_reason_to_ask_where_nothing_can_have_waited_for_it() {
        let lines = opened(StoredLimits::default());
        let turn = lines.next_claims(0).remove(0);
        let slot = lines.slot("q");
        lines.claimed(&turn, 1, StoredLimits::default(), None);
        drop(slot);
        assert!(lines.next_claims(0).is_empty(), "the claim has taken all there was");
        lines.claimed(&turn, turn.free, StoredLimits::default(), None);
        assert_eq!(lines.next_claims(0).len(), 1, "there may be more");
        let fleet = StoredLimits { concurrency: Some(5), ..StoredLimits::default() };
        lines.claimed(&turn, 1, fleet, None);
        drop(lines.slot("q"));
        assert_eq!(lines.next_claims(0).len(), 1, "the limit over the fleet let no more through");
    }

    #[test]
    fn an_unsure_queue_is_looked_at_whatever_waits() {
        let lines = opened(StoredLimits::default());
        lines.next_claims(0);
        lines.set_claim_unknown("q", true);
        assert!(lines.next_claims(0)[0].claim_unknown);
    }

    #[test]
    fn a_queue_whose_claims_fail_is_left_alone_whatever_is_told_of_it() {
        let lines = opened(StoredLimits { worker_concurrency: Some(2), ..StoredLimits::default() });
        let _short = lines.slot("q");
        let pause = |failures| Duration::from_micros(u64::from(failures) * 10);
        assert_eq!((lines.failed("q", 0, pause), lines.failed("q", 0, pause)), (1, 2));
        lines.notify(Hint::for_queue("q"));
        assert!(lines.next_claims(19).is_empty() && !lines.any_maybe_ready(19) && !lines.is_short(19));
        assert_eq!(lines.next_at(), Some(20));
        assert!(lines.any_maybe_ready(20) && lines.is_short(20));
        assert_eq!(lines.next_claims(20).len(), 1);
        assert_eq!(lines.next_at(), None, "nothing is waited for that has come");
        assert_eq!((lines.succeeded("q"), lines.failed("q", 0, pause)), (2, 1), "failures are those in a row");
    }

    #[test]
    fn a_rate_limit_is_waited_for() {
        let lines = opened(StoredLimits::default());
        let turn = lines.next_claims(0).remove(0);
        lines.claimed(&turn, 0, StoredLimits::default(), Some(50));
        assert_eq!(lines.next_at(), Some(50));
        assert!(lines.next_claims(49).is_empty());
        assert_eq!(lines.next_claims(50).len(), 1);
    }
}
