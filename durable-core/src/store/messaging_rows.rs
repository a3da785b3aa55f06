//! Messages, events and streams, and how waits for them are answered.

use crate::store::FinishedWorkflow;
use crate::types::keys::{ExecutorKey, MessageKey, PublicationKey, WorkflowKey};
use crate::types::position::Position;
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// A message to a workflow.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its own key, fresh. Of messages stored in one call the one with the lesser key was sent first.
    pub key: MessageKey,
    /// The id of the workflow it is for.
    pub to: String,
    /// What it is about; the empty text is a topic like any other.
    pub topic: String,
    /// The payload as JSON.
    pub payload: String,
    /// A workflow takes one message with this key, however often it is sent, even after the first was
    /// received. Sending another one is no error, also once the workflow has ended: the
    /// retry of a success is a success.
    pub idempotency_key: Option<String>,
}

/// A value that a workflow publishes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its own key, fresh. Of publications stored in one call the one with the lesser key came first.
    pub key: PublicationKey,
    /// The key of the workflow.
    pub workflow: WorkflowKey,
    /// What it is.
    pub kind: PublicationKind,
    /// The name of the event or the stream.
    pub name: String,
    /// The value as JSON; the empty text for the end of a stream.
    pub value: String,
    /// The position of the call, or of the step in whose body the call was made.
    pub position: Position,
}

/// What a workflow publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicationKind {
    /// A value under a name: the last one counts, and the earlier ones stay as its history.
    Event,
    /// The next item of a stream.
    Item,
    /// The end of a stream.
    Close,
}

/// Everything that is waited for in this process: one query for all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollRequest {
    /// The executor whose workflows may have been cancelled, and since when: see
    /// [`PollResult::cancelled`].
    pub cancelled: Option<(ExecutorKey, Timestamp)>,
    /// The ids of workflows whose end is awaited.
    pub ends: Vec<String>,
    /// Messages: the key of the workflow that receives, and the topic.
    pub messages: Vec<(WorkflowKey, String)>,
    /// Events: the workflow's id and the event's name.
    pub events: Vec<(String, String)>,
    /// Streams: the workflow's id, the stream's name, and the mark behind which news are awaited.
    pub streams: Vec<(String, String, StreamCursor)>,
}

/// How far a stream was read: the time and the key of the last item. The default is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamCursor {
    /// When that item was written.
    pub at: Timestamp,
    /// Its key.
    pub key: PublicationKey,
}

/// What is there of what was [`PollRequest`]. What is not there yet is left out.
#[derive(Debug, Clone, Default)]
pub struct PollResult {
    /// The present time of the database's clock.
    pub now: Timestamp,
    /// Keys of the executor's workflows that are CANCELLED with a completion at or after the time
    /// that was asked for.
    pub cancelled: Vec<WorkflowKey>,
    /// Those of the ids that have come to an end or are parked.
    pub ends: Vec<FinishedWorkflow>,
    /// For each pair, by its index in the question, the oldest message that was not received yet.
    pub messages: Vec<PolledMessage>,
    /// For each pair, by its index, the last value of the event, or that it will never be set.
    pub events: Vec<PolledEvent>,
    /// The indices of streams that have something behind their mark, or whose workflow has come to
    /// a terminal status.
    pub streams: Vec<usize>,
}

/// A message that can be received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledMessage {
    /// Which of the wanted pairs it is for.
    pub index: usize,
    /// Its key.
    pub key: MessageKey,
    /// Its payload.
    pub payload: String,
}

/// An event, or its certain absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledEvent {
    /// Which of the wanted pairs it is for.
    pub index: usize,
    /// The last value; `None` when the workflow has come to a terminal status without setting it.
    pub value: Option<String>,
}

/// A part of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// Where the workflow stands; `None` if there is no such workflow.
    pub status: Option<Status>,
    /// The items behind the mark, in the order in which they were written.
    pub items: Vec<StreamItem>,
}

