//! What listings show: workflows, and what belongs to them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::types::filter::Filter;
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
    /// The object whose method it is, if it is one.
    pub instance: Option<String>,
    /// Its arguments, a JSON object by argument name. A list has them only with [`Filter::with_payloads`].
    pub input: Option<String>,
    /// What it returned, as JSON, once it is `SUCCESS`. A list has it only with [`Filter::with_payloads`].
    pub output: Option<String>,
    /// Its error, as JSON with `type`, `message` and `value`, once it is `ERROR`.
    pub error: Option<String>,
    /// Why it is `CANCELLED` or `PARKED`.
    pub reason: Option<String>,
    /// The queue it was put on, if it was.
    pub queue: Option<String>,
    /// The id of the workflow that started it, if one did.
    pub parent: Option<String>,
    /// The id of the workflow that it is a fork of, if it is one.
    pub forked_from: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The application that started it.
    pub application: Option<String>,
    /// The user on whose behalf it was started, if the call named one.
    pub started_by: Option<String>,
    /// The W3C trace context of the call that started it.
    pub trace_context: Option<String>,
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

/// An event of a workflow: its present value. The earlier ones are its
/// [history](crate::event_history). As JSON the fields have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventInfo {
    /// Its name.
    pub name: String,
    /// Its value, as JSON.
    pub value: String,
    /// When it was set.
    pub set_at: DateTime<Utc>,
    /// Where it was set: the position of the call, or of the step that made it.
    pub position: Position,
}

/// A message to a workflow. As JSON the fields have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageInfo {
    /// Its topic.
    pub topic: String,
    /// The message, as JSON.
    pub payload: String,
    /// The idempotency key that it was sent with, if it was.
    pub idempotency_key: Option<String>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// When the workflow received it; `None`: it has not.
    pub received_at: Option<DateTime<Utc>>,
}

/// An item of a stream. As JSON the fields have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamItemInfo {
    /// The name of the stream.
    pub stream: String,
    /// The item, as JSON; `None` is the end of the stream.
    pub value: Option<String>,
    /// When it was written.
    pub written_at: DateTime<Utc>,
    /// Where it was written: the position of the call, or of the step that made it.
    pub position: Position,
}

/// What a workflow does, in the process that runs it: see [`Durable::activities`](crate::Durable::activities). As JSON
/// the fields have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CurrentActivity {
    /// What it is, such as ``waiting for a message on "payment"``.
    pub what: String,
    /// When a sleep, or the delay before the next attempt of a step, is over.
    pub until: Option<DateTime<Utc>>,
    /// Why the last attempt of a step failed that is to be tried again.
    pub error: Option<String>,
    /// The name of that step.
    pub step: Option<String>,
}
