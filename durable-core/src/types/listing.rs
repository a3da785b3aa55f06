//! What people and tests see of workflows and their records, and how they ask for it.

use chrono::{DateTime, Utc};

use crate::types::position::Position;
use crate::types::status::Status;

/// One workflow, as the database has it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkflowInfo {
    /// Its id: the idempotency key it was started with, or a UUID.
    pub id: String,
    /// The registered name of its function.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// Its arguments, a JSON object by argument name.
    pub input: String,
    /// What it returned, as JSON, once it is `SUCCESS`.
    pub output: Option<String>,
    /// Its error, as JSON with `type`, `message` and `value`, once it is `ERROR`.
    pub error: Option<String>,
    /// Why it is `CANCELLED` or `PARKED`.
    pub reason: Option<String>,
    /// The queue it was put on, if it was.
    pub queue: Option<String>,
    /// The id of the workflow that started it, if one did.
    pub parent: Option<String>,
    /// The name of the executor that runs it, or ran it last.
    pub executor: Option<String>,
    /// The version of the program that started it.
    pub version: Option<String>,
    /// How many times it has begun to run.
    pub attempts: u32,
    /// How many of those were takeovers after a crash.
    pub recoveries: u32,
    /// Its priority on the queue: the lesser goes first.
    pub priority: i32,
    /// The key of its part of the queue, if it has one.
    pub partition_key: Option<String>,
    /// What keeps others with the same one off the queue until it has ended.
    pub deduplication_id: Option<String>,
    /// Until when it is, or was, `DELAYED`.
    pub due_at: Option<DateTime<Utc>>,
    /// When its time is up, if that is limited and has begun.
    pub deadline: Option<DateTime<Utc>>,
    /// When it was started or enqueued.
    pub created_at: DateTime<Utc>,
    /// When its present run began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a terminal status.
    pub completed_at: Option<DateTime<Utc>>,
}

/// One record of a workflow: what an operation at a position did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepInfo {
    /// Where in the workflow.
    pub position: Position,
    /// What kind of operation: `step`, `workflow`, `result` …
    pub kind: String,
    /// The name of the step, or of the workflow that was started.
    pub name: String,
    /// What it returned, as JSON.
    pub output: Option<String>,
    /// Its error, as JSON with `type`, `message` and `value`.
    pub error: Option<String>,
    /// The id of the workflow that it started, if it did.
    pub child: Option<String>,
    /// How many attempts it took.
    pub attempts: u32,
    /// The errors of the attempts that failed before the one that is recorded, oldest first.
    pub failures: Vec<String>,
    /// When its body began.
    pub started_at: DateTime<Utc>,
    /// When it was recorded.
    pub completed_at: DateTime<Utc>,
}

/// Which workflows to list.
///
/// # Example
///
/// ```
/// use durable_core::{Filter, Status};
///
/// let filter = Filter::new().status(Status::Pending).name("checkout").limit(10);
/// # let _ = filter;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Filter {
    pub(crate) statuses: Vec<Status>,
    pub(crate) name: Option<String>,
    pub(crate) id_prefix: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) offset: u32,
    pub(crate) newest_first: bool,
}

/// How many workflows a listing gives when nothing else is said.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const DEFAULT_LIMIT: u32 = 100;

impl Filter {
    /// Every workflow, the oldest first, at most 100.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only workflows of this status. Called again it adds a second one.
    pub fn status(mut self, status: Status) -> Self {
        self.statuses.push(status);
        self
    }

    /// Only workflows of this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only workflows whose id begins so.
    pub fn id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }

    /// At most this many.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves out the first so many.
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// The newest first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }
}
