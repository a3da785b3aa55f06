//! One poll of the database on behalf of many waiters.

use std::collections::HashMap;
use std::sync::Arc;

use crate::store::{FinishedWorkflow, PollRequest, PollResult, StreamCursor};
use crate::types::keys::{MessageKey, WorkflowKey};
use crate::types::status::Status;

/// What a waiter waits for.
#[derive(Debug, Clone)]
pub(crate) enum WaitFor {
    /// The end of the workflow with this id. A workflow that waits for another one waits on while that
    /// one is parked; for a caller outside, parking is an answer. That there is no such workflow is one, too, unless it
    /// may not be committed yet.
    End { id: Arc<str>, parked_counts: bool, missing_counts: bool },
    /// The oldest message on a topic, to the workflow with this key.
    Message { workflow: WorkflowKey, topic: Arc<str> },
    /// The value of an event of a workflow. Parking counts as for its end.
    Event { of: Box<Publisher>, parked_counts: bool },
    /// Anything behind a mark in a stream of a workflow. Parking counts as for its end.
    Stream { of: Box<Publisher>, mark: Box<StreamCursor>, parked_counts: bool },
}

/// A workflow, by its id, and the name of an event or a stream of it. It is boxed, because most waiters wait for messages
/// and have no use for its memory.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) enum WaitResult {
    Ended(Arc<FinishedWorkflow>),
    /// There is no such workflow.
    Missing,
    Message {
        key: MessageKey,
        payload: String,
    },
    /// The value; `None` when it will never be set.
    Event(Option<String>),
    /// The event is not set, or the stream has nothing more, and the workflow is parked.
    Parked,
    Stream,
}

/// Identifies a waiter: the hash in the hint of its workflow, and a number.
pub(super) type WaiterKey = (u32, u64);

/// A request to the database, and the waiters that it is for.
#[derive(Debug, Default)]
pub(crate) struct PollBatch {
    pub(crate) request: PollRequest,
    ends: HashMap<String, Vec<EndWaiter>>,
    messages: Vec<WaiterKey>,
    events: Vec<(WaiterKey, bool)>,
    streams: Vec<(WaiterKey, bool)>,
}

/// A waiter for the end of a workflow, and what else is an answer for it.
#[derive(Debug, Clone, Copy)]
struct EndWaiter {
    key: WaiterKey,
    parked_counts: bool,
    missing_counts: bool,
}

impl PollBatch {
    pub(super) fn add(&mut self, key: WaiterKey, wait_for: &WaitFor) {
        match wait_for {
            &WaitFor::End { ref id, parked_counts, missing_counts } => {
                let waiters = self.ends.entry(id.to_string()).or_default();
                if waiters.is_empty() {
                    self.request.ends.push(id.to_string());
                }
                waiters.push(EndWaiter { key, parked_counts, missing_counts });
            }
            WaitFor::Message { workflow, topic } => {
                self.request.messages.push((*workflow, topic.to_string()));
                self.messages.push(key);
            }
            WaitFor::Event { of, parked_counts } => {
                self.request.events.push((of.id.to_string(), of.name.to_string()));
                self.events.push((key, *parked_counts));
            }
            WaitFor::Stream { of, mark, parked_counts } => {
                self.request.streams.push((of.id.to_string(), of.name.to_string(), **mark));
                self.streams.push((key, *parked_counts));
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    /// The waiters.
    pub(super) fn keys(&self) -> impl Iterator<Item = WaiterKey> {
        let ends = self.ends.values().flatten().map(|it| &it.key);
        let publications = self.events.iter().chain(&self.streams).map(|(key, _)| key);
        ends.chain(&self.messages).chain(publications).copied()
    }

    /// What was found, and for which waiter. The request has an answer for each index that the store returns.
    pub(super) fn results(&self, found: PollResult) -> Vec<(WaiterKey, WaitResult)> {
        let mut results = Vec::new();
        for ended in found.ends {
            let waiters = self.ends.get(&ended.id).map_or(&[][..], Vec::as_slice);
            let ended = Arc::new(ended);
            let counts = |parked_counts: bool| parked_counts || ended.status != Status::Parked;
            let waiters = waiters.iter().filter(|it| counts(it.parked_counts));
            results.extend(waiters.map(|it| (it.key, WaitResult::Ended(Arc::clone(&ended)))));
        }
        for id in found.missing {
            let waiters = self.ends.get(&id).map_or(&[][..], Vec::as_slice);
            results.extend(waiters.iter().filter(|it| it.missing_counts).map(|it| (it.key, WaitResult::Missing)));
        }
        let messages = found.messages.into_iter();
        results.extend(messages.map(|message| {
            let result = WaitResult::Message { key: message.key, payload: message.payload };
            (self.messages[message.index], result)
        }));
        for event in found.events {
            match self.events[event.index] {
                (key, true) if event.parked => results.push((key, WaitResult::Parked)),
                (_, false) if event.parked => {} // it may be resumed and set the event
                (key, _) => results.push((key, WaitResult::Event(event.value))),
            }
        }
        results.extend(found.streams.into_iter().map(|index| (self.streams[index].0, WaitResult::Stream)));
        let parked = found.parked_streams.into_iter().map(|index| self.streams[index]);
        results.extend(parked.filter(|(_, parked_counts)| *parked_counts).map(|(key, _)| (key, WaitResult::Parked)));
        results
    }
}
