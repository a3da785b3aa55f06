//! The order in which waiters are polled: those with a reason first, the others behind them.

/// How many deferred waiters a batch takes along although there are due ones: enough that none
/// starves, and so few that the due ones do not notice.
const DEFERRED_SHARE: usize = 256;

/// The queues of waiters that are to be polled. What a queue holds is a key; the turn is kept with
/// the waiter, because there may be a hundred thousand of them.
#[derive(Debug)]
pub(crate) struct PollOrder<K> {
    /// New waiters, and those that were notified.
    due: Vec<K>,
    /// Waiters that are polled for safety, in case a notification was lost.
    deferred: Vec<K>,
}

/// Which queue a waiter is in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollTurn {
    /// In none.
    #[default]
    Idle,
    Deferred,
    Due,
}

impl<K> Default for PollOrder<K> {
    fn default() -> Self {
        Self { due: Vec::new(), deferred: Vec::new() }
    }
}

impl<K: Copy> PollOrder<K> {
    /// Polls this waiter with the next batch. Returns whether that is new.
    pub(crate) fn mark_due(&mut self, key: K, turn: &mut PollTurn) -> bool {
        let is_new = *turn != PollTurn::Due;
        if is_new {
            *turn = PollTurn::Due;
            self.due.push(key);
        }
        is_new
    }

    /// Polls this waiter when there is time, unless it is in a queue already.
    pub(crate) fn mark_deferred(&mut self, key: K, turn: &mut PollTurn) {
        if *turn == PollTurn::Idle {
            *turn = PollTurn::Deferred;
            self.deferred.push(key);
        }
    }

    /// Whether no waiter is in a queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.deferred.is_empty()
    }

    /// Takes up to `max` due waiters from their queue, and deferred ones: as many if none is due, else a
    /// few beside them. `take` is called with each key and the queue that it was in; a waiter may be gone
    /// by now, or have been moved to the other queue ([`PollTurn::leave`]).
    pub(crate) fn take_next(&mut self, max: usize, mut take: impl FnMut(K, PollTurn)) {
        let deferred_max = if self.due.is_empty() { max } else { DEFERRED_SHARE.min(max) };
        let due = (&mut self.due, max, PollTurn::Due);
        let deferred = (&mut self.deferred, deferred_max, PollTurn::Deferred);
        for (queue, max, turn) in [due, deferred] {
            queue.drain(..queue.len().min(max)).for_each(|key| take(key, turn));
            queue.shrink_to(1024); // there may have been a hundred thousand of them
        }
    }
}

impl PollTurn {
    /// Leaves the queue `from`, and returns whether the waiter was in it.
    pub(crate) fn leave(&mut self, from: Self) -> bool {
        let was_in = *self == from;
        if was_in {
            *self = Self::Idle;
        }
        was_in
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Due(u8),
        Deferred(u8),
        Gone(u8),
        Take(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..40_u8).prop_map(Step::Due),
            4 => (0..40_u8).prop_map(Step::Deferred),
            1 => (0..40_u8).prop_map(Step::Gone),
            3 => (1..8_usize).prop_map(Step::Take),
        ]
    }

    fn take(order: &mut PollOrder<u8>, turns: &mut BTreeMap<u8, PollTurn>, max: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        order.take_next(max, |key, from| {
            if turns.get_mut(&key).is_some_and(|turn| turn.leave(from)) {
                taken.push(key);
            }
        });
        taken
    }

    proptest! {
        /// A model: the set of waiters that asked to be polled since they were polled last.
        #[test]
        fn each_marked_waiter_is_in_exactly_one_later_batch(steps in prop::collection::vec(step(), 0..300)) {
            let (mut order, mut turns) = (PollOrder::default(), BTreeMap::<u8, PollTurn>::new());
            let mut expected = std::collections::BTreeSet::new();
            for step in steps.into_iter().chain(std::iter::repeat_n(Step::Take(64), 16)) {
                match step {
                    Step::Due(key) => {
                        order.mark_due(key, turns.entry(key).or_default());
                        expected.insert(key);
                    }
                    Step::Deferred(key) => {
                        order.mark_deferred(key, turns.entry(key).or_default());
                        expected.insert(key);
                    }
                    Step::Gone(key) => {
                        turns.remove(&key);
                        expected.remove(&key);
                    }
                    Step::Take(max) => for key in take(&mut order, &mut turns, max) {
                        prop_assert!(expected.remove(&key), "{key} was not marked, or is in two batches");
                    }
                }
            }
            prop_assert!(expected.is_empty() && order.is_empty(), "never polled: {expected:?}");
        }

        #[test]
        fn due_waiters_come_first_and_in_the_order_in_which_they_were_marked(keys in prop::collection::btree_set(0..200_u8, 1..100)) {
            let (mut order, mut turns) = (PollOrder::default(), BTreeMap::new());
            order.mark_deferred(255, turns.entry(255).or_default());
            let keys: Vec<u8> = keys.into_iter().rev().collect();
            for key in &keys {
                order.mark_due(*key, turns.entry(*key).or_default());
            }
            let taken = take(&mut order, &mut turns, keys.len());
            prop_assert_eq!(&taken[..keys.len()], &keys[..]);
        }
    }

    #[test]
    fn deferred_waiters_do_not_starve_behind_due_ones() {
        let (mut order, mut turns) = (PollOrder::default(), BTreeMap::new());
        order.mark_deferred(7, turns.entry(7).or_default());
        let polled = (0..3).any(|_| {
            order.mark_due(1, turns.entry(1).or_default());
            take(&mut order, &mut turns, 10).contains(&7)
        });
        assert!(polled);
    }
}
