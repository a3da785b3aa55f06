//! Rows for the cases of the stores.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use durable_core::Status;
use durable_core::store::{
    Entry, Fence, Finish, FinishedWorkflow, KnownWorkflow, MessageKey, NewExecutor, NewMessage, NewRecord, NewWorkflow,
    Outcome, ParentRun, PollRequest, PolledMessage, Position, Publication, PublicationKind, Store, StreamCursor,
    TakeoverRequest, Verdict, WorkflowKey,
};

pub(crate) const LEASE: Duration = Duration::from_mins(1);

/// A key that no other row of this process has.
pub(crate) fn key<K: From<i64>>() -> K {
    static LAST: AtomicI64 = AtomicI64::new(1_000);
    LAST.fetch_add(1, Ordering::Relaxed).into()
}

/// A registered executor.
pub(crate) async fn register_executor(store: &dyn Store, name: &str) -> Fence {
    register_executor_for(store, name, LEASE).await
}

/// An executor with a lease of its own length.
pub(crate) async fn register_executor_for(store: &dyn Store, name: &str, lease: Duration) -> Fence {
    store.register_executor(&executor(name, lease)).await.expect("the executor signs on")
}

pub(crate) fn executor(name: &str, lease: Duration) -> NewExecutor {
    NewExecutor {
        key: key(),
        name: name.to_owned(),
        host: "host".to_owned(),
        lock_file: Some(format!("/run/{name}.lock")),
        version: "v1".to_owned(),
        takes: None,
        lease,
    }
}

pub(crate) fn workflow(id: &str) -> NewWorkflow {
    NewWorkflow {
        key: key(),
        id: id.to_owned(),
        name: "checkout".to_owned(),
        input: r#"{"order":1}"#.to_owned(),
        instance: None,
        parent: None,
        version: Some("v1".to_owned()),
        fingerprint: (-7).into(),
        timeout: None,
        deadline: None,
        placement: None,
        context: durable_core::store::StartContext::default(),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "it is what the fields it goes into and comes out of hold")]
pub(crate) fn output(text: &str) -> Option<Outcome> {
    Some(Outcome::Output(text.to_owned()))
}

/// A record at a position of the body.
pub(crate) fn record(workflow: WorkflowKey, number: i32, json: &str) -> NewRecord {
    NewRecord {
        workflow,
        position: Position::new("", number),
        kind: "step",
        name: format!("step_{number}").into(),
        outcome: output(json),
        child: None,
        attempts: 1,
        failures: None,
        ran_for: Duration::from_millis(5),
    }
}

/// A successful end of the first run.
pub(crate) fn success(workflow: WorkflowKey, json: &str) -> Finish {
    Finish { workflow, attempt: 1, status: Status::Success, outcome: output(json), reason: None }
}

pub(crate) fn begin(workflow: &NewWorkflow) -> Entry {
    Entry { start: Some(workflow.clone().into()), ..Entry::default() }
}

pub(crate) fn records(records: impl IntoIterator<Item = NewRecord>) -> Entry {
    Entry { records: records.into_iter().collect(), ..Entry::default() }
}

pub(crate) fn finish(finish: Finish) -> Entry {
    Entry { finish: Some(finish), ..Entry::default() }
}

/// Records with the end behind them.
pub(crate) fn ending(last: impl IntoIterator<Item = NewRecord>, finish: Finish) -> Entry {
    Entry { records: last.into_iter().collect(), finish: Some(finish), ..Entry::default() }
}

/// A child's row with the parent's record of it.
pub(crate) fn child(parent: WorkflowKey, number: i32, child: &NewWorkflow) -> Entry {
    let mut record = record(parent, number, "null");
    (record.kind, record.outcome, record.child) = ("workflow", None, Some(child.id.clone()));
    let begin = NewWorkflow { parent: Some(ParentRun { key: parent, attempt: 1 }), ..child.clone() };
    Entry { start: Some(begin.into()), records: vec![record], ..Entry::default() }
}

/// A message on the empty topic.
pub(crate) fn message(to: &str, payload: &str) -> NewMessage {
    let (key, to, payload) = (key(), to.to_owned(), payload.to_owned());
    NewMessage { key, to, topic: String::new(), payload, idempotency_key: None }
}

/// A message that is taken once.
pub(crate) fn once(to: &str, idempotency_key: &str, payload: &str) -> NewMessage {
    NewMessage { idempotency_key: Some(idempotency_key.to_owned()), ..message(to, payload) }
}

pub(crate) fn send(message: NewMessage) -> Entry {
    Entry { messages: vec![message], ..Entry::default() }
}

/// A message with the record of its sending.
pub(crate) fn sending(record: NewRecord, message: NewMessage) -> Entry {
    Entry { messages: vec![message], ..records([record]) }
}

/// A message that was received, with the record of it.
pub(crate) fn receiving(record: NewRecord, key: MessageKey) -> Entry {
    Entry { received: vec![key], ..records([record]) }
}

