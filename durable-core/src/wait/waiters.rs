//! The calls that wait for something in the database: messages, events, items of streams, ends of
//! workflows. One request polls for all of them, when there is a reason to.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};

use tokio::sync::Notify;

use crate::store::{Hint, PollResult};
use crate::types::sync::atomic::{AtomicBool, Ordering};
use crate::types::sync::{Mutex, lock};
use crate::wait::poll_batch::{PollBatch, WaitFor, WaitResult, WaiterKey};
use crate::wait::poll_order::{PollOrder, PollTurn};
use crate::wait::wakeup::Wakeup;

/// How many waiters one request polls for.
const MAX_PER_POLL: usize = 50_000;

/// The calls that wait for something in the database.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    state: Mutex<WaiterState>,
    /// Wakes the poller.
    pub(crate) wakeup: Wakeup,
    /// Whether other processes' writes are notified, so that polling at intervals is only for safety.
    pub(crate) listening: AtomicBool,
    /// Notified when there may be nothing left to answer.
    settled: Notify,
}

#[derive(Debug, Default)]
struct WaiterState {
    waiters: BTreeMap<WaiterKey, Waiter>,
    last_number: u64,
    order: PollOrder<WaiterKey>,
    released: ReleaseScope,
    /// Whether a batch is under way.
    polling: bool,
    /// How many waits were answered and are not over yet.
    answered: usize,
    /// How many callers have read a part of something, and read on.
    reading: usize,
    /// How many callers wait for a run of this process; when it has no result, they wait for one in the database.
    following: usize,
}

impl WaiterState {
    /// Whether everything that was notified is polled for, every wait that has a result is over, and no caller is
    /// between two reads.
    fn is_settled(&self) -> bool {
        self.order.is_empty() && !self.polling && self.answered == 0 && self.reading == 0
    }
}

/// Which waiters return without a result, because the engine shuts down.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReleaseScope {
    #[default]
    None,
    /// Workflows that wait for the end of another one. Such a wait polls the database only if that one
    /// does not run in this process, and this process starts no more.
    WorkflowResults,
    /// All workflows: they continue in another process or later.
    Workflows,
    /// Callers outside of workflows too.
    All,
}

#[derive(Debug)]
struct Waiter {
    wait_for: WaitFor,
    waker: Option<Waker>,
    /// Boxed, because most waiters have none most of the time.
    result: Option<Box<WaitResult>>,
    turn: PollTurn,
    /// Whether the database was polled for it since the wait began.
    polled: bool,
    /// Whether it got a result.
    answered: bool,
    /// The smallest scope that releases it.
    release_scope: ReleaseScope,
}

