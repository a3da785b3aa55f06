//! Changes of single workflows by an operator, and forks.

use std::time::Duration;

use crate::types::keys::WorkflowKey;
use crate::types::payload::Outcome;
use crate::types::position::Position;
use crate::types::status::Status;

/// A change of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowChange {
    /// A workflow that is PARKED, CANCELLED or ERROR goes on from its records: it is ENQUEUED again, or PENDING
    /// without an owner. Its recoveries are counted anew, and its time limit begins again. Of a workflow that
    /// ended with an error the failed records at its end are deleted, so that these operations run again.
    Resume,
    /// The priority of a workflow that is ENQUEUED or DELAYED.
    Priority(i32),
    /// When a workflow that is ENQUEUED or DELAYED becomes ENQUEUED, counted from now.
    Delay(Duration),
    /// The queue of a workflow that is ENQUEUED or DELAYED.
    Queue(String),
    /// Labels to add and to remove, a JSON object with a text or null for each.
    Labels(String),
    /// Deletes a workflow that has ended or is PARKED, with its descendants and all that belongs to them.
    Delete,
}

/// What became of a change of one workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It was changed.
    Changed {
        /// The queue that it is on, if it is on one.
        queue: Option<String>,
        /// How many workflows the change was made on: more than one if descendants were deleted, too.
        workflows: u64,
    },
    /// There is no such workflow.
    NotFound,
    /// Its status does not allow it.
    WrongStatus(Status),
    /// Another workflow, with this id, has its deduplication id on the queue.
    Duplicate(String),
    /// The queue is partitioned, and the workflow has no partition key.
    NoPartitionKey,
    /// No process has declared the queue, of which these are all.
    UnknownQueue(Vec<String>),
    /// This descendant has not ended.
    LivingDescendant(String),
}

/// A new workflow that begins with a part of the records of another one.
#[derive(Debug, Clone)]
pub struct ForkRequest {
    /// The id of the workflow to fork.
    pub source: String,
    /// The key of the new one.
    pub key: WorkflowKey,
    /// The id of the new one.
    pub id: String,
    /// From which of its operations on the new one runs anew.
    pub from: ForkPoint,
    /// Its queue; `None` is that of the source.
    pub queue: Option<String>,
    /// Its version; `None` is that of the source.
    pub version: Option<String>,
    /// Its arguments; `None` are those of the source.
    pub input: Option<String>,
    /// Results that replace recorded ones.
    pub outcomes: Vec<(Position, Outcome)>,
    /// The W3C trace context of the call that forks it.
    pub trace_context: Option<String>,
}

/// From where on a fork runs anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkPoint {
    /// The call with this number in the body.
    Position(i32),
    /// The last call of the body that has a record.
    LastStep,
    /// The first call of the body whose error led to the end of the workflow, as [`WorkflowChange::Resume`] finds it;
    /// behind the last record if there is none.
    Failure,
}

/// The result of a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForkOutcome {
    /// It was made.
    Forked {
        /// The queue that it is on, if it is on one.
        queue: Option<String>,
        /// The number of the first call that runs anew.
        from: i32,
    },
    /// An earlier call made it.
    Existing,
    /// The source does not exist.
    NotFound,
    /// No process has declared the queue, of which these are all.
    UnknownQueue(Vec<String>),
    /// The queue is partitioned, and the source has no partition key.
    NoPartitionKey,
    /// The id belongs to a workflow of this name that is no fork of the source.
    IdTaken(String),
    /// The point is behind the last call that has a record, with this number, and the one after it.
    BehindEnd(i32),
    /// The fork keeps no record at this position, so its result cannot be replaced.
    NoRecord(Position),
}
