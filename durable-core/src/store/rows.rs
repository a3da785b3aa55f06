//! The rows that are written to a store and read from it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::store::messaging_rows::{NewMessage, Publication};
use crate::store::queue_rows::QueuePlacement;
use crate::types::keys::{Epoch, ExecutorKey, Fingerprint, MessageKey, WorkflowKey};
use crate::types::payload::Outcome;
use crate::types::position::Position;
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// The right to write: an executor and its epoch. A takeover raises the epoch in the database. From then
/// on, writes with the old epoch are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The executor's key, unique per launch.
    pub executor: ExecutorKey,
    /// Its epoch.
    pub epoch: Epoch,
}

/// Rows that are committed together.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// A workflow to start.
    pub start: Option<Arc<NewWorkflow>>,
    /// Records of one execution.
    pub records: Vec<NewRecord>,
    /// The end of that execution.
    pub finish: Option<Finish>,
    /// Messages to send. One without a receiver prevents the whole entry.
    pub messages: Vec<NewMessage>,
    /// The keys of messages that the execution has received. Their payloads are in its records, whose
    /// positions prevent that one message is received twice.
    pub received: Vec<MessageKey>,
    /// Events and stream items of the execution.
    pub publications: Vec<Publication>,
}

impl Entry {
    /// How many rows it writes.
    pub(crate) fn rows(&self) -> usize {
        let talk = self.messages.len() + self.received.len() + self.publications.len();
        usize::from(self.start.is_some()) + self.records.len() + usize::from(self.finish.is_some()) + talk
    }

    /// Whether the database can refuse it although the execution may continue.
    pub(crate) fn can_be_refused(&self) -> bool {
        let deduplicates = |it: &NewWorkflow| it.placement.as_ref().is_some_and(|it| it.deduplication_id.is_some());
        !self.messages.is_empty() || self.start.as_deref().is_some_and(deduplicates)
    }

    /// Whether it contains only records, or nothing.
    pub(crate) fn has_only_records(&self) -> bool {
        self.rows() == self.records.len()
    }

    /// Adds what has to be stored before it.
    pub(crate) fn prepend(&mut self, mut earlier: Self) {
        debug_assert!(earlier.start.is_none() && earlier.finish.is_none(), "these go by themselves");
        earlier.records.append(&mut self.records);
        earlier.messages.append(&mut self.messages);
        earlier.received.append(&mut self.received);
        earlier.publications.append(&mut self.publications);
        let Self { records, messages, received, publications, .. } = earlier;
        (self.records, self.messages, self.received, self.publications) = (records, messages, received, publications);
    }

    /// How many payload bytes it carries.
    pub(crate) fn bytes(&self) -> usize {
        let start = self.start.as_ref().map_or(0, |it| it.input.len());
        let records: usize = self.records.iter().map(|it| it.outcome.as_ref().map_or(0, Outcome::len)).sum();
        let finish = self.finish.as_ref().and_then(|it| it.outcome.as_ref()).map_or(0, Outcome::len);
        let messages: usize = self.messages.iter().map(|it| it.payload.len()).sum();
        let publications: usize = self.publications.iter().map(|it| it.value.len()).sum();
        start + records + finish + messages + publications
    }
}

/// A workflow to start.
#[derive(Debug, Clone)]
pub struct NewWorkflow {
    /// The internal key, fresh.
    pub key: WorkflowKey,
    /// The external id.
    pub id: String,
    /// The registered name.
    pub name: String,
    /// The arguments as a JSON object.
    pub input: String,
    /// The name of the instance that it is a method of, if it is.
    pub instance: Option<String>,
    /// The run that starts it, if one does: it is only stored while that run is PENDING.
    pub parent: Option<ParentRun>,
    /// The version of the program that starts it; `None` for one that does not have the workflow.
    pub version: Option<String>,
    /// The fingerprint of the workflow's source.
    pub fingerprint: Fingerprint,
    /// Its timeout, if it has one and has not begun to run.
    pub timeout: Option<Duration>,
    /// When its time is up, in microseconds since 1970.
    pub deadline: Option<Timestamp>,
    /// Its place on a queue; with `None` the process that commits it runs it at once.
    pub placement: Option<QueuePlacement>,
    /// What is stored with it for people and tools.
    pub context: StartContext,
}

