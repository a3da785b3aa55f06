//! Floor 1, the ground: what the engine asks of a database, and the databases that can do it.
//!
//! The contract, for every method of every trait here:
//!
//! 1. One call is one atomic unit. The store opens and commits its own transaction; nothing above
//!    needs two calls to be atomic.
//! 2. Ids, keys, positions and epochs are made above and only stored here, so a call can be sent
//!    again. Sending a call twice has the effect of sending it once.
//! 3. Outcomes of races are enums, never errors. Errors are of the kinds in [`StoreErrorKind`].
//! 4. JSON text goes in and comes out. The store never reads a payload.
//! 5. Times are microseconds since 1970, from the database's clock.
//!
//! No method mentions a driver's type, so a store can be wrapped: to count, to delay, to crash.

mod app_database;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod batch_clock;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod columns;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod decode;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod decode_messaging;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod decode_queues;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod enqueue_rows;
#[cfg(feature = "postgres")]
mod hints;
mod id_conflict;
mod messaging_rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migrations;
mod open;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod queue_rows;
mod rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rows_by_kind;
mod schedule_rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod statement_counter;
mod store_error;
mod user_transaction;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use self::app_database::ApplicationDatabase;
pub(crate) use self::id_conflict::WorkflowIdentity;
pub use self::messaging_rows::{
    CancelledRun, CancelledWorkflows, EventValue, Hint, NewMessage, Notification, Outbox, OutboxConnection,
    PollRequest, PollResult, PolledEvent, PolledMessage, Publication, PublicationKind, SendOutcome, StreamCursor,
    StreamItem, StreamPage,
};
pub(crate) use self::open::shown_without_password;
pub use self::open::{Location, open};
pub use self::queue_rows::{
    ClaimRequest, Claimed, Debounce, EnqueueOutcome, NewQueue, Promoted, QueueChange, QueuePlacement, QueueRow,
    RateLimit, StoredLimits,
};
pub use self::rows::{
    Entry, ExecutorInfo, ExistingWorkflow, Fence, Finish, FinishedWorkflow, HeartbeatResult, KnownWorkflow,
    NewExecutor, NewRecord, NewWorkflow, Record, ReleasedWorkflows, RunRow, Takeover, TakeoverRequest, Verdict,
    WorkFound, WorkQuery,
};
pub use self::schedule_rows::{ScheduleChange, ScheduleRow};
pub use self::store_error::{StoreError, StoreErrorKind};
pub use self::user_transaction::{
    Committed, Database, Isolation, Transact, Transacted, TransactionConnection, TransactionEnd, TransactionStart,
    UserWork,
};
use crate::types::listing::{Filter, StepInfo, WorkflowInfo};
pub use crate::types::payload::Outcome;
pub use crate::types::position::Position;

/// A boxed future, so that the traits are object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a store's method gives.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// All that the engine asks of a database.
pub trait Store:
    Commit + Transact + Executors + Queues + Schedules + Read + Messaging + Notifications + Control + Lifecycle
{
}

impl<S: Commit + Transact + Executors + Queues + Schedules + Read + Messaging + Notifications + Control + Lifecycle>
    Store for S
{
}

/// The one door for writing what executions do.
pub trait Commit: Send + Sync + Debug {
    /// Makes all `entries` durable in one commit, if `fence` still holds, and says of each, in
    /// order, what became of it.
    ///
    /// An entry is all or nothing: where one of its records meets another record at its position,
    /// nothing else of that entry is stored, and the verdict is [`Verdict::Superseded`]; where one of
    /// its messages has nobody to receive it, likewise [`Verdict::NoReceiver`]. The other entries are
    /// not touched by that. Workflows are begun before messages are sent, so that one entry can do
    /// both.
    ///
    /// What is said in one call is said at one time, and ordered by its keys. What a workflow shows
    /// is later than all it has shown there before, also where the clock has gone back.
    ///
    /// `again` says that the same entries may have been committed before, by a call whose answer
    /// was lost: what is found in the database just as it would be written now counts as stored. It
    /// is safe while that call may still be at work on a connection that is gone. It costs a
    /// statement per row, like every call with a row in the way, and like one with an entry that
    /// begins one workflow and ends one, or with a message to a workflow that it begins.
    ///
    /// # Errors
    /// Nothing was stored, except after [`StoreErrorKind::Unreachable`], where nobody knows: call again with
    /// `again`. An error of one entry fails the whole call; the caller finds the culprit by halving.
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>>;
}

