//! Who waits for something that the database will show: messages, events, items of streams, ends of
//! workflows. One question to the database for all of them, asked when there is news.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::store::{FinishedWorkflow, Hint, PollRequest, PollResult, StreamCursor};
use crate::types::keys::{MessageKey, WorkflowKey};
use crate::types::status::Status;
use crate::types::sync::lock;
use crate::wait::wakeup::Wakeup;

/// How many are asked for at once; the others are next.
const MAX_PER_POLL: usize = 50_000;

/// What is waited for.
#[derive(Debug, Clone)]
pub(crate) enum WaitFor {
    /// The end of the workflow with this id. For those who can wait on, parking is no end.
    End { id: Arc<str>, parked_counts: bool },
    /// The oldest message on a topic, to the workflow with this key.
    Message { workflow: WorkflowKey, topic: Arc<str> },
    /// The value of an event of the workflow with this id.
    Event { id: Arc<str>, name: Arc<str> },
    /// Anything behind a mark in a stream of the workflow with this id.
    Stream { id: Arc<str>, name: Arc<str>, mark: Box<StreamCursor> },
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) enum WaitResult {
    Ended(Arc<FinishedWorkflow>),
    Message {
        key: MessageKey,
        payload: String,
    },
    /// The value; `None` when it will never be set.
    Event(Option<String>),
    Stream,
}

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    state: Mutex<WaiterState>,
    /// Pokes the task that asks.
    pub(crate) wakeup: Wakeup,
    /// Whether somebody tells of what other processes write, so that asking by the clock is only for safety.
    pub(crate) listening: AtomicBool,
}

/// The hint that concerns a wait, and a number that tells it from the others.
type WaiterKey = (Hint, u64);

#[derive(Debug, Default)]
struct WaiterState {
    slots: BTreeMap<WaiterKey, Waiter>,
    last_number: u64,
    /// Whom to ask for next: who begins to wait, and those there is news of.
    due: Vec<WaiterKey>,
    /// Whom to ask for when nobody is due: all, now and then, for safety. Nobody waits behind them.
    in_turn: Vec<WaiterKey>,
    released: ReleaseScope,
}

/// Who is let go of without news.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReleaseScope {
    #[default]
    Nobody,
    /// Workflows that wait for the end of another one. One that runs here they do not wait for in this
    /// way, and nobody here will run one that does not.
    Parents,
    /// Workflows, which go on elsewhere or later.
    Bodies,
    Everybody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollTurn {
    Nowhere,
    Later,
    Due,
}

#[derive(Debug)]
struct Waiter {
    want: WaitFor,
    waker: Option<Waker>,
    /// Boxed, because most of the time nobody has any.
    wakeup: Option<Box<WaitResult>>,
    /// Which list it is in.
    turn: PollTurn,
    /// Whether the database was asked for it since it came here.
    looked: bool,
    /// Who may let go of it.
    released_with: ReleaseScope,
}

