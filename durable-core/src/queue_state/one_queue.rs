//! The state of one queue in this process, as a state machine without locks, tasks or a database: how
//! many of its workflows run here, and whether the next step is a claim.

use std::time::Duration;

use crate::store::StoredLimits;
use crate::types::time::Timestamp;

/// How many workflows of one queue run in one process if the queue sets no limit.
const MAX_RUNNING: u32 = 1_000;
/// How many workflows one claim takes at most.
const MAX_PER_CLAIM: u32 = 100;

/// The state of one queue in this process.
///
/// A claim is the next step when all of these hold:
///
/// * the queue is *maybe ready*: something was enqueued, a claim took as many as it could, a
///   notification named the queue, or its rate limit lets the next workflow start;
/// * no back-off after a failed claim is running;
/// * slots are free here.
#[derive(Debug, Default)]
pub(super) struct QueueState {
    limits: StoredLimits,
    /// How many of its workflows run here, or are about to.
    running: u32,
    /// Whether there may be something to claim.
    maybe_ready: bool,
    /// Whether the answer to a claim was lost, so that it may have taken workflows.
    claim_unknown: bool,
    /// When the rate limit lets the next workflow start.
    next_start_at: Option<Timestamp>,
    /// How many claims have failed in a row.
    failures: u32,
    /// Until when nothing is claimed, because claims have failed.
    backoff_until: Option<Timestamp>,
}

/// A claim to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClaimStep {
    /// How many workflows to claim at most.
    pub(super) free: u32,
    /// Whether an earlier claim may have taken workflows without an answer.
    pub(super) claim_unknown: bool,
}

impl QueueState {
    pub(super) fn new(limits: StoredLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many workflows a claim may take now.
    pub(super) fn free(&self) -> u32 {
        let slots = self.limits.worker_concurrency.unwrap_or(MAX_RUNNING);
        slots.saturating_sub(self.running).min(MAX_PER_CLAIM)
    }

    /// Whether the end of a workflow may let another one start that no claim could take: the limit counts
    /// over the fleet, or the next workflow of its partition key waits for it.
    pub(super) fn frees_others(&self, keyed: bool) -> bool {
        keyed || self.limits.concurrency.is_some()
    }

    /// There may be something to claim.
    pub(super) fn notify(&mut self) {
        self.maybe_ready = true;
    }

    /// Whether the next step is a claim.
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        let due = self.next_start_at.is_some_and(|at| at <= now);
        (self.maybe_ready || due) && self.is_backoff_over(now) && self.free() > 0
    }

    /// Takes the next step, if it is a claim. After that the queue is not *maybe ready* until it is
    /// notified again.
    pub(super) fn take_claim(&mut self, now: Timestamp) -> Option<ClaimStep> {
        if self.next_start_at.is_some_and(|at| at <= now) {
            (self.next_start_at, self.maybe_ready) = (None, true);
        }
        if !self.is_backoff_over(now) {
            return None;
        }
        self.backoff_until = None;
        let free = self.free();
        if !self.maybe_ready || free == 0 {
            return None;
        }
        self.maybe_ready = false;
        Some(ClaimStep { free, claim_unknown: self.claim_unknown })
    }

    /// Whether a claim is the next step while only some of the slots are free: it pays to wait for
    /// the others, which are often freed together.
    pub(super) fn has_few_slots(&self, now: Timestamp) -> bool {
        let slots = self.limits.worker_concurrency.map(|it| it.min(MAX_PER_CLAIM));
        self.maybe_ready
            && self.is_backoff_over(now)
            && self.free() > 0
            && slots.is_some_and(|slots| self.free() < slots)
    }

