//! What retention reads and deletes, and how much a queue has to do.

use std::fmt::Debug;
use std::time::Duration;

use crate::store::StoreFuture;
use crate::types::keys::{ExecutorKey, WorkflowKey};
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// Deleting what is no longer needed.
pub trait Maintenance: Send + Sync + Debug {
    /// Whether this executor is the one that does a task for all of them, for `length` from now on: no other one does
    /// it at present.
    fn take_turn<'a>(&'a self, executor: ExecutorKey, task: &'a str, length: Duration) -> StoreFuture<'a, bool>;

    /// Workflows behind `after` that ended before `before`, in the order of their ends, up to `limit`.
    fn ended(&self, after: EndCursor, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<EndedWorkflow>>;

    /// The key of the `number`th last of the ended workflows of this name that were not started by others.
    fn nth_last_ended<'a>(&'a self, name: &'a str, number: u32) -> StoreFuture<'a, Option<WorkflowKey>>;

    /// Deletes those of these workflows that have ended before `before` together with all their descendants, and
    /// whatever belongs to them. Returns all that were deleted; with `dry_run` they are only returned.
    fn delete_ended<'a>(
        &'a self,
        roots: &'a [WorkflowKey],
        before: Timestamp,
        dry_run: bool,
    ) -> StoreFuture<'a, Vec<DeletedWorkflow>>;

    /// About how many workflows there are. It takes milliseconds at most, and may stop at `most`.
    fn estimate_workflows(&self, most: u32) -> StoreFuture<'_, u64>;

    /// What waits for a process that takes it, by queue and name: on queues that are not paused, and without an owner. Of
    /// each of the two at most 20,000 workflows are counted.
    fn waiting_work(&self) -> StoreFuture<'_, Vec<WaitingWork>>;

    /// The number of the newest migration of this release.
    fn schema_version(&self) -> i64;

    /// What each executor that lives has registered as what it takes.
    fn taken_work(&self) -> StoreFuture<'_, Vec<Option<String>>>;

    /// Cancels every workflow that has not ended.
    fn cancel_all<'a>(&'a self, reason: &'a str) -> StoreFuture<'a, u64>;

    /// Deletes all workflows and whatever belongs to them, the queues, the schedules, and the executors other than
    /// `keep`.
    fn reset(&self, keep: ExecutorKey) -> StoreFuture<'_, ()>;
}

/// Workflows of one name that wait for a process that takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingWork {
    /// The queue; `None` if they are to go on without one.
    pub queue: Option<String>,
    /// The registered name.
    pub name: String,
    /// The version of the program; `None` if they were started without one.
    pub version: Option<String>,
    /// How many they are.
    pub workflows: u64,
}

/// A place in the order of the ends of workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndCursor {
    /// When the workflow ended.
    pub ended: Timestamp,
    /// Its key.
    pub key: i64,
}

impl EndCursor {
    /// Before all workflows.
    pub const START: Self = Self { ended: Timestamp::from_micros(i64::MIN), key: i64::MIN };
}

/// A workflow that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedWorkflow {
    /// Its place in the order of the ends.
    pub place: EndCursor,
    /// The name of the function.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// Whether it was started by a workflow that is in the database.
    pub is_child: bool,
}

/// A workflow that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedWorkflow {
    /// The name of the function.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// When it ended.
    pub ended: Timestamp,
}

/// How much a queue has to do, counted to a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogRow {
    /// How many workflows are ENQUEUED, or DELAYED and due.
    pub waiting: u64,
    /// How many are PENDING.
    pub running: u64,
    /// Since when the workflow that is next in its priority waits, of all priorities the earliest.
    pub oldest: Option<Timestamp>,
    /// Whether the queue is paused.
    pub paused: bool,
}