/// One item of a stream, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamItem {
    /// Where it stands in the stream.
    pub cursor: StreamCursor,
    /// Its value; `None` for the end of the stream.
    pub value: Option<String>,
}

/// A value that an event had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEventValue {
    /// When it was set.
    pub at: Timestamp,
    /// The value.
    pub value: String,
}

/// What a cancellation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledWorkflows {
    /// The status the workflow had before.
    pub before: Status,
    /// Every workflow that this call has cancelled: the workflow itself, if it had not come to an
    /// end, and those below it if that was asked for.
    pub runs: Vec<CancelledRun>,
}

/// A workflow that was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledRun {
    /// Its id.
    pub id: String,
    /// The executor that runs it, if one does.
    pub executor: Option<ExecutorKey>,
}

/// What has changed, for other processes. It is small, and may be a false alarm: a process that receives
/// it looks, and may find nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hint {
    /// A workflow has come to an end, has a message, an event, an item: [`Hint::for_workflow`] its id.
    Workflow(u32),
    /// One of this executor's workflows was cancelled.
    Executor(ExecutorKey),
    /// A queue has more to do, or room for more, or other limits: [`Hint::for_queue`] its name.
    Queue(u32),
}

impl Hint {
    /// The hint of a workflow's id: FNV-1a, which stays the same between builds and machines.
    #[must_use]
    pub fn for_workflow(id: &str) -> Self {
        Self::Workflow(hash(id))
    }

    /// The hint of a queue's name.
    #[must_use]
    pub fn for_queue(name: &str) -> Self {
        Self::Queue(hash(name))
    }
}

fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What a listener receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// From now on hints arrive; earlier ones may have been missed, so look once.
    Listening,
    /// These have changed.
    Hints(Vec<Hint>),
    /// Something has changed.
    Something,
}

/// What an outbox call writes with.
#[derive(Debug)]
pub enum OutboxConnection<'a> {
    /// A connection to Postgres, in the user's transaction.
    #[cfg(feature = "postgres")]
    Postgres(&'a mut sqlx::PgConnection),
    /// A connection to SQLite, in the user's transaction.
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut sqlx::SqliteConnection),
    /// There is none without a store; it is here so that the type has a lifetime.
    #[doc(hidden)]
    Nothing(std::marker::PhantomData<&'a mut ()>, std::convert::Infallible),
}

/// What became of a message that is sent within the user's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is written, and will be there once the transaction is committed.
    Posted,
    /// The workflow that it is for is not there, or has come to an end.
    NoReceiver(Option<Status>),
    /// The connection is one of the other kind of database.
    OtherDatabase,
}

/// A connection of sqlx, or a transaction, that a message can be sent with: see
/// [`send_in`](crate::send_in).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no connection to the system database",
    label = "give a `Transaction`, a `PgConnection` or a `SqliteConnection` of sqlx",
    note = "the features `postgres` and `sqlite` of durable turn them on"
)]
pub trait Outbox: Send {
    /// The connection itself.
    fn outbox(&mut self) -> OutboxConnection<'_>;
}

#[cfg(feature = "postgres")]
impl Outbox for sqlx::PgConnection {
    fn outbox(&mut self) -> OutboxConnection<'_> {
        OutboxConnection::Postgres(self)
    }
}

#[cfg(feature = "postgres")]
impl Outbox for sqlx::Transaction<'_, sqlx::Postgres> {
    fn outbox(&mut self) -> OutboxConnection<'_> {
        OutboxConnection::Postgres(self)
    }
}

#[cfg(feature = "sqlite")]
impl Outbox for sqlx::SqliteConnection {
    fn outbox(&mut self) -> OutboxConnection<'_> {
        OutboxConnection::Sqlite(self)
    }
}

#[cfg(feature = "sqlite")]
impl Outbox for sqlx::Transaction<'_, sqlx::Sqlite> {
    fn outbox(&mut self) -> OutboxConnection<'_> {
        OutboxConnection::Sqlite(self)
    }
}