fn emission(workflow: WorkflowKey, kind: PublicationKind, name: &str, value: &str) -> Publication {
    let position = Position::new("2/1", 3);
    Publication { key: key(), workflow, kind, name: name.to_owned(), value: value.to_owned(), position }
}

pub(crate) fn event(workflow: WorkflowKey, name: &str, value: &str) -> Publication {
    emission(workflow, PublicationKind::Event, name, value)
}

pub(crate) fn item(workflow: WorkflowKey, stream: &str, value: &str) -> Publication {
    emission(workflow, PublicationKind::Item, stream, value)
}

pub(crate) fn close(workflow: WorkflowKey, stream: &str) -> Publication {
    emission(workflow, PublicationKind::Close, stream, "")
}

pub(crate) fn publish(emissions: impl IntoIterator<Item = Publication>) -> Entry {
    Entry { publications: emissions.into_iter().collect(), ..Entry::default() }
}

/// The message that waits longest, if one does.
pub(crate) async fn waiting_message(store: &dyn Store, workflow: WorkflowKey, topic: &str) -> Option<PolledMessage> {
    let wanted = PollRequest { messages: vec![(workflow, topic.to_owned())], ..PollRequest::default() };
    store.poll(&wanted).await.expect("the store looks").messages.pop()
}

/// Receives all messages on the empty topic.
pub(crate) async fn inbox(store: &dyn Store, fence: Fence, workflow: WorkflowKey) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(found) = waiting_message(store, workflow, "").await {
        let receive = Entry { received: vec![found.key], ..Entry::default() };
        assert_eq!(commit(store, fence, receive).await, Verdict::Stored);
        all.push(found.payload);
    }
    all
}

/// All values that an event had.
pub(crate) async fn history(store: &dyn Store, id: &str, event: &str) -> Vec<String> {
    let values = store.event_history(id, event).await.expect("the history is read");
    assert!(values.windows(2).all(|it| it[0].at <= it[1].at), "{values:?}");
    values.into_iter().map(|it| it.value).collect()
}

/// All items of a stream; nothing for its end.
pub(crate) async fn read_stream(store: &dyn Store, id: &str, stream: &str) -> Vec<Option<String>> {
    let items =
        store.read_stream(id, stream, StreamCursor::default(), 100_000).await.expect("the items are read").items;
    assert!(items.windows(2).all(|it| it[0].cursor < it[1].cursor), "{items:?}");
    items.into_iter().map(|it| it.value).collect()
}

/// Commits one entry.
pub(crate) async fn commit(store: &dyn Store, fence: Fence, entry: Entry) -> Verdict {
    let verdicts = store.commit(fence, &[entry], false).await.expect("the entry is committed");
    verdicts.into_iter().next().expect("there is a verdict per entry")
}

/// A workflow that runs.
pub(crate) async fn start_running(store: &dyn Store, fence: Fence, id: &str) -> WorkflowKey {
    let workflow = workflow(id);
    assert_eq!(commit(store, fence, begin(&workflow)).await, Verdict::Stored);
    workflow.key
}

/// Commits one record, which is expected to be stored.
pub(crate) async fn store_record(store: &dyn Store, fence: Fence, record: NewRecord) {
    assert_eq!(commit(store, fence, records([record])).await, Verdict::Stored);
}

/// The outputs and errors of a workflow's records, by position.
pub(crate) async fn outcomes(store: &dyn Store, workflow: WorkflowKey) -> Vec<(i32, Option<Outcome>)> {
    let records = store.records(&[workflow]).await.expect("records are read");
    records.into_iter().map(|it| (it.position.number, it.outcome)).collect()
}

pub(crate) async fn status(store: &dyn Store, id: &str) -> Option<Status> {
    store.find(id).await.expect("the workflow is looked for").map(|it| it.status)
}

/// Of `ids`, those that have ended.
pub(crate) async fn ends(store: &dyn Store, ids: &[String]) -> Vec<FinishedWorkflow> {
    let wanted = PollRequest { ends: ids.to_vec(), ..PollRequest::default() };
    store.poll(&wanted).await.expect("the store looks").ends
}

/// Cancels a workflow, and returns its previous status.
pub(crate) async fn cancel(store: &dyn Store, id: &str, reason: &str) -> Option<Status> {
    store.cancel(&[id.to_owned()], reason, false).await.expect("the store cancels").before.remove(id)
}

/// A request to take over workflows named `checkout`.
pub(crate) fn takeover_request(fence: Fence, limit: u32) -> TakeoverRequest {
    TakeoverRequest { fence, known: known("checkout", 100), limit, running: None }
}

pub(crate) fn known(name: &str, max_recoveries: u32) -> Vec<KnownWorkflow> {
    vec![KnownWorkflow { name: name.to_owned(), max_recoveries }]
}

/// Fences an executor, as a takeover does.
pub(crate) async fn fence_out(store: &dyn Store, fence: Fence) {
    assert!(store.fence_out(fence.executor, fence.epoch).await.expect("the executor is deposed"));
}
