//! Messages, events and streams, and the poll for all that is waited for.

use std::collections::BTreeMap;

use crate::store::FinishedWorkflow;
use crate::types::keys::{ExecutorKey, MessageKey, PublicationKey, WorkflowKey};
use crate::types::position::Position;
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// A message to a workflow.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its key, fresh. Of messages stored in one call, the one with the smaller key was sent first.
    pub key: MessageKey,
    /// The id of the workflow it is for.
    pub to: String,
    /// The topic. The empty text is a valid topic.
    pub topic: String,
    /// The payload as JSON.
    pub payload: String,
    /// The idempotency key. A workflow receives one message with this key on a topic, however often it is sent.
    /// Sending it again is no error, also after the first one was received or the workflow has
    /// ended: the retry of a success is a success.
    pub idempotency_key: Option<String>,
}

/// A value that a workflow publishes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its key, fresh. Of publications stored in one call, the one with the smaller key came first.
    pub key: PublicationKey,
    /// The key of the workflow.
    pub workflow: WorkflowKey,
    /// Its kind.
    pub kind: PublicationKind,
    /// The name of the event or the stream.
    pub name: String,
    /// The value as JSON; the empty text for the end of a stream.
    pub value: String,
    /// The position of the call, or of the step in whose body the call was made.
    pub position: Position,
}

/// The kind of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicationKind {
    /// The value of an event. The last value counts; earlier ones are its history.
    Event,
    /// The next item of a stream.
    Item,
    /// The end of a stream.
    Close,
}

/// Everything that is waited for in this process, for one query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollRequest {
    /// The executor whose workflows may have been cancelled, and since when: see
    /// [`PollResult::cancelled`].
    pub cancelled: Option<(ExecutorKey, Timestamp)>,
    /// The ids of workflows whose end is awaited.
    pub ends: Vec<String>,
    /// Messages: the receiver's key, and the topic.
    pub messages: Vec<(WorkflowKey, String)>,
    /// Events: the workflow's id and the event's name.
    pub events: Vec<(String, String)>,
    /// Streams: the workflow's id, the stream's name, and the cursor after which items are awaited.
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

/// The answer to a [`PollRequest`]. Waits that are not over yet are left out.
#[derive(Debug, Clone, Default)]
pub struct PollResult {
    /// The present time of the database's clock.
    pub now: Timestamp,
    /// Keys of the executor's workflows that are CANCELLED with a completion at or after the time
    /// that was asked for.
    pub cancelled: Vec<WorkflowKey>,
    /// Those of the ids that have ended or are parked.
    pub ends: Vec<FinishedWorkflow>,
    /// Those of the ids that no workflow has.
    pub missing: Vec<String>,
    /// For each pair, by its index in the request, the oldest message that was not received yet.
    pub messages: Vec<PolledMessage>,
    /// For each pair, by its index, the last value of the event, or that it will never be set.
    pub events: Vec<PolledEvent>,
    /// The indices of streams with an item after their cursor, or with a workflow that has ended.
    pub streams: Vec<usize>,
    /// The indices of streams that have nothing behind their mark, and whose workflow is PARKED.
    pub parked_streams: Vec<usize>,
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

/// An event that is set, or can never be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledEvent {
    /// Which of the wanted pairs it is for.
    pub index: usize,
    /// The last value; `None` if the workflow has ended without setting it.
    pub value: Option<String>,
    /// Whether it is not set, and the workflow is parked.
    pub parked: bool,
}

/// A part of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// The workflow's status; `None` if there is no such workflow.
    pub status: Option<Status>,
    /// The items after the cursor, in the order in which they were written.
    pub items: Vec<StreamItem>,
}

/// One item of a stream, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamItem {
    /// Its position in the stream.
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

/// The result of a cancellation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CancelledWorkflows {
    /// The status that each of the given workflows had before, by id, unless there is no such workflow.
    pub before: BTreeMap<String, Status>,
    /// Every workflow that this call has cancelled: the given ones, unless they had ended, and their
    /// descendants if that was requested.
    pub runs: Vec<CancelledRun>,
}

/// A workflow that was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledRun {
    /// Its id.
    pub id: String,
    /// Its registered name.
    pub name: String,
    /// Its queue, if it has one.
    pub queue: Option<String>,
    /// The executor that runs it, if one does.
    pub executor: Option<ExecutorKey>,
}

/// What has changed, for other processes. A hint may be spurious: the receiver reads the database, and
/// may find nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hint {
    /// A workflow has ended, or has a new message, event or stream item: [`Hint::for_workflow`] of its id.
    Workflow(u32),
    /// One of this executor's workflows was cancelled.
    Executor(ExecutorKey),
    /// A queue has more workflows, free slots or other limits: [`Hint::for_queue`] of its name.
    Queue(u32),
}

impl Hint {
    /// The hint of a workflow's id: FNV-1a, which stays the same between builds and machines.
    #[must_use]
    pub fn for_workflow(id: &str) -> Self {
        Self::Workflow(Self::hash_of(id))
    }

    /// The hash in the hint of a workflow's id.
    pub(crate) fn hash_of(id: &str) -> u32 {
        hash(id)
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
    /// From now on hints arrive. Earlier ones may have been missed, so poll once.
    Listening,
    /// These have changed.
    Hints(Vec<Hint>),
    /// Something has changed.
    Something,
}

/// The connection of an outbox call.
#[derive(Debug)]
pub enum OutboxConnection<'a> {
    /// A connection to Postgres, in the user's transaction.
    #[cfg(feature = "postgres")]
    Postgres(&'a mut sqlx::PgConnection),
    /// A connection to SQLite, in the user's transaction.
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut sqlx::SqliteConnection),
    /// The only variant without any store: it uses the lifetime of the type.
    #[doc(hidden)]
    Nothing(std::marker::PhantomData<&'a mut ()>, std::convert::Infallible),
}

/// The result of sending a message within the user's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is written, and will be there once the transaction is committed.
    Posted,
    /// The receiver does not exist, or has ended.
    NoReceiver(Option<Status>),
    /// The connection is one of the other kind of database.
    OtherDatabase,
}

/// A connection or transaction of sqlx for an outbox call: see [`send_in`](crate::send_in).
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