impl Waiters {
    /// Begins to wait for something of the workflow with the id `workflow`. At shutdown a wait in a
    /// workflow's body is released first, others later.
    pub(crate) fn wait(&self, workflow: &str, wait_for: WaitFor, in_body: bool) -> WaitHandle<'_> {
        let release_scope = match &wait_for {
            _ if !in_body => ReleaseScope::All,
            WaitFor::End { .. } => ReleaseScope::WorkflowResults,
            _ => ReleaseScope::Workflows,
        };
        let mut state = lock(&self.state);
        state.last_number += 1;
        let key = (Hint::hash_of(workflow), state.last_number);
        let mut waiter = Waiter {
            wait_for,
            waker: None,
            result: None,
            turn: PollTurn::Idle,
            polled: false,
            answered: false,
            release_scope,
        };
        state.order.mark_due(key, &mut waiter.turn);
        state.waiters.insert(key, waiter);
        drop(state);
        self.wakeup.wake();
        WaitHandle { waiters: self, key }
    }

    /// Something of a workflow whose hint has this hash has changed.
    pub(crate) fn notify(&self, hash: u32) {
        let mut state = lock(&self.state);
        let WaiterState { waiters, order, .. } = &mut *state;
        let mut any = false;
        for (key, waiter) in waiters.range_mut((hash, 0)..=(hash, u64::MAX)) {
            any |= order.mark_due(*key, &mut waiter.turn);
        }
        drop(state);
        if any {
            self.wakeup.wake();
        }
    }

    /// Anything may have changed.
    pub(crate) fn notify_all(&self) {
        let mut state = lock(&self.state);
        let WaiterState { waiters, order, .. } = &mut *state;
        for (key, waiter) in waiters.iter_mut() {
            order.mark_deferred(*key, &mut waiter.turn);
        }
        let any = !order.is_empty();
        drop(state);
        if any {
            self.wakeup.wake();
        }
    }

    /// Releases the waiters in this scope, and those that come later, each after one poll.
    pub(crate) fn release(&self, scope: ReleaseScope) {
        let mut state = lock(&self.state);
        state.released = state.released.max(scope);
        let released = state.released;
        let is_released = |waiter: &&mut Waiter| waiter.polled && waiter.release_scope <= released;
        let waiters = state.waiters.values_mut().filter(is_released);
        let wakers: Vec<Waker> = waiters.filter_map(|waiter| waiter.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether there is no waiter.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).waiters.is_empty()
    }

    /// Whether other processes' writes are notified.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// The next request, with the waiters that it is for.
    pub(crate) fn next_batch(&self) -> PollBatch {
        let mut state = lock(&self.state);
        let WaiterState { waiters, order, .. } = &mut *state;
        let mut batch = PollBatch::default();
        order.take_next(MAX_PER_POLL, |key, from| {
            if let Some(waiter) = waiters.get_mut(&key)
                && waiter.turn.leave(from)
            {
                batch.add(key, &waiter.wait_for);
            }
        });
        if !order.is_empty() {
            self.wakeup.wake(); // the next batch follows without a reason of its own
        }
        state.polling = true;
        batch
    }

    /// Polls again for a batch that got no answer.
    pub(crate) fn retry(&self, batch: &PollBatch) {
        let mut state = lock(&self.state);
        state.polling = false;
        let WaiterState { waiters, order, .. } = &mut *state;
        for key in batch.keys() {
            if let Some(waiter) = waiters.get_mut(&key) {
                order.mark_due(key, &mut waiter.turn);
            }
        }
    }

    /// Distributes the answer to a batch.
    pub(crate) fn resolve(&self, batch: &PollBatch, found: PollResult) {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        let released = state.released;
        for (key, result) in batch.results(found) {
            let WaiterState { waiters, answered, .. } = &mut *state;
            if let Some(waiter) = waiters.get_mut(&key) {
                waiter.result = Some(Box::new(result));
                *answered += usize::from(!std::mem::replace(&mut waiter.answered, true));
            }
        }
        state.polling = false;
        for key in batch.keys() {
            let Some(waiter) = state.waiters.get_mut(&key) else { continue };
            let is_first = !std::mem::replace(&mut waiter.polled, true);
            if is_first || waiter.result.is_some() || waiter.release_scope <= released {
                wakers.extend(waiter.waker.take());
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.settled.notify_waiters();
    }

    /// A caller has read a part of something, such as a page of a stream. It reads on until [`end_reading`](Self::end_reading).
    pub(crate) fn begin_reading(&self) {
        lock(&self.state).reading += 1;
    }

    /// It waits for more, has everything, or has given up.
    pub(crate) fn end_reading(&self) {
        lock(&self.state).reading -= 1;
        self.settled.notify_waiters();
    }

    /// A caller waits for a run of this process, until what this returns is dropped.
    pub(crate) fn follow(&self) -> Following<'_> {
        lock(&self.state).following += 1;
        Following(self)
    }

    /// Returns when everything that was notified is polled for, every wait that has a result is over, and no caller is
    /// between two reads.
    pub(crate) async fn settle(&self) {
        self.until(WaiterState::is_settled).await;
    }

    /// Like [`settle`](Self::settle), and those that wait for a run of this process have their answer too.
    pub(crate) async fn settle_followers(&self) {
        self.until(|state| state.is_settled() && state.following == 0).await;
    }

    async fn until(&self, holds: impl Fn(&WaiterState) -> bool) {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable(); // before the check, so that a notification between the two is received
            if holds(&lock(&self.state)) {
                return;
            }
            settled.await;
        }
    }
}