/// Executors: who runs workflows, who is dead, and who takes over.
pub trait Executors: Send + Sync + Debug {
    /// Adds the executor's row with a lease from now, and gives its fence.
    fn register_executor<'a>(&'a self, executor: &'a NewExecutor) -> StoreFuture<'a, Fence>;

    /// Prolongs the lease if the fence still holds, and looks around once: see [`HeartbeatResult`].
    /// `running` are the keys this process runs, to learn which of them are no longer its own.
    fn heartbeat<'a>(&'a self, fence: Fence, lease: Duration, running: &'a [i64]) -> StoreFuture<'a, HeartbeatResult>;

    /// Says that the executor takes no new work and will leave: others no longer take it for
    /// crashed when they are launched under its name.
    fn mark_leaving(&self, fence: Fence) -> StoreFuture<'_, ()>;

    /// Every executor that has not been deposed: the launch looks for dead ones of its own name or host.
    fn executors(&self) -> StoreFuture<'_, Vec<ExecutorInfo>>;

    /// Raises the epoch of an executor that is known to be dead, if it is still `epoch`: after
    /// this returns, no flush of that executor can commit. Waits for a flush in flight.
    /// Gives whether this call was the one that did it.
    fn fence_out(&self, executor: i64, epoch: i64) -> StoreFuture<'_, bool>;

    /// Takes up to `limit` PENDING workflows of deposed executors, or released ones, and makes them
    /// the caller's. Queued ones, also of names that the caller does not know, are ENQUEUED again
    /// instead, in their old place, so that the limits of their queue hold: [`Takeover::requeued`].
    /// Those recovered too often are parked instead. All of them count for the limit. Nothing is left
    /// that the caller can run once a call gives neither runs nor parked nor requeued ones, except
    /// what another adopter has just locked. Gives nothing if the fence no longer holds.
    fn take_over<'a>(&'a self, adopt: &'a TakeoverRequest) -> StoreFuture<'a, Takeover>;

    /// How many PENDING workflows that nobody runs have names other than `known`. Queued ones do not
    /// count: whoever adopts gives them back to their queue.
    fn count_unknown<'a>(&'a self, known: &'a [KnownWorkflow]) -> StoreFuture<'a, u64>;

    /// Gives back every PENDING workflow of the executor except the `stuck`: a direct one stays
    /// PENDING without an owner, free to take at once, a queued one is ENQUEUED again. The run is
    /// not counted as a recovery.
    fn release<'a>(&'a self, fence: Fence, stuck: &'a [i64]) -> StoreFuture<'a, ReleasedWorkflows>;

    /// Whether there is anything to do for an executor: a look that writes nothing.
    fn work_left<'a>(&'a self, asked: &'a WorkQuery) -> StoreFuture<'a, WorkFound>;

    /// Takes the executor's row away, so that nobody waits for its lease.
    fn remove_executor(&self, fence: Fence) -> StoreFuture<'_, ()>;
}

/// Queues: who waits for a turn, and who gets one.
pub trait Queues: Send + Sync + Debug {
    /// Makes the program's queues known. A queue that is there gets the limits of the code, unless
    /// they were changed at run time.
    fn declare_queues<'a>(&'a self, queues: &'a [NewQueue]) -> StoreFuture<'a, ()>;

    /// Takes up to `most` ENQUEUED workflows that the caller can run, in their order, as far as the
    /// limits allow, and makes them PENDING and the caller's. A deadline begins here, from the
    /// timeout. Gives nothing if the fence no longer holds, or the queue is paused.
    ///
    /// No limit is exceeded at any moment, whoever claims at the same time; one that is new holds for
    /// the claims that begin after it. A queue without limits over the fleet costs one statement (in
    /// SQLite a look before it), and claimers do not wait for each other.
    ///
    /// On a partitioned queue the workflows of one key are taken strictly in their order: one that the
    /// caller cannot run, or that somebody has locked, holds those behind it up. The keys take turns,
    /// one workflow each; whoever waits longest since its last turn, or since its oldest workflow was
    /// enqueued, is first.
    ///
    /// # Errors
    /// After [`StoreErrorKind::Unreachable`] nobody knows whether something was claimed:
    /// [`give_back_lost`](Self::give_back_lost).
    fn claim<'a>(&'a self, request: &'a ClaimRequest) -> StoreFuture<'a, Claimed>;

