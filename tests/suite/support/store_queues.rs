//! Queues and queued workflows for the cases of the stores.

use std::time::Duration;

use durable_core::store::{
    ClaimRequest, Claimed, Debounce, Fence, Finish, NewQueue, NewWorkflow, QueuePlacement, RateLimit, RunRow, Store,
    StoredLimits, Verdict, WorkflowKey,
};

use super::store_rows::{begin, commit, finish, success, workflow};

/// The queue of most cases.
pub(crate) const QUEUE: &str = "mail";

pub(crate) fn on_queue() -> QueuePlacement {
    QueuePlacement { queue: QUEUE.to_owned(), ..QueuePlacement::default() }
}

pub(crate) fn with_priority(priority: i32) -> QueuePlacement {
    QueuePlacement { priority, ..on_queue() }
}

pub(crate) fn with_partition(key: &str) -> QueuePlacement {
    QueuePlacement { partition: Some(key.to_owned()), ..on_queue() }
}

pub(crate) fn with_deduplication(deduplicate: &str) -> QueuePlacement {
    QueuePlacement { deduplication_id: Some(deduplicate.to_owned()), ..on_queue() }
}

pub(crate) fn with_delay(delay: Duration) -> QueuePlacement {
    QueuePlacement { delay: Some(delay), ..on_queue() }
}

pub(crate) fn with_debounce(key: &str, period: Duration, longest: Option<Duration>) -> QueuePlacement {
    QueuePlacement { debounce: Some(Debounce { key: key.to_owned(), period, longest }), ..on_queue() }
}

/// A workflow for a queue.
pub(crate) fn queued_workflow(id: &str, placement: QueuePlacement) -> NewWorkflow {
    NewWorkflow { placement: Some(placement), ..workflow(id) }
}

/// Enqueues a workflow, which is expected to succeed, and returns its key.
pub(crate) async fn enqueue(store: &dyn Store, fence: Fence, id: &str, placement: QueuePlacement) -> WorkflowKey {
    let workflow = queued_workflow(id, placement);
    assert_eq!(commit(store, fence, begin(&workflow)).await, Verdict::Stored, "{id}");
    workflow.key
}

/// Enqueues many in one commit.
pub(crate) async fn enqueue_together(store: &dyn Store, fence: Fence, workflows: &[NewWorkflow]) {
    let entries: Vec<_> = workflows.iter().map(begin).collect();
    let verdicts = store.commit(fence, &entries, false).await.expect("the entries are committed");
    assert!(verdicts.iter().all(|it| *it == Verdict::Stored), "{verdicts:?}");
}

pub(crate) fn request(fence: Fence, most: u32) -> ClaimRequest {
    ClaimRequest { fence, queue: QUEUE.to_owned(), known: vec!["checkout".to_owned()], limit: most }
}

pub(crate) async fn claim(store: &dyn Store, fence: Fence, most: u32) -> Claimed {
    store.claim(&request(fence, most)).await.expect("the store claims")
}

/// Claims, and returns the ids.
pub(crate) async fn claim_ids(store: &dyn Store, fence: Fence, most: u32) -> Vec<String> {
    claim(store, fence, most).await.runs.into_iter().map(|it| it.id.to_string()).collect()
}

/// Ends a claimed run.
pub(crate) async fn end_run(store: &dyn Store, fence: Fence, run: &RunRow) {
    let end = Finish { attempt: run.attempt, ..success(run.key, "1") };
    assert_eq!(commit(store, fence, finish(end)).await, Verdict::Stored, "{}", run.id);
}

pub(crate) async fn declare_queues(store: &dyn Store, limits: StoredLimits) {
    store.declare_queues(&[NewQueue { name: QUEUE.to_owned(), limits }]).await.expect("the queue is declared");
}

pub(crate) fn with_concurrency(concurrency: u32) -> StoredLimits {
    StoredLimits { concurrency: Some(concurrency), ..StoredLimits::default() }
}

pub(crate) fn rate(starts: u32, period: Duration) -> RateLimit {
    RateLimit { starts, period }
}

pub(crate) fn with_rate_limit(starts: u32, period: Duration) -> StoredLimits {
    StoredLimits { rate_limit: Some(rate(starts, period)), ..StoredLimits::default() }
}

pub(crate) fn partitioned() -> StoredLimits {
    StoredLimits { partitioned: true, ..StoredLimits::default() }
}
