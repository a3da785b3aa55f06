//! Short ways to make the queues that the cases are about, and who stands in them.

use std::time::Duration;

use durable_core::store::{
    ClaimRequest, Claimed, Debounce, Fence, Finish, NewQueue, NewWorkflow, QueuePlacement, RateLimit, RunRow, Store,
    StoredLimits, Verdict, WorkflowKey,
};

use super::make::{begin, commit, finish, success, workflow};

/// The queue that most cases are about.
pub(super) const MAIL: &str = "mail";

pub(super) fn mail() -> QueuePlacement {
    QueuePlacement { queue: MAIL.to_owned(), ..QueuePlacement::default() }
}

pub(super) fn urgent(priority: i32) -> QueuePlacement {
    QueuePlacement { priority, ..mail() }
}

pub(super) fn of_key(key: &str) -> QueuePlacement {
    QueuePlacement { partition: Some(key.to_owned()), ..mail() }
}

pub(super) fn sole(deduplicate: &str) -> QueuePlacement {
    QueuePlacement { deduplication_id: Some(deduplicate.to_owned()), ..mail() }
}

pub(super) fn delayed(delay: Duration) -> QueuePlacement {
    QueuePlacement { delay: Some(delay), ..mail() }
}

pub(super) fn debounced(key: &str, period: Duration, longest: Option<Duration>) -> QueuePlacement {
    QueuePlacement { debounce: Some(Debounce { key: key.to_owned(), period, longest }), ..mail() }
}

/// A workflow with a place.
pub(super) fn placed(id: &str, place: QueuePlacement) -> NewWorkflow {
    NewWorkflow { placement: Some(place), ..workflow(id) }
}

/// Puts a workflow on its queue, which is expected to succeed, and gives its key.
pub(super) async fn enqueued(store: &dyn Store, fence: Fence, id: &str, place: QueuePlacement) -> WorkflowKey {
    let workflow = placed(id, place);
    assert_eq!(commit(store, fence, begin(&workflow)).await, Verdict::Stored, "{id}");
    workflow.key
}

/// Puts many on one queue at once.
pub(super) async fn all_enqueued(store: &dyn Store, fence: Fence, workflows: &[NewWorkflow]) {
    let entries: Vec<_> = workflows.iter().map(begin).collect();
    let verdicts = store.commit(fence, &entries, false).await.expect("the entries are committed");
    assert!(verdicts.iter().all(|it| *it == Verdict::Stored), "{verdicts:?}");
}

pub(super) fn request(fence: Fence, most: u32) -> ClaimRequest {
    ClaimRequest { fence, queue: MAIL.to_owned(), known: vec!["checkout".to_owned()], limit: most }
}

pub(super) async fn claim(store: &dyn Store, fence: Fence, most: u32) -> Claimed {
    store.claim(&request(fence, most)).await.expect("the store claims")
}

/// Claims, and gives the ids.
pub(super) async fn taken(store: &dyn Store, fence: Fence, most: u32) -> Vec<String> {
    claim(store, fence, most).await.runs.into_iter().map(|it| it.id.to_string()).collect()
}

/// Ends a claimed run.
pub(super) async fn ended(store: &dyn Store, fence: Fence, run: &RunRow) {
    let end = Finish { attempt: run.attempt, ..success(run.key, "1") };
    assert_eq!(commit(store, fence, finish(end)).await, Verdict::Stored, "{}", run.id);
}

pub(super) async fn declare_queues(store: &dyn Store, limits: StoredLimits) {
    store.declare_queues(&[NewQueue { name: MAIL.to_owned(), limits }]).await.expect("the queue is declared");
}

pub(super) fn at_once(concurrency: u32) -> StoredLimits {
    StoredLimits { concurrency: Some(concurrency), ..StoredLimits::default() }
}

pub(super) fn rate(starts: u32, period: Duration) -> RateLimit {
    RateLimit { starts, period }
}

pub(super) fn rated(starts: u32, period: Duration) -> StoredLimits {
    StoredLimits { rate_limit: Some(rate(starts, period)), ..StoredLimits::default() }
}

pub(super) fn partitioned() -> StoredLimits {
    StoredLimits { partitioned: true, ..StoredLimits::default() }
}