    /// Gives back what was claimed and has not begun: it is ENQUEUED again, in its old place, as if
    /// it had not been claimed. The attempt and the rate limit do not count it.
    fn return_claims<'a>(&'a self, fence: Fence, keys: &'a [i64]) -> StoreFuture<'a, ()>;

    /// Gives back what a claim took whose answer was lost: everything that is PENDING, the caller's
    /// and from this queue, except `held`, which is what it knows of. Gives how many those were. It
    /// waits for a claim that is still at work on a connection that is gone.
    fn release_unknown_claims<'a>(&'a self, fence: Fence, queue: &'a str, held: &'a [i64]) -> StoreFuture<'a, u64>;

    /// Makes DELAYED workflows whose time has come ENQUEUED, a good many in one call. They stand where
    /// they would if they had not been delayed.
    fn promote(&self) -> StoreFuture<'_, Promoted>;

    /// Those of these queues on which something is ENQUEUED, in one round trip for all of them.
    fn queues_with_work<'a>(&'a self, queues: &'a [String]) -> StoreFuture<'a, Vec<String>>;

    /// Every queue that was declared or has workflows that are ENQUEUED, DELAYED or PENDING, by name.
    fn queues(&self) -> StoreFuture<'_, Vec<QueueRow>>;

    /// Changes a queue, and gives whether there is one of this name.
    fn change_queue<'a>(&'a self, name: &'a str, change: QueueChange) -> StoreFuture<'a, bool>;

    /// Enqueues a workflow on the user's connection, as a part of whatever transaction it is in. The
    /// others are told when that is committed, as with [`Messaging::post`].
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a workflow without a place, and as with [`Messaging::post`].
    fn enqueue_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        workflow: &'a NewWorkflow,
    ) -> StoreFuture<'a, EnqueueOutcome>;
}

/// Schedules.
pub trait Schedules: Send + Sync + Debug {
    /// Stores schedules, and gives how many. One that is there gets the new workflow, expression, zone,
    /// policies and arguments, and keeps its pause; a new one has its last tick now, and so has one with
    /// another expression or zone. One in the code does not give way to one that is not.
    fn upsert_schedules<'a>(&'a self, schedules: &'a [ScheduleRow]) -> StoreFuture<'a, u64>;

    /// All of them, by name.
    fn schedules(&self) -> StoreFuture<'_, Vec<ScheduleRow>>;

    /// Changes one, and gives whether there is one of this name.
    fn change_schedule<'a>(&'a self, name: &'a str, change: ScheduleChange) -> StoreFuture<'a, bool>;
}

/// Reading.
pub trait Read: Send + Sync + Debug {
    /// The present time of the database's clock, in microseconds since 1970.
    fn now(&self) -> StoreFuture<'_, i64>;

    /// One workflow, to attach to it.
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ExistingWorkflow>>;

    /// What is there of everything that is waited for: one statement, whatever the number.
    fn poll<'a>(&'a self, wanted: &'a PollRequest) -> StoreFuture<'a, PollResult>;

    /// All records of the workflows with these keys, in one query.
    fn records<'a>(&'a self, keys: &'a [i64]) -> StoreFuture<'a, Vec<Record>>;

    /// A listing for people and tests.
    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<WorkflowInfo>>;

    /// One workflow, as people see it.
    fn show<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<WorkflowInfo>>;

    /// The records of one workflow in the order of their positions.
    fn steps<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<StepInfo>>;
}