/// What is stored with a workflow for people and tools; the engine does not act on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartContext {
    /// The application that starts it.
    pub application: Option<String>,
    /// The user on whose behalf it is started.
    pub started_by: Option<String>,
    /// The W3C trace context of the call.
    pub trace_context: Option<String>,
    /// Its labels, a JSON object of texts.
    pub labels: Option<String>,
}

/// The run of a workflow that starts another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentRun {
    /// The workflow's key.
    pub key: WorkflowKey,
    /// The run's attempt number.
    pub attempt: i32,
}

/// A record to add.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// The workflow's key.
    pub workflow: WorkflowKey,
    /// Where.
    pub position: Position,
    /// What kind of operation.
    pub kind: &'static str,
    /// The operation's name.
    pub name: Cow<'static, str>,
    /// The result, if the operation has one.
    pub outcome: Option<Outcome>,
    /// The id of the workflow it started, if it did.
    pub child: Option<String>,
    /// How many attempts it took.
    pub attempts: i32,
    /// The errors of the failed attempts before the last one, as a JSON array of texts.
    pub failures: Option<String>,
    /// How long its body ran.
    pub ran_for: Duration,
}

/// The end of an execution, or its parking.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The workflow's key.
    pub workflow: WorkflowKey,
    /// The run's attempt number: a later run of the same workflow is not ended by this.
    pub attempt: i32,
    /// `SUCCESS`, `ERROR`, `CANCELLED` or `PARKED`.
    pub status: Status,
    /// The output or the error.
    pub outcome: Option<Outcome>,
    /// Why it was cancelled or parked.
    pub reason: Option<String>,
}

/// The result of committing an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is in the database.
    Stored,
    /// A workflow with this id already exists; the entry's records, if it has any, are stored. If that
    /// workflow has another name or instance, the record of the start holds the error.
    Existing(ExistingWorkflow),
    /// Another workflow with the same deduplication id is on the queue: nothing of the entry is stored.
    Duplicate(ExistingWorkflow),
    /// A DELAYED workflow has the same debounce key, and was given the new arguments; the entry's
    /// records, if it has any, are stored with the id of that workflow as the child.
    Debounced(ExistingWorkflow),
    /// Another record holds one of the positions, or the workflow is no longer PENDING in this run:
    /// nothing of the entry is stored, and the execution must not continue from its own state.
    Superseded,
    /// One of the entry's messages has no receiver: nothing of the entry is stored.
    NoReceiver {
        /// The id of the receiver.
        id: String,
        /// The terminal status of that workflow; `None` if there is no such workflow.
        status: Option<Status>,
    },
    /// The executor was fenced out: this call stores nothing, and no later one will. (A call with `again`
    /// has this verdict too if the earlier call stored the entry before that.)
    Fenced,
}

/// An existing workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingWorkflow {
    /// The internal key.
    pub key: WorkflowKey,
    /// The external id.
    pub id: String,
    /// The registered name.
    pub name: String,
    /// The name of the instance that it is a method of, if it is.
    pub instance: Option<String>,
    /// Its status.
    pub status: Status,
}

/// The end of a workflow: a terminal status, or PARKED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedWorkflow {
    /// The external id.
    pub id: String,
    /// Its status.
    pub status: Status,
    /// The output or the error, after SUCCESS and ERROR.
    pub outcome: Option<Outcome>,
    /// Why it was cancelled or parked.
    pub reason: Option<String>,
}

/// A stored record.
#[derive(Debug, Clone)]
pub struct Record {
    /// The workflow's key.
    pub workflow: WorkflowKey,
    /// Where.
    pub position: Position,
    /// What kind of operation.
    pub kind: String,
    /// The operation's name.
    pub name: String,
    /// What came out.
    pub outcome: Option<Outcome>,
    /// The id of the workflow it started.
    pub child: Option<String>,
}

