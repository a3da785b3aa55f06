//! Listings: workflows and their records, and the filter that selects them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::position::Position;
use crate::types::status::Status;

/// One workflow, as the database has it. As JSON the fields have these names and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkflowInfo {
    /// Its id: the idempotency key it was started with, or a UUID.
    pub id: String,
    /// The registered name of its function.
    pub name: String,
    /// Its status.
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
    /// Its priority on the queue: lower numbers go first.
    pub priority: i32,
    /// Its partition key, if it has one.
    pub partition_key: Option<String>,
    /// Its deduplication id, which keeps others with the same one off the queue until it has ended.
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

/// One record of a workflow: what the operation at a position did. As JSON the fields have these names,
/// the position is a text such as `"3/1"`, and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepInfo {
    /// Its position in the workflow.
    pub position: Position,
    /// The kind of operation: `step`, `workflow`, `result` …
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

/// Which workflows to list. Conditions of different kinds must all hold; several of one kind (two
/// statuses, three names) select workflows that match any of them.
///
/// # Example
///
/// ```
/// use durable_core::{Filter, Status};
///
/// let filter = Filter::new().status(Status::Pending).name("checkout").name("refund").limit(10);
/// let some = Filter::new().ids(["order-1001", "order-1002"]);
/// # let _ = (filter, some);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Filter {
    pub(crate) statuses: Vec<Status>,
    pub(crate) names: Vec<String>,
    /// `None` selects any id; an empty list selects no workflow.
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) id_prefix: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) offset: u32,
    pub(crate) newest_first: bool,
}

/// How many workflows a listing has when the filter sets no limit.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const DEFAULT_LIMIT: u32 = 100;

impl Filter {
    /// Every workflow, the oldest first, at most 100.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only workflows with this status. A second call adds a second status.
    pub fn status(mut self, status: Status) -> Self {
        self.statuses.push(status);
        self
    }

    /// Only workflows with this name. A second call adds a second name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Only the workflow with this id. A second call adds a second id.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.ids([id])
    }

    /// Only workflows with these ids, in addition to those of earlier calls. An empty list selects no
    /// workflow. At most [`limit`](Self::limit) workflows are listed, 100 if it is not set.
    pub fn ids<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.ids.get_or_insert_default().extend(ids.into_iter().map(Into::into));
        self
    }

    /// Only workflows with an id that begins with this text.
    pub fn id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }

    /// At most this many workflows; 100 without this call.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Skips this many workflows of the listing.
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// Lists the newest workflows first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }
}