    /// When the state changes by itself: the end of the back-off, or the next start that the rate
    /// limit allows.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        self.backoff_until.or(self.next_start_at)
    }

    /// A claim of up to `free` workflows took `taken` of them, and read the limits.
    pub(super) fn claimed(&mut self, free: u32, taken: u32, limits: StoredLimits, next_start_at: Option<Timestamp>) {
        self.limits = limits;
        self.next_start_at = next_start_at;
        self.maybe_ready |= taken >= free; // there may be more
    }

    /// A claim failed: nothing is claimed for the `delay` of the number of failures in a row, which is
    /// returned.
    pub(super) fn failed(&mut self, now: Timestamp, delay: impl Fn(u32) -> Duration) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.backoff_until = Some(now.saturating_add(delay(self.failures)));
        self.maybe_ready = true;
        self.failures
    }

    /// A claim succeeded. Returns how many had failed before it.
    pub(super) fn succeeded(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }

    /// Whether a claim may have taken workflows without an answer.
    pub(super) fn set_claim_unknown(&mut self, claim_unknown: bool) {
        self.claim_unknown = claim_unknown;
        self.maybe_ready |= claim_unknown; // what the claim took no longer waits, whatever it was
    }

    /// A workflow takes a slot.
    pub(super) fn take_slot(&mut self) {
        self.running += 1;
    }

    /// A workflow, with a partition key or without, frees its slot.
    pub(super) fn free_slot(&mut self, keyed: bool) {
        self.running = self.running.saturating_sub(1);
        // Otherwise the last claim took everything, or as many as there were slots; in the second case the
        // queue has been maybe ready since.
        self.maybe_ready |= self.frees_others(keyed);
    }

    fn is_backoff_over(&self, now: Timestamp) -> bool {
        self.backoff_until.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn ready(limits: StoredLimits) -> QueueState {
        let mut state = QueueState::new(limits);
        state.notify();
        state
    }

    #[test]
    fn a_claim_asks_for_no_more_than_the_free_slots() {
        let mut state = ready(StoredLimits { worker_concurrency: Some(2), ..StoredLimits::default() });
        assert_eq!(state.take_claim(at(0)).map(|it| it.free), Some(2));
        assert_eq!(state.take_claim(at(0)), None, "nothing was enqueued since");
        state.take_slot();
        state.take_slot();
        state.notify();
        assert_eq!(state.take_claim(at(0)), None, "no slot is free");
        state.free_slot(false);
        assert_eq!(state.take_claim(at(0)).map(|it| it.free), Some(1));
    }

    #[test]
    fn a_free_slot_causes_a_claim_only_if_a_workflow_may_wait_for_it() {
        let mut state = ready(StoredLimits::default());
        let claim = state.take_claim(at(0)).expect("it is ready");
        state.take_slot();
        state.claimed(claim.free, 1, StoredLimits::default(), None);
        state.free_slot(false);
        assert_eq!(state.take_claim(at(0)), None, "the claim took everything");
        state.claimed(claim.free, claim.free, StoredLimits::default(), None);
        assert!(state.take_claim(at(0)).is_some(), "there may be more");
        state.claimed(claim.free, 1, StoredLimits { concurrency: Some(5), ..StoredLimits::default() }, None);
        state.take_slot();
        state.free_slot(false);
        assert!(state.take_claim(at(0)).is_some(), "the fleet limit may have stopped the claim");
        state.claimed(claim.free, 1, StoredLimits::default(), None);
        state.take_slot();
        state.free_slot(true);
        assert!(state.take_claim(at(0)).is_some(), "the next workflow of the partition key may have waited for it");
    }

    #[test]
    fn a_queue_with_an_unknown_claim_is_always_ready() {
        let mut state = QueueState::default();
        state.set_claim_unknown(true);
        assert_eq!(state.take_claim(at(0)).map(|it| it.claim_unknown), Some(true));
    }

    #[test]
    fn nothing_is_claimed_during_the_back_off_even_after_an_enqueue() {
        let mut state = ready(StoredLimits { worker_concurrency: Some(2), ..StoredLimits::default() });
        state.take_slot();
        let delay = |failures| Duration::from_micros(u64::from(failures) * 10);
        assert_eq!((state.failed(at(0), delay), state.failed(at(0), delay)), (1, 2));
        state.notify();
        assert!(state.take_claim(at(19)).is_none() && !state.is_ready(at(19)) && !state.has_few_slots(at(19)));
        assert_eq!(state.wakes_at(), Some(at(20)));
        assert!(state.is_ready(at(20)) && state.has_few_slots(at(20)));
        assert!(state.take_claim(at(20)).is_some());
        assert_eq!(state.wakes_at(), None);
        assert_eq!((state.succeeded(), state.failed(at(0), delay)), (2, 1), "only failures in a row count");
    }

    #[test]
    fn the_next_start_of_a_rate_limit_makes_the_queue_ready() {
        let mut state = ready(StoredLimits::default());
        let claim = state.take_claim(at(0)).expect("it is ready");
        state.claimed(claim.free, 0, StoredLimits::default(), Some(at(50)));
        assert_eq!(state.wakes_at(), Some(at(50)));
        assert_eq!(state.take_claim(at(49)), None);
        assert!(state.take_claim(at(50)).is_some());
    }

    /// What can happen to a queue.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Enqueue,
        Claim { taken: u32, next_start_in: Option<Duration> },
        Fail,
        End,
        Wait(Duration),
    }

    fn durations() -> impl Strategy<Value = Duration> {
        (1_u64..100).prop_map(Duration::from_micros)
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Enqueue),
            4 => (0_u32..5, prop::option::of(durations())).prop_map(|(taken, next_start_in)| Event::Claim { taken, next_start_in }),
            1 => Just(Event::Fail),
            3 => Just(Event::End),
            2 => durations().prop_map(Event::Wait),
        ]
    }

    proptest! {
        #[test]
        fn slots_are_never_exceeded_and_nothing_enqueued_is_forgotten(
            slots in 1_u32..4, events in prop::collection::vec(events(), 0..200),
        ) {
            let limits = StoredLimits { worker_concurrency: Some(slots), ..StoredLimits::default() };
            let mut state = QueueState::new(limits);
            // `waiting` is what the database would hold, `limited` whether its rate limit holds it back.
            let (mut now, mut waiting, mut running, mut limited) = (at(0), 0_u32, 0_u32, false);
            for event in events {
                match event {
                    Event::Enqueue => { waiting += 1; state.notify(); }
                    Event::Claim { taken, next_start_in } => if let Some(claim) = state.take_claim(now) {
                        prop_assert!(claim.free > 0 && claim.free <= slots - running);
                        let all = waiting.min(claim.free);
                        limited = next_start_in.is_some();
                        let taken = if limited { taken.min(all) } else { all };
                        (waiting, running) = (waiting - taken, running + taken);
                        (0..taken).for_each(|_| state.take_slot());
                        state.claimed(claim.free, taken, limits, next_start_in.map(|it| now.saturating_add(it)));
                        state.succeeded();
                    },
                    Event::Fail => if state.take_claim(now).is_some() {
                        state.failed(now, |failures| Duration::from_micros(u64::from(failures.min(5)) * 10));
                    },
                    Event::End => if running > 0 { running -= 1; state.free_slot(false); },
                    Event::Wait(time) => now = now.saturating_add(time),
                }
                if waiting > 0 && running < slots {
                    prop_assert!(
                        state.is_ready(now) || state.wakes_at().is_some_and(|at| at > now),
                        "{waiting} wait, {running} run, limited {limited}: {state:?}"
                    );
                }
            }
        }
    }
}
