//! Queues: the placement of workflows, limits, and claims.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::store::KnownWorkflow;
use crate::store::{ExistingWorkflow, Fence, RunRow, Timestamp};

/// The place of a new workflow on a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuePlacement {
    /// The queue's name.
    pub queue: String,
    /// The priority. Lower numbers go first; within one priority, the order of enqueueing counts.
    pub priority: i32,
    /// The partition key. Workflows of one key run in their order, and have limits of their own. `None` and
    /// the empty key are no key: such a workflow waits for no other one.
    pub partition: Option<String>,
    /// The deduplication id. As long as a workflow with the same one is ENQUEUED, DELAYED or PENDING on
    /// the queue, no other is accepted: [`Verdict::Duplicate`](crate::store::Verdict::Duplicate).
    pub deduplication_id: Option<String>,
    /// How long it is DELAYED before it is ENQUEUED. With `None` or zero it is ENQUEUED at once.
    pub delay: Option<Duration>,
    /// If there is one, the arguments replace those of the DELAYED workflow with the same debounce key.
    pub debounce: Option<Debounce>,
}

/// Combines several calls into one workflow, with the arguments of the last call. A call that is sent
/// again after its reply was lost is one more call: the period begins again, and if the first workflow
/// has begun to run, the call starts another one, unless a record of the first is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debounce {
    /// The key. Calls of one workflow function, on the same instance, with the same key are combined.
    pub key: String,
    /// How long after the last call it is due; the placement's `delay` is not used.
    pub period: Duration,
    /// How long after the first call it is due at the latest.
    pub longest: Option<Duration>,
}

/// A number of starts in any window of a length.
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
    /// Whether a workflow needs a partition key. The store does not check this.
    pub partitioned: bool,
    /// How many run at once for one partition key, in the whole fleet; one by default.
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
    /// The queue.
    pub queue: String,
    /// The workflows that it can run, by name or by name and version as in [`KnownWorkflow::name`]; the others are left
    /// for other executors.
    pub known: Vec<String>,
    /// The largest number of workflows to claim: the free slots of the executor.
    pub limit: u32,
}

/// The result of a claim.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The claimed workflows in their order. They are PENDING, and the caller owns them.
    pub runs: Vec<RunRow>,
    /// The queue's current limits, which can change at run time.
    pub limits: StoredLimits,
    /// Whether it is paused: nothing is claimed from it.
    pub paused: bool,
    /// When the next may be started, if one waits and only a rate limit holds it back
    /// (microseconds).
    pub next_at: Option<Timestamp>,
}

/// The result of a promotion of delayed workflows.
#[derive(Debug, Clone, Default)]
pub struct Promoted {
    /// The present time of the database's clock.
    pub now: Timestamp,
    /// The queues that have more ENQUEUED workflows now.
    pub queues: Vec<String>,
    /// When the next one is due; in the past, or now, when there is more to do at once.
    pub next_due: Option<Timestamp>,
}

/// A queue in a listing.
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
    /// Other limits, which replace those of the code until the next change.
    Limits(StoredLimits),
    /// The limits of the code again, from the next launch on.
    LimitsOfCode(StoredLimits),
}

/// The result of enqueueing a workflow within the user's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnqueueOutcome {
    /// It is written, and will be there once the transaction is committed.
    Posted,
    /// A workflow with this id or the same deduplication id already exists; or a DELAYED one has the same
    /// debounce key, and was given the new arguments.
    Existing(ExistingWorkflow),
    /// The connection is one of the other kind of database.
    OtherDatabase,
}