/// An executor to register.
#[derive(Debug, Clone)]
pub struct NewExecutor {
    /// Its key, fresh per launch.
    pub key: ExecutorKey,
    /// Its name: configured, or host and process.
    pub name: String,
    /// The host, on which lock files can be checked.
    pub host: String,
    /// The lock file that this process holds, if it could create one.
    pub lock_file: Option<String>,
    /// The program's version.
    pub version: String,
    /// The names of its workflows, and of the queues that it takes work from, as JSON.
    pub takes: Option<String>,
    /// How long it counts as alive after a heartbeat.
    pub lease: Duration,
}

/// An executor's row, as other executors read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorInfo {
    /// Its key.
    pub key: ExecutorKey,
    /// Its name.
    pub name: String,
    /// Its epoch: [`fence_out`](crate::store::Executors::fence_out) names it, so that only one call succeeds.
    pub epoch: Epoch,
    /// The host it ran on.
    pub host: String,
    /// Its lock file.
    pub lock_file: Option<String>,
    /// Whether its lease has expired.
    pub expired: bool,
    /// Whether it is leaving.
    pub leaving: bool,
}

/// What an executor runs, for a heartbeat to compare with the database: the workflows with keys behind `after`, up to
/// `through`.
#[derive(Debug, Clone, Copy)]
pub struct RunningPart<'a> {
    /// The keys.
    pub keys: &'a [WorkflowKey],
    /// All are greater than this one.
    pub after: WorkflowKey,
    /// None is greater than this one.
    pub through: WorkflowKey,
}

impl<'a> RunningPart<'a> {
    /// All that it runs.
    #[must_use]
    pub fn all(keys: &'a [WorkflowKey]) -> Self {
        Self { keys, after: WorkflowKey::new(i64::MIN), through: WorkflowKey::new(i64::MAX) }
    }
}

/// What a heartbeat reports.
#[derive(Debug, Clone, Default)]
pub struct HeartbeatResult {
    /// Whether the fence still holds. If not, the executor was fenced out and must drop everything.
    pub fence_holds: bool,
    /// The present time of the database's clock.
    pub now: Timestamp,
    /// Executors with an expired lease.
    pub expired: Vec<ExecutorInfo>,
    /// Whether there are PENDING workflows without a living owner to take over.
    pub orphans: bool,
    /// Of the running keys, those that are no longer PENDING here, with their status.
    pub no_longer_owned: Vec<(WorkflowKey, Status)>,
    /// PENDING workflows of this executor that are not among the running keys of the part, at most a thousand.
    pub not_running: Vec<WorkflowKey>,
}

/// A workflow that this program can run.
#[derive(Debug, Clone)]
pub struct KnownWorkflow {
    /// The registered name: of workflows of any version. For those of one version, the name and the version with a line
    /// feed between them, which no name contains; without a version behind it, those that were started without one.
    pub name: String,
    /// The number of recoveries after which it is parked.
    pub max_recoveries: u32,
}

/// The present code of a workflow function.
#[derive(Debug, Clone)]
pub struct KnownCode {
    /// The registered name.
    pub name: &'static str,
    /// The fingerprint of its source.
    pub fingerprint: Fingerprint,
    /// The version that its workflows are recorded with.
    pub version: String,
}

/// A workflow whose function, or what that calls, may have changed since it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedWorkflow {
    /// The external id.
    pub id: String,
    /// The registered name.
    pub name: String,
    /// Whether its function itself has changed. Otherwise it was started by another version of the program.
    pub has_changed: bool,
}

/// A request to take over workflows.
#[derive(Debug, Clone)]
pub struct TakeoverRequest {
    /// The executor that takes over.
    pub fence: Fence,
    /// What it can run.
    pub known: Vec<KnownWorkflow>,
    /// How many at most.
    pub limit: u32,
    /// The keys of the workflows that the executor runs, if the reply to an earlier takeover was lost: then
    /// the result includes workflows that it owns and does not run.
    pub running: Option<Vec<WorkflowKey>>,
}