/// A caller that waits for a run of this process.
#[derive(Debug)]
pub(crate) struct Following<'a>(&'a Waiters);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).following -= 1;
        self.0.settled.notify_waiters();
    }
}

/// A wait. Dropped, it is over.
#[derive(Debug)]
#[must_use = "a wait has no effect unless it is awaited"]
pub(crate) struct WaitHandle<'a> {
    waiters: &'a Waiters,
    key: WaiterKey,
}

impl WaitHandle<'_> {
    /// What is there already: `None` after the database was polled and had nothing.
    pub(crate) async fn current(&self) -> Option<WaitResult> {
        poll_fn(|cx| {
            self.poll(cx.waker(), |waiter, _| match waiter.result.take() {
                None if waiter.polled => Some(None),
                None => None,
                Some(result) => Some(Some(*result)),
            })
        })
        .await
    }

    /// The result; `None` when the wait is released before. The database is polled once in any case.
    pub(crate) async fn next(&self) -> Option<WaitResult> {
        poll_fn(|cx| self.poll_next(cx.waker())).await
    }

    /// The same, with the waker of the task to wake.
    pub(crate) fn poll_next(&self, waker: &Waker) -> Poll<Option<WaitResult>> {
        self.poll(waker, |waiter, released| match waiter.result.take() {
            None if waiter.polled && waiter.release_scope <= released => Some(None),
            None => None,
            Some(result) => Some(Some(*result)),
        })
    }

    /// Polls again: the result was of no use.
    pub(crate) fn retry_read(&self) {
        let mut state = lock(&self.waiters.state);
        let WaiterState { waiters, order, answered, .. } = &mut *state;
        if let Some(waiter) = waiters.get_mut(&self.key) {
            (waiter.result, waiter.polled) = (None, false);
            *answered -= usize::from(std::mem::take(&mut waiter.answered));
            order.mark_due(self.key, &mut waiter.turn);
        }
        drop(state);
        self.waiters.wakeup.wake();
    }

    fn poll<T>(&self, waker: &Waker, ready: impl FnOnce(&mut Waiter, ReleaseScope) -> Option<T>) -> Poll<T> {
        let mut state = lock(&self.waiters.state);
        let released = state.released;
        let Some(waiter) = state.waiters.get_mut(&self.key) else { return Poll::Pending }; // it is there until the drop
        if let Some(value) = ready(waiter, released) {
            return Poll::Ready(value);
        }
        waiter.waker = Some(waker.clone());
        Poll::Pending
    }
}