/// What workflows say. It is written through [`Commit`]; this is how it is read, and the one way of
/// writing beside it.
pub trait Messaging: Send + Sync + Debug {
    /// Up to `limit` items of a stream behind `mark`.
    fn read_stream<'a>(
        &'a self,
        workflow: &'a str,
        stream: &'a str,
        mark: StreamCursor,
        limit: u32,
    ) -> StoreFuture<'a, StreamPage>;

    /// Every value that an event had, the oldest first.
    fn event_history<'a>(&'a self, workflow: &'a str, event: &'a str) -> StoreFuture<'a, Vec<EventValue>>;

    /// Sends a message on the user's connection, as a part of whatever transaction it is in. The
    /// others are told when that is committed: in Postgres by a notification in the transaction
    /// itself, in SQLite by the file. That needs no fence: the message hangs on the user's commit and
    /// on nothing else.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] when the connection goes to a database without the engine's tables. On
    /// Postgres an error leaves the user's transaction in ruins, as every error there does.
    fn send_in<'a>(&'a self, connection: OutboxConnection<'a>, message: &'a NewMessage)
    -> StoreFuture<'a, SendOutcome>;
}

/// How processes hear of each other's writing.
pub trait Notifications: Send + Sync + Debug {
    /// Whether other processes can be there that want to be told. If not, nobody calls
    /// [`notify`](Self::notify).
    fn has_others(&self) -> bool;

    /// Tells the others where there is news. It is sent apart from the commits, which are over.
    fn notify<'a>(&'a self, hints: &'a [Hint]) -> StoreFuture<'a, ()>;

    /// Listens until it is dropped, and calls `heard` with what it hears. It has tried itself out
    /// before it says [`Notification::Listening`]: a proxy between may accept a listener and never tell it
    /// anything. What this process has told or committed itself it does not hear, except for messages
    /// that were posted on users' connections. It listens on after the work is closed, and closing
    /// the store does not wait for it.
    ///
    /// # Errors
    /// It hears nothing any more, or never did: [`StoreErrorKind::Refused`] when it is not worth while to try
    /// again soon.
    fn listen<'a>(&'a self, heard: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()>;
}

/// What people do to workflows.
pub trait Control: Send + Sync + Debug {
    /// Cancels the workflow unless it has come to an end, and with `children` every workflow that it
    /// started, and those that these started, as far as they have not come to an end. What they
    /// begin while this runs may be missed: they have not heard yet. `None` if there is no such
    /// workflow.
    fn cancel<'a>(
        &'a self,
        id: &'a str,
        reason: &'a str,
        children: bool,
    ) -> StoreFuture<'a, Option<CancelledWorkflows>>;
}

/// The store's own life.
pub trait Lifecycle: Send + Sync + Debug {
    /// Brings the schema up to date. Any number of processes may do it at once.
    fn migrate(&self) -> StoreFuture<'_, ()>;

    /// Where it is, for messages: never with a password.
    fn location(&self) -> Location;

    /// Statements sent and commits made so far.
    fn statement_counts(&self) -> StatementCounts;

    /// Marks the work connections closed at once, without waiting: whoever uses them from now on gets
    /// [`StoreErrorKind::Closed`], and a connection in use is cut when it comes back. What belongs to
    /// [`Executors`] goes on working until [`close`](Self::close).
    fn close_work_pool(&self);

    /// Its connections as they are just now, by what they are for.
    fn pools(&self) -> Vec<PoolState>;

    /// Closes everything at the same time and waits for it. The caller bounds the wait.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Deletes everything the engine has stored, and the schema with it. Tests only.
    fn drop_everything(&self) -> StoreFuture<'_, ()>;
}

/// Connections that are for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// What they are for.
    pub name: &'static str,
    /// How many are open.
    pub open: usize,
    /// How many of those somebody uses.
    pub held: usize,
}

/// Statements sent to the database and commits made there, for the tests of the cost model and the
/// metrics. Connecting and the statements of a migration itself are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatementCounts {
    /// Round trips: every statement, `BEGIN` and `COMMIT` included.
    pub statements: u64,
    /// Transactions that wrote something and were committed.
    pub commits: u64,
    /// Notifications to other processes, which are sent beside all that and for many at once.
    pub notifications: u64,
}

impl std::ops::Sub for StatementCounts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            statements: self.statements - earlier.statements,
            commits: self.commits - earlier.commits,
            notifications: self.notifications - earlier.notifications,
        }
    }
}