impl Waiters {
    /// Begins to wait for something of the workflow with the id `of`; a workflow's body is let go of
    /// when the engine goes down, others later.
    pub(crate) fn wait(&self, of: &str, want: WaitFor, in_body: bool) -> WaitHandle<'_> {
        let released_with = match &want {
            _ if !in_body => ReleaseScope::Everybody,
            WaitFor::End { .. } => ReleaseScope::Parents,
            _ => ReleaseScope::Bodies,
        };
        let hint = Hint::for_workflow(of);
        let mut state = lock(&self.state);
        state.last_number += 1;
        let key = (hint, state.last_number);
        state
            .slots
            .insert(key, Waiter { want, waker: None, wakeup: None, turn: PollTurn::Due, looked: false, released_with });
        state.due.push(key);
        drop(state);
        self.wakeup.wake();
        WaitHandle { waits: self, key }
    }

    /// There is news of something.
    pub(crate) fn notify(&self, hint: Hint) {
        let mut state = lock(&self.state);
        let WaiterState { slots, due, .. } = &mut *state;
        let before = due.len();
        for (key, slot) in slots.range_mut((hint, 0)..=(hint, u64::MAX)) {
            slot.requeue(*key, due);
        }
        let more = due.len() > before;
        drop(state);
        if more {
            self.wakeup.wake();
        }
    }

    /// There may be news of anything.
    pub(crate) fn notify_all(&self) {
        let mut state = lock(&self.state);
        let WaiterState { slots, due, in_turn, .. } = &mut *state;
        for (key, slot) in slots.iter_mut() {
            if slot.turn == PollTurn::Nowhere {
                slot.turn = PollTurn::Later;
                in_turn.push(*key);
            }
        }
        let any = !due.is_empty() || !in_turn.is_empty();
        drop(state);
        if any {
            self.wakeup.wake();
        }
    }

    /// Lets go of them, and of all who come later.
    pub(crate) fn release(&self, whom: ReleaseScope) {
        let mut state = lock(&self.state);
        state.released = state.released.max(whom);
        let released = state.released;
        let wakers: Vec<Waker> = state
            .slots
            .values_mut()
            .filter(|slot| slot.looked && slot.released_with <= released)
            .filter_map(|slot| slot.waker.take())
            .collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether anybody waits.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).slots.is_empty()
    }

    /// Whether others tell of what they write.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// The question for those whose turn it is, with who they are.
    pub(crate) fn next_batch(&self) -> PollBatch {
        let mut state = lock(&self.state);
        let WaiterState { slots, due, in_turn, .. } = &mut *state;
        let mut question = PollBatch::default();
        let next = if due.is_empty() { &mut *in_turn } else { &mut *due };
        for key in next.drain(..next.len().min(MAX_PER_POLL)) {
            if let Some(slot) = slots.get_mut(&key)
                && slot.turn != PollTurn::Nowhere
            {
                slot.turn = PollTurn::Nowhere;
                question.add(key, &slot.want);
            }
        }
        next.shrink_to(1024); // there may have been a hundred thousand of them
        if !due.is_empty() || !in_turn.is_empty() {
            self.wakeup.wake(); // the others are asked for next, and not when somebody comes along
        }
        question
    }

    /// Puts back those whose question got no answer.
    pub(crate) fn retry(&self, question: &PollBatch) {
        let mut state = lock(&self.state);
        let WaiterState { slots, due, .. } = &mut *state;
        for key in question.keys() {
            if let Some(slot) = slots.get_mut(key) {
                slot.requeue(*key, due);
            }
        }
    }

    /// Hands out what was found.
    pub(crate) fn resolve(&self, question: &PollBatch, found: PollResult) {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        let released = state.released;
        let mut give = |key: &WaiterKey, news: Option<WaitResult>| {
            let Some(slot) = state.slots.get_mut(key) else { return };
            let first = !std::mem::replace(&mut slot.looked, true);
            if news.is_some() {
                slot.wakeup = news.map(Box::new);
            }
            if first || slot.wakeup.is_some() || slot.released_with <= released {
                wakers.extend(slot.waker.take());
            }
        };
        for ended in found.ends {
            let keys = question.ends.get(&ended.id).map_or(&[][..], Vec::as_slice);
            let ended = Arc::new(ended);
            for (key, parked_counts) in keys {
                if *parked_counts || ended.status != Status::Parked {
                    give(key, Some(WaitResult::Ended(Arc::clone(&ended))));
                }
            }
        }
        for message in found.messages {
            let news = WaitResult::Message { key: message.key, payload: message.payload };
            give(&question.messages[message.index], Some(news));
        }
        for event in found.events {
            give(&question.events[event.index], Some(WaitResult::Event(event.value)));
        }
        for index in found.streams {
            give(&question.streams[index], Some(WaitResult::Stream));
        }
        for key in question.keys() {
            give(key, None);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Waiter {
    fn requeue(&mut self, key: WaiterKey, due: &mut Vec<WaiterKey>) {
        if self.turn != PollTurn::Due {
            self.turn = PollTurn::Due;
            due.push(key);
        }
    }
}

/// A question to the database, and who asked.
#[derive(Debug, Default)]
pub(crate) struct PollBatch {
    pub(crate) request: PollRequest,
    ends: HashMap<String, Vec<(WaiterKey, bool)>>,
    messages: Vec<WaiterKey>,
    events: Vec<WaiterKey>,
    streams: Vec<WaiterKey>,
}

impl PollBatch {
    fn add(&mut self, key: WaiterKey, want: &WaitFor) {
        match want {
            WaitFor::End { id, parked_counts } => {
                let askers = self.ends.entry(id.to_string()).or_default();
                if askers.is_empty() {
                    self.request.ends.push(id.to_string());
                }
                askers.push((key, *parked_counts));
            }
            WaitFor::Message { workflow, topic } => {
                self.request.messages.push((*workflow, topic.to_string()));
                self.messages.push(key);
            }
            WaitFor::Event { id, name } => {
                self.request.events.push((id.to_string(), name.to_string()));
                self.events.push(key);
            }
            WaitFor::Stream { id, name, mark } => {
                self.request.streams.push((id.to_string(), name.to_string(), **mark));
                self.streams.push(key);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    fn keys(&self) -> impl Iterator<Item = &WaiterKey> {
        let ends = self.ends.values().flatten().map(|(key, _)| key);
        ends.chain(&self.messages).chain(&self.events).chain(&self.streams)
    }
}

/// A wait. Dropped, it is over.
#[derive(Debug)]
#[must_use = "nobody hears what is not awaited"]
pub(crate) struct WaitHandle<'a> {
    waits: &'a Waiters,
    key: WaiterKey,
}

impl WaitHandle<'_> {
    /// What is there already: `None` after the database was asked and had nothing.
    pub(crate) async fn first(&self) -> Option<WaitResult> {
        poll_fn(|cx| {
            self.poll(cx.waker(), |slot, _| match slot.wakeup.take() {
                None if slot.looked => Some(None),
                None => None,
                Some(news) => Some(Some(*news)),
            })
        })
        .await
    }

    /// What comes; `None` when the engine goes down before. The database is asked once in any case.
    pub(crate) async fn next(&self) -> Option<WaitResult> {
        poll_fn(|cx| {
            self.poll(cx.waker(), |slot, released| match slot.wakeup.take() {
                None if slot.looked && slot.released_with <= released => Some(None),
                None => None,
                Some(news) => Some(Some(*news)),
            })
        })
        .await
    }

    /// Asks again: what came was of no use.
    pub(crate) fn retry_read(&self) {
        let mut state = lock(&self.waits.state);
        let WaiterState { slots, due, .. } = &mut *state;
        if let Some(slot) = slots.get_mut(&self.key) {
            (slot.wakeup, slot.looked) = (None, false);
            slot.requeue(self.key, due);
        }
        drop(state);
        self.waits.wakeup.wake();
    }

    fn poll<T>(&self, waker: &Waker, answer: impl FnOnce(&mut Waiter, ReleaseScope) -> Option<T>) -> Poll<T> {
        let mut state = lock(&self.waits.state);
        let released = state.released;
        let Some(slot) = state.slots.get_mut(&self.key) else { return Poll::Pending }; // it is there until the drop
        if let Some(answer) = answer(slot, released) {
            return Poll::Ready(answer);
        }
        slot.waker = Some(waker.clone());
        Poll::Pending
    }
}

impl Drop for WaitHandle<'_> {
    fn drop(&mut self) {
        lock(&self.waits.state).slots.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PolledMessage;

    fn message(workflow: i64) -> WaitFor {
        WaitFor::Message { workflow: workflow.into(), topic: "paid".into() }
    }

    #[tokio::test]
    async fn who_begins_to_wait_is_asked_for_once_and_again_when_there_is_news() {
        let waits = Waiters::default();
        let waiting = waits.wait("w", message(1), true);
        let question = waits.next_batch();
        assert_eq!(question.request.messages, [(WorkflowKey::new(1), "paid".to_owned())]);
        waits.resolve(&question, PollResult::default());
        assert!(waiting.first().await.is_none(), "there was nothing");
        assert!(waits.next_batch().is_empty(), "and nobody asks again without a reason");

        waits.notify(Hint::for_workflow("another"));
        assert!(waits.next_batch().is_empty());
        waits.notify(Hint::for_workflow("w"));
        waits.notify(Hint::for_workflow("w"));
        let question = waits.next_batch();
        assert_eq!(question.request.messages.len(), 1, "told twice, asked once");
        let messages = vec![PolledMessage { index: 0, key: MessageKey::new(7), payload: "true".to_owned() }];
        waits.resolve(&question, PollResult { messages, ..PollResult::default() });
        assert!(matches!(waiting.next().await, Some(WaitResult::Message { key, .. }) if key.get() == 7));
    }

    #[tokio::test]
    async fn who_has_news_is_not_asked_for_behind_those_whose_turn_it_is() {
        let waits = Waiters::default();
        let _waiting: Vec<_> = (0..3).map(|it| waits.wait("w", message(it), true)).collect();
        let _told = waits.wait("told", message(7), true);
        while !waits.next_batch().is_empty() {}
        waits.notify_all();
        waits.notify(Hint::for_workflow("told"));
        assert_eq!(waits.next_batch().request.messages, [(WorkflowKey::new(7), "paid".to_owned())]);
        assert_eq!(waits.next_batch().request.messages.len(), 3, "the others, and it is not asked for twice");
        assert!(waits.next_batch().is_empty());
    }

    #[tokio::test]
    async fn news_that_comes_while_the_question_is_out_is_asked_for_again() {
        let waits = Waiters::default();
        let _waiting = waits.wait("w", message(1), true);
        let question = waits.next_batch();
        waits.notify(Hint::for_workflow("w"));
        waits.resolve(&question, PollResult::default());
        assert!(!waits.next_batch().is_empty());
    }

    #[tokio::test]
    async fn at_the_end_bodies_are_let_go_of_first_and_never_before_the_database_was_asked() {
        let waits = Waiters::default();
        let (body, outside) = (waits.wait("w", message(1), true), waits.wait("w", message(2), false));
        waits.release(ReleaseScope::Bodies);
        let polled = poll_fn(|cx| {
            let mut next = std::pin::pin!(body.next());
            Poll::Ready(next.as_mut().poll(cx).is_pending())
        });
        assert!(polled.await, "a message may be there");
        waits.resolve(&waits.next_batch(), PollResult::default());
        assert!(body.next().await.is_none());
        waits.release(ReleaseScope::Everybody);
        assert!(outside.next().await.is_none());
    }

    #[tokio::test]
    async fn a_dropped_wait_leaves_nothing_behind() {
        let waits = Waiters::default();
        drop(waits.wait("w", message(1), true));
        assert!(waits.is_empty() && waits.next_batch().is_empty());
    }
}
