//! Short ways to make the rows that the cases are about.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use durable_core::Status;
use durable_core::store::{
    Adopt, Ended, Entry, Fence, Finish, KnownWorkflow, NewExecutor, NewRecord, NewWorkflow, Outcome, Position, Store,
    Verdict, Wanted,
};

pub(super) const LEASE: Duration = Duration::from_mins(1);

/// A key that no other row of this process has.
pub(super) fn key() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(1_000);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// A living executor.
pub(super) async fn sign_on(store: &dyn Store, name: &str) -> Fence {
    sign_on_for(store, name, LEASE).await
}

/// An executor with a lease of its own length.
pub(super) async fn sign_on_for(store: &dyn Store, name: &str, lease: Duration) -> Fence {
    store.sign_on(&executor(name, lease)).await.expect("the executor signs on")
}

pub(super) fn executor(name: &str, lease: Duration) -> NewExecutor {
    NewExecutor {
        key: key(),
        name: name.to_owned(),
        host: "host".to_owned(),
        lock_file: Some(format!("/run/{name}.lock")),
        version: "v1".to_owned(),
        lease,
    }
}

pub(super) fn workflow(id: &str) -> NewWorkflow {
    NewWorkflow {
        key: key(),
        id: id.to_owned(),
        name: "checkout".to_owned(),
        input: r#"{"order":1}"#.to_owned(),
        instance: None,
        parent: None,
        version: "v1".to_owned(),
        fingerprint: -7,
        timeout: None,
        deadline: None,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "it is what the fields it goes into and comes out of hold")]
pub(super) fn output(text: &str) -> Option<Outcome> {
    Some(Outcome::Output(text.to_owned()))
}

/// A record at a position of the body.
pub(super) fn record(workflow: i64, number: i32, json: &str) -> NewRecord {
    NewRecord {
        workflow,
        position: Position::new("", number),
        kind: "step",
        name: format!("step_{number}"),
        outcome: output(json),
        child: None,
        attempts: 1,
        failures: None,
        ran_for: Duration::from_millis(5),
    }
}

/// A successful end of the first run.
pub(super) fn success(workflow: i64, json: &str) -> Finish {
    Finish { workflow, attempt: 1, status: Status::Success, outcome: output(json), reason: None }
}

pub(super) fn begin(workflow: &NewWorkflow) -> Entry {
    Entry { begin: Some(workflow.clone()), ..Entry::default() }
}

pub(super) fn records(records: impl IntoIterator<Item = NewRecord>) -> Entry {
    Entry { records: records.into_iter().collect(), ..Entry::default() }
}

pub(super) fn finish(finish: Finish) -> Entry {
    Entry { finish: Some(finish), ..Entry::default() }
}

/// Records with the end behind them.
pub(super) fn ending(last: impl IntoIterator<Item = NewRecord>, finish: Finish) -> Entry {
    Entry { records: last.into_iter().collect(), finish: Some(finish), ..Entry::default() }
}

/// A child's row with the parent's record of it.
pub(super) fn child(parent: i64, number: i32, child: &NewWorkflow) -> Entry {
    let mut record = record(parent, number, "null");
    (record.kind, record.outcome, record.child) = ("workflow", None, Some(child.id.clone()));
    let begin = NewWorkflow { parent: Some(parent), ..child.clone() };
    Entry { begin: Some(begin), records: vec![record], ..Entry::default() }
}

/// Commits one entry.
pub(super) async fn commit(store: &dyn Store, fence: Fence, entry: Entry) -> Verdict {
    let verdicts = store.commit(fence, &[entry], false).await.expect("the entry is committed");
    verdicts.into_iter().next().expect("there is a verdict per entry")
}

/// A workflow that runs.
pub(super) async fn running(store: &dyn Store, fence: Fence, id: &str) -> i64 {
    let workflow = workflow(id);
    assert_eq!(commit(store, fence, begin(&workflow)).await, Verdict::Stored);
    workflow.key
}

/// Commits one record, which is expected to be stored.
pub(super) async fn recorded(store: &dyn Store, fence: Fence, record: NewRecord) {
    assert_eq!(commit(store, fence, records([record])).await, Verdict::Stored);
}

/// The outputs and errors of a workflow's records, by position.
pub(super) async fn outcomes(store: &dyn Store, workflow: i64) -> Vec<(i32, Option<Outcome>)> {
    let records = store.records(&[workflow]).await.expect("records are read");
    records.into_iter().map(|it| (it.position.number, it.outcome)).collect()
}

pub(super) async fn status(store: &dyn Store, id: &str) -> Option<Status> {
    store.find(id).await.expect("the workflow is looked for").map(|it| it.status)
}

/// Of `ids`, those that have come to an end.
pub(super) async fn ends(store: &dyn Store, ids: &[String]) -> Vec<Ended> {
    let wanted = Wanted { ends: ids.to_vec(), ..Wanted::default() };
    store.look(&wanted).await.expect("the store looks").ends
}

/// Cancels a workflow, and gives what it was before.
pub(super) async fn cancel(store: &dyn Store, id: &str, reason: &str) -> Option<Status> {
    store.cancel(id, reason, false).await.expect("the store cancels").map(|it| it.before)
}

/// To adopt workflows named `checkout`.
pub(super) fn adopting(fence: Fence, limit: u32) -> Adopt {
    Adopt { fence, known: known("checkout", 100), limit }
}

pub(super) fn known(name: &str, max_recoveries: u32) -> Vec<KnownWorkflow> {
    vec![KnownWorkflow { name: name.to_owned(), max_recoveries }]
}

/// Takes an executor for dead.
pub(super) async fn depose(store: &dyn Store, fence: Fence) {
    assert!(store.depose(fence.executor, fence.epoch).await.expect("the executor is deposed"));
}
