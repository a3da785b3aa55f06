//! Queues: the placement of workflows, limits, and claims.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{ExistingWorkflow, Fence, RunRow, Timestamp};

/// Where a new workflow goes on a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuePlacement {
    /// The queue's name.
    pub queue: String,
    /// The lowest goes first; within one priority the order of enqueueing counts.
    pub priority: i32,
    /// The key of the part of the queue that keeps its own order and limits. `None` is the empty key,
    /// which is a key like any other.
    pub partition: Option<String>,
    /// As long as a workflow with the same one is ENQUEUED, DELAYED or PENDING on the queue, no other
    /// is taken: [`Verdict::Duplicate`](crate::store::Verdict::Duplicate).
    pub deduplication_id: Option<String>,
    /// How long it is DELAYED before it is ENQUEUED. Nothing, and zero, is not at all.
    pub delay: Option<Duration>,
    /// Makes it replace the arguments of the one that waits under the same key.
    pub debounce: Option<Debounce>,
}

/// Several calls in a row become one, with the arguments of the last. A call whose answer was lost and
/// that is sent again is one more call: it counts from then, and where the first one has begun to run
/// meanwhile it is a workflow of its own, unless a record of it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debounce {
    /// Calls of one workflow function, on the same instance, with the same key are one.
    pub key: String,
    /// How long after the last call it is due: the place's `delay` is not used.
    pub period: Duration,
    /// How long after the first call it is due at the latest.
    pub longest: Option<Duration>,
}

/// So many starts in any window of such a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// How many.
    pub starts: u32,
    /// The length of the window, in JSON a number of seconds.
    #[serde(with = "crate::types::seconds")]
    pub period: Duration,
}

/// The limits of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLimits {
    /// How many run at once in the whole fleet.
    pub concurrency: Option<u32>,
    /// How many run at once in one process. The process counts them itself.
    pub worker_concurrency: Option<u32>,
    /// How many are started in a rolling window, in the whole fleet.
    pub rate_limit: Option<RateLimit>,
    /// Whether the partition keys count: each has its own order, and they take turns. The limits of
    /// partitions say so too.
    pub partitioned: bool,
    /// How many run at once for one partition key, in the whole fleet: one, if it is not said.
    pub partition_concurrency: Option<u32>,
    /// How many are started in a rolling window for one partition key.
    pub partition_rate_limit: Option<RateLimit>,
}

/// A queue that a program declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQueue {
    /// Its name.
    pub name: String,
    /// The limits in the code.
    pub limits: StoredLimits,
}

/// A request for workflows to run.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The executor that claims.
    pub fence: Fence,
    /// From which queue.
    pub queue: String,
    /// The workflow names that it can run; the others are left for other executors.
    pub known: Vec<String>,
    /// How many at most: its free slots.
    pub limit: u32,
}

/// What was claimed.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// To run now, in their order. They are PENDING and the claimer's.
    pub runs: Vec<RunRow>,
    /// The queue's limits as they are now: they can be changed while everything runs.
    pub limits: StoredLimits,
    /// Whether it is paused: nothing is claimed from it.
    pub paused: bool,
    /// When the next may be started, if something waits and only a rate limit is in its way.
    pub next_at: Option<Timestamp>,
}

/// What has become due.
#[derive(Debug, Clone, Default)]
pub struct Promoted {
    /// The present time of the database's clock.
    pub now: Timestamp,
    /// The queues that got some.
    pub queues: Vec<String>,
    /// When the next one is due; in the past, or now, when there is more to do at once.
    pub next_due: Option<Timestamp>,
}

/// A queue, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// Its name.
    pub name: String,
    /// Its limits now.
    pub limits: StoredLimits,
    /// Whether they were changed at run time, and are no longer those of the code.
    pub changed: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// How many are ENQUEUED.
    pub enqueued: u64,
    /// How many are DELAYED.
    pub delayed: u64,
    /// How many are PENDING.
    pub running: u64,
    /// When the oldest ENQUEUED one was enqueued, or became due.
    pub oldest: Option<Timestamp>,
}

/// A change of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueChange {
    /// Nothing is claimed from it any more; what runs continues.
    Pause,
    /// Claiming continues.
    Resume,
    /// Other limits, from now on and whatever the code says, until the next change.
    Limits(StoredLimits),
    /// The limits of the code that is launched next, again.
    LimitsOfCode(StoredLimits),
}

/// What became of a workflow that is started within the user's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnqueueOutcome {
    /// It is written, and will be there once the transaction is committed.
    Posted,
    /// A workflow of this id, or with the same deduplication id, was there already; or one waits under
    /// the same debounce key, and has the new arguments now.
    Existing(ExistingWorkflow),
    /// The connection is one of the other kind of database.
    OtherDatabase,
}