/// What was taken over.
#[derive(Debug, Clone, Default)]
pub struct Takeover {
    /// The workflows to run now, the oldest first.
    pub runs: Vec<RunRow>,
    /// Workflows that were parked because they were recovered too often.
    pub parked: Vec<ParkedRun>,
    /// The queues to which workflows were returned.
    pub requeued: Vec<String>,
}

/// A workflow that was parked instead of being run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRun {
    /// The external id.
    pub id: String,
    /// The registered name.
    pub name: String,
    /// Its queue, if it has one.
    pub queue: Option<String>,
}

/// A workflow to run.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// The internal key.
    pub key: WorkflowKey,
    /// The external id. The `Arc` is shared by all parts of the engine that refer to the run.
    pub id: Arc<str>,
    /// The registered name, to find the function; cleared once that is found.
    pub name: Box<str>,
    /// The arguments as a JSON object.
    pub input: Box<str>,
    /// The name of the instance that it is a method of.
    pub instance: Option<Box<str>>,
    /// This run's attempt number: from 1, and from 2 in a fork.
    pub attempt: i32,
    /// Whether it is a fork of another workflow.
    pub is_fork: bool,
    /// How often it was recovered before and with this run.
    pub recoveries: i32,
    /// The version that started it; `None` if it was started in this process, or without a version.
    pub version: Option<Box<str>>,
    /// The fingerprint of the source that started it.
    pub fingerprint: Fingerprint,
    /// When its time is up.
    pub deadline: Option<Timestamp>,
    /// The key of the workflow that started it, if one did.
    pub parent: Option<WorkflowKey>,
    /// The queue it was claimed from, if it was.
    pub queue: Option<Box<str>>,
    /// Whether it has a partition key, so that the next workflow of the key waits for its end.
    pub keyed: bool,
    /// When it was stored or due; `None` for a workflow that runs at once.
    pub waits_since: Option<Timestamp>,
    /// The W3C trace context of the call that started it.
    pub trace_context: Option<Box<str>>,
}

impl RunRow {
    /// Whether no run of it was begun before. A fork is stored with attempt 1, so that its first run reads its records.
    pub(crate) fn is_first_run(&self) -> bool {
        self.attempt == if self.is_fork { 2 } else { 1 }
    }

    /// The workflow in the records of a database of the application. An id can be used again once its workflow was
    /// deleted, which does not reach those records; a key is not.
    pub(crate) fn in_app_database(&self) -> String {
        format!("{}#{}", self.id, self.key.get())
    }
}

/// Which workflows of an executor to release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseRequest<'a> {
    /// All except these.
    AllExcept(&'a [WorkflowKey]),
    /// Only these.
    Only(&'a [WorkflowKey]),
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl ReleaseRequest<'_> {
    /// The keys, and whether they are those to release.
    pub(crate) fn keys(&self) -> (&[WorkflowKey], bool) {
        match self {
            Self::AllExcept(keys) => (keys, false),
            Self::Only(keys) => (keys, true),
        }
    }
}

/// What was released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ReleasedWorkflows {
    /// Direct workflows, PENDING without an owner.
    pub direct: u64,
    /// Queued ones, ENQUEUED again.
    pub queued: u64,
}

/// A query for work that is left.
#[derive(Debug, Clone)]
pub struct WorkQuery {
    /// The executor.
    pub executor: ExecutorKey,
    /// The queues that it takes work from.
    pub queues: Vec<String>,
    /// Whether DELAYED workflows count as work.
    pub delayed: bool,
    /// The workflows that it can run.
    pub known: Vec<KnownWorkflow>,
}

/// The work that is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkFound {
    /// The executor owns a PENDING workflow.
    pub own: bool,
    /// A PENDING workflow that it can run was released by its executor.
    pub released: bool,
    /// A workflow that it can run is ENQUEUED or DELAYED on one of its queues, which is not paused.
    pub queued: bool,
}