impl Drop for WaitHandle<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.waiters.state);
        if state.waiters.remove(&self.key).is_some_and(|it| it.answered) {
            state.answered -= 1;
            drop(state);
            self.waiters.settled.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PolledMessage;
    use crate::types::keys::{MessageKey, WorkflowKey};

    fn message(workflow: i64) -> WaitFor {
        WaitFor::Message { workflow: workflow.into(), topic: "paid".into() }
    }

    #[tokio::test]
    async fn a_waiter_is_polled_for_once_and_again_after_a_notification() {
        let waiters = Waiters::default();
        let waiting = waiters.wait("w", message(1), true);
        let batch = waiters.next_batch();
        assert_eq!(batch.request.messages, [(WorkflowKey::new(1), "paid".to_owned())]);
        waiters.resolve(&batch, PollResult::default());
        assert!(waiting.current().await.is_none(), "there was nothing");
        assert!(waiters.next_batch().is_empty(), "and it is not polled for again without a reason");

        waiters.notify(Hint::hash_of("another"));
        assert!(waiters.next_batch().is_empty());
        waiters.notify(Hint::hash_of("w"));
        waiters.notify(Hint::hash_of("w"));
        let batch = waiters.next_batch();
        assert_eq!(batch.request.messages.len(), 1, "notified twice, polled once");
        let messages = vec![PolledMessage { index: 0, key: MessageKey::new(7), payload: "true".to_owned() }];
        waiters.resolve(&batch, PollResult { messages, ..PollResult::default() });
        assert!(matches!(waiting.next().await, Some(WaitResult::Message { key, .. }) if key.get() == 7));
    }

    #[tokio::test]
    async fn a_notified_waiter_is_polled_before_deferred_ones() {
        let waiters = Waiters::default();
        let _waiting: Vec<_> = (0..3).map(|it| waiters.wait("w", message(it), true)).collect();
        let _notified = waiters.wait("notified", message(7), true);
        while !waiters.next_batch().is_empty() {}
        waiters.notify_all();
        waiters.notify(Hint::hash_of("notified"));
        let messages = waiters.next_batch().request.messages;
        assert_eq!(messages[0], (WorkflowKey::new(7), "paid".to_owned()));
        assert_eq!(messages.len(), 4, "the others, and it is not polled for twice");
        assert!(waiters.next_batch().is_empty());
    }

    #[tokio::test]
    async fn a_notification_during_a_poll_causes_another_poll() {
        let waiters = Waiters::default();
        let _waiting = waiters.wait("w", message(1), true);
        let batch = waiters.next_batch();
        waiters.notify(Hint::hash_of("w"));
        waiters.resolve(&batch, PollResult::default());
        assert!(!waiters.next_batch().is_empty());
    }

    #[tokio::test]
    async fn at_shutdown_bodies_are_released_first_and_never_before_a_poll() {
        let waiters = Waiters::default();
        let (body, outside) = (waiters.wait("w", message(1), true), waiters.wait("w", message(2), false));
        waiters.release(ReleaseScope::Workflows);
        let polled = poll_fn(|cx| {
            let mut next = std::pin::pin!(body.next());
            Poll::Ready(next.as_mut().poll(cx).is_pending())
        });
        assert!(polled.await, "a message may be there");
        waiters.resolve(&waiters.next_batch(), PollResult::default());
        assert!(body.next().await.is_none());
        waiters.release(ReleaseScope::All);
        assert!(outside.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_settled_while_a_caller_is_between_two_reads() {
        let waiters = Waiters::default();
        waiters.begin_reading();
        let mut settled = std::pin::pin!(waiters.settle());
        let is_pending = poll_fn(|cx| Poll::Ready(settled.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending, "there may be another page");
        waiters.end_reading();
        settled.await;
    }

    #[tokio::test]
    async fn nothing_is_settled_while_one_is_still_to_be_polled_for_safety() {
        let waiters = Waiters::default();
        let _waiting = waiters.wait("w", message(1), true);
        waiters.resolve(&waiters.next_batch(), PollResult::default());
        waiters.notify_all();
        let mut settled = std::pin::pin!(waiters.settle());
        let is_pending = poll_fn(|cx| Poll::Ready(settled.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending, "there may be a result");
        waiters.resolve(&waiters.next_batch(), PollResult::default());
        settled.await;
    }

    #[tokio::test]
    async fn a_caller_that_follows_a_run_is_settled_once_it_stops_following() {
        let waiters = Waiters::default();
        let following = waiters.follow();
        waiters.settle().await;
        let mut settled = std::pin::pin!(waiters.settle_followers());
        let is_pending = poll_fn(|cx| Poll::Ready(settled.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending, "it is about to wait in the database");
        drop(following);
        settled.await;
    }

    #[tokio::test]
    async fn a_dropped_wait_leaves_nothing_behind() {
        let waiters = Waiters::default();
        drop(waiters.wait("w", message(1), true));
        assert!(waiters.is_empty() && waiters.next_batch().is_empty());
    }
}
