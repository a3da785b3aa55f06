//! The traits that a database implements for the engine, and the databases that implement them.
//!
//! The contract, for every method of every trait here:
//!
//! 1. One call is one atomic unit. The store opens and commits its own transaction; nothing above
//!    needs two calls to be atomic.
//! 2. Ids, keys, positions and epochs come from the caller, so a call can be sent again. Sending a call
//!    twice has the effect of sending it once.
//! 3. Results of races are enums, never errors. Errors are of the kinds in [`StoreErrorKind`].
//! 4. JSON text goes in and comes out. The store never reads a payload.
//! 5. Times are microseconds since 1970, from the database's clock.
//!
//! No method mentions a driver's type, so a store can be wrapped: to count, to delay, to crash.

mod app_database;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod batch_clock;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod columns;
#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod compare_snapshots;
mod control_rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod decode;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod decode_messaging;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod decode_queues;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod enqueue_rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod failed_tail;
#[cfg(feature = "testing")]
mod faulty_store;
mod gauge_rows;
#[cfg(feature = "postgres")]
mod hints;
mod id_conflict;
mod location;
mod maintenance_rows;
mod messaging_rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migrations;
mod open;
mod operator_traits;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod queue_rows;
mod role_access;
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
mod store_settings;
#[cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]
mod table_copies;
#[cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]
mod table_rows;
mod user_transaction;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use self::app_database::ApplicationDatabase;
pub use self::control_rows::{ChangeOutcome, ForkOutcome, ForkPoint, ForkRequest, WorkflowChange};
#[cfg(feature = "testing")]
pub use self::faulty_store::{FaultMode, FaultPlan, FaultyStore, HoldAt};
pub use self::gauge_rows::{GaugeValues, QueueGauge};
pub(crate) use self::id_conflict::WorkflowIdentity;
pub use self::location::Location;
pub(crate) use self::location::shown_without_password;
pub use self::maintenance_rows::{BacklogRow, DeletedWorkflow, EndCursor, EndedWorkflow, Maintenance, WaitingWork};
pub use self::messaging_rows::{
    CancelledRun, CancelledWorkflows, Hint, NewMessage, Notification, Outbox, OutboxConnection, PollRequest,
    PollResult, PolledEvent, PolledMessage, Publication, PublicationKind, SendOutcome, StoredEventValue, StreamCursor,
    StreamItem, StreamPage,
};
pub(crate) use self::open::diagnose;
pub use self::open::{migration_script, open, open_with};
pub use self::operator_traits::{Control, Histories, Listings, Versions};
pub use self::queue_rows::{
    ClaimRequest, Claimed, Debounce, EnqueueOutcome, NewQueue, Promoted, QueueChange, QueuePlacement, QueueRow,
    RateLimit, StoredLimits,
};
pub use self::role_access::RoleAccess;
pub use self::rows::{
    ChangedWorkflow, Entry, ExecutorInfo, ExistingWorkflow, Fence, Finish, FinishedWorkflow, HeartbeatResult,
    KnownCode, KnownWorkflow, NewExecutor, NewRecord, NewWorkflow, ParentRun, ParkedRun, Record, ReleaseRequest,
    ReleasedWorkflows, RunRow, RunningPart, StartContext, Takeover, TakeoverRequest, Verdict, WorkFound, WorkQuery,
};
pub use self::schedule_rows::{ScheduleChange, ScheduleRow};
pub use self::store_error::{StoreError, StoreErrorKind};
pub use self::store_settings::StoreSettings;
#[cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]
pub use self::table_copies::{copy_tables, forget_copies, read_application_tables, restore_tables};
#[cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]
pub use self::table_rows::{TableCopies, TableRows};
pub use self::user_transaction::{
    Committed, Database, Isolation, Transact, Transacted, TransactionConnection, TransactionEnd, TransactionStart,
    UserWork,
};
use crate::types::executor_listing::ListedExecutor;
pub use crate::types::keys::{Epoch, ExecutorKey, Fingerprint, MessageKey, PublicationKey, WorkflowKey};
pub use crate::types::payload::Outcome;
pub use crate::types::position::Position;
pub use crate::types::time::Timestamp;

/// A boxed future, so that the traits are object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a store's method gives.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A database for the engine.
pub trait Store:
    Commit
    + Transact
    + Executors
    + Queues
    + Schedules
    + Read
    + Listings
    + Versions
    + Histories
    + Messaging
    + Notifications
    + Control
    + Maintenance
    + Lifecycle
{
}

impl<
    S: Commit
        + Transact
        + Executors
        + Queues
        + Schedules
        + Read
        + Listings
        + Versions
        + Histories
        + Messaging
        + Notifications
        + Control
        + Maintenance
        + Lifecycle,
> Store for S
{
}

/// Commits of executions and callers.
pub trait Commit: Send + Sync + Debug {
    /// Makes all `entries` durable in one commit, if `fence` still holds, and returns a verdict for each, in
    /// their order.
    ///
    /// An entry is all or nothing: if one of its records conflicts with another record at its position,
    /// nothing of that entry is stored, and the verdict is [`Verdict::Superseded`]; if one of its
    /// messages has no receiver, likewise [`Verdict::NoReceiver`]. The other entries are not affected.
    /// Workflows are started before messages are sent, so that one entry can do both. Of two starts with
    /// one id, one deduplication id or one debounce key, the first entry wins.
    ///
    /// Messages, events and items of one call have one time, and are ordered by their keys. The time of an
    /// event or item is later than that of all before it, also where the clock has gone back.
    ///
    /// With `again` the same entries may have been committed by an earlier call that got no reply: a row
    /// that is already in the database as it would be written counts as stored. This is safe while that call
    /// may still run on a lost connection. It costs one statement per row. So does a call with a conflicting
    /// row, with an entry that starts one workflow and ends another, or with a message to a workflow that it
    /// starts.
    ///
    /// A child is only started while its parent is PENDING in the run that starts it; otherwise the verdict is
    /// [`Verdict::Superseded`]. The parent's row is locked until the commit, so a cancellation of the
    /// parent finds every child.
    ///
    /// # Errors
    /// Nothing was stored, except after [`StoreErrorKind::Unreachable`], where it is unknown: call again with
    /// `again`. An error of one entry fails the whole call; the caller finds that entry by bisection.
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>>;

    /// How many calls of [`commit`](Self::commit) are worth making at the same time.
    fn commits_at_once(&self) -> usize {
        1
    }
}

/// Executors: their leases, and takeovers of the workflows of dead ones.
pub trait Executors: Send + Sync + Debug {
    /// Adds the executor's row with a lease from now, and returns its fence.
    fn register_executor<'a>(&'a self, executor: &'a NewExecutor) -> StoreFuture<'a, Fence>;

    /// Prolongs the lease if the fence still holds, and reads what [`HeartbeatResult`] holds. `running` is
    /// compared with the database, to find what this process no longer owns.
    fn heartbeat<'a>(
        &'a self,
        fence: Fence,
        lease: Duration,
        running: RunningPart<'a>,
    ) -> StoreFuture<'a, HeartbeatResult>;

    /// Notes that the executor takes no new work and will leave: another launch under its name no longer
    /// considers it crashed.
    fn mark_leaving(&self, fence: Fence) -> StoreFuture<'_, ()>;

    /// Every executor that was not fenced out. A launch searches them for dead ones of its name or host.
    fn executors(&self) -> StoreFuture<'_, Vec<ExecutorInfo>>;

    /// All executors, for people, the oldest launch first.
    fn list_executors(&self) -> StoreFuture<'_, Vec<ListedExecutor>>;

    /// Raises the epoch of an executor that is known to be dead, if it is still `epoch`: after
    /// this returns, no commit of that executor can succeed. Waits for a commit in flight. Returns whether
    /// this call was the one that did it.
    fn fence_out(&self, executor: ExecutorKey, epoch: Epoch) -> StoreFuture<'_, bool>;

    /// Notes of an executor that was fenced out that its process was alive then, so that a takeover of its
    /// workflows does not count as a recovery.
    fn note_alive(&self, executor: ExecutorKey) -> StoreFuture<'_, ()>;

    /// Deletes the rows of executors that were fenced out and own no PENDING workflow. Returns their number.
    fn remove_dead_executors(&self) -> StoreFuture<'_, u64>;

    /// Takes up to `limit` PENDING workflows of executors that were fenced out, or released ones, and makes
    /// them the caller's. Queued ones, also of names that the caller does not know, are ENQUEUED again
    /// instead, in their old place, so that the limits of their queue hold: [`Takeover::requeued`].
    /// Those recovered too often are parked instead. All of them count for the limit. Once a call returns
    /// no runs, no parked and no requeued workflows, the caller can run no further one, except those that
    /// another takeover has just locked. Returns nothing if the fence no longer holds.
    fn take_over<'a>(&'a self, adopt: &'a TakeoverRequest) -> StoreFuture<'a, Takeover>;

    /// The names other than `known` of PENDING workflows without a living executor, in their order, and how many
    /// workflows have each, 20,000 in all at most. Queued ones do not count: a takeover returns them to their queue.
    fn count_unknown<'a>(&'a self, known: &'a [KnownWorkflow]) -> StoreFuture<'a, Vec<(String, u64)>>;

    /// Releases PENDING workflows of the executor: a direct one stays PENDING without an owner, and any
    /// executor may take it; a queued one is ENQUEUED again. The next run is not counted as a recovery.
    fn release<'a>(&'a self, fence: Fence, which: ReleaseRequest<'a>) -> StoreFuture<'a, ReleasedWorkflows>;

    /// Whether there is anything to do for an executor. It only reads.
    fn work_left<'a>(&'a self, query: &'a WorkQuery) -> StoreFuture<'a, WorkFound>;

    /// Deletes the executor's row, so that no other one waits for its lease.
    fn remove_executor(&self, fence: Fence) -> StoreFuture<'_, ()>;
}

/// Queues, and claims from them.
pub trait Queues: Send + Sync + Debug {
    /// Declares the program's queues. An existing queue gets the limits of the code, unless they were changed
    /// at run time.
    fn declare_queues<'a>(&'a self, queues: &'a [NewQueue]) -> StoreFuture<'a, ()>;

    /// Takes up to `most` ENQUEUED workflows that the caller can run, in their order, as far as the
    /// limits allow, and makes them PENDING and the caller's. A timeout becomes a deadline here.
    /// Returns nothing if the fence no longer holds, or the queue is paused.
    ///
    /// No limit is exceeded at any moment, however many executors claim at the same time; a new one holds for
    /// the claims that begin after it. A queue without limits over the fleet costs one statement (in SQLite a
    /// lookup before it), and claims do not wait for each other.
    ///
    /// On a partitioned queue the workflows of one key are taken strictly in their order: one that the caller
    /// cannot run, or that another claim has locked, holds up those behind it. The keys take turns, one
    /// workflow each. The first key is the one with the longest time since its last claim, or, for keys
    /// without one, since its oldest workflow was enqueued.
    ///
    /// # Errors
    /// After [`StoreErrorKind::Unreachable`] it is unknown whether something was claimed:
    /// [`release_unknown_claims`](Self::release_unknown_claims).
    fn claim<'a>(&'a self, request: &'a ClaimRequest) -> StoreFuture<'a, Claimed>;

    /// Returns workflows that were claimed and not run: they are ENQUEUED again, where they were before, as if
    /// they had not been claimed. The attempt and the rate limit do not count them.
    fn return_claims<'a>(&'a self, fence: Fence, keys: &'a [WorkflowKey]) -> StoreFuture<'a, ()>;

    /// Returns workflows to the queue that were claimed by a call that got no reply: all PENDING workflows of
    /// the caller from this queue, except `known`, which the caller runs. Returns their number. It waits for
    /// a claim that still runs on a lost connection.
    fn release_unknown_claims<'a>(
        &'a self,
        fence: Fence,
        queue: &'a str,
        known: &'a [WorkflowKey],
    ) -> StoreFuture<'a, u64>;

    /// Makes DELAYED workflows that are due ENQUEUED, many in one call. Their order is that in which they were
    /// started.
    fn promote(&self) -> StoreFuture<'_, Promoted>;

    /// Those of these queues on which something is ENQUEUED, in one round trip for all of them.
    fn queues_with_work<'a>(&'a self, queues: &'a [String]) -> StoreFuture<'a, Vec<String>>;

    /// Every queue that was declared or has workflows that are ENQUEUED, DELAYED or PENDING, by name.
    fn queues(&self) -> StoreFuture<'_, Vec<QueueRow>>;

    /// How much the queue has to do. Each count stops at `most`, and reads no more rows than that.
    fn queue_backlog<'a>(&'a self, queue: &'a str, most: u32) -> StoreFuture<'a, BacklogRow>;

    /// Changes a queue. Returns whether there is one of this name.
    fn change_queue<'a>(&'a self, name: &'a str, change: QueueChange) -> StoreFuture<'a, bool>;

    /// Enqueues a workflow on the user's connection, as a part of the transaction that it is in. Other
    /// processes are notified when that is committed, as with [`Messaging::send_in`].
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a workflow without a queue, and as with [`Messaging::send_in`].
    fn enqueue_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        workflow: &'a NewWorkflow,
    ) -> StoreFuture<'a, EnqueueOutcome>;

    /// Enqueues a workflow for a caller that is no executor, and so without a fence. Other processes are notified,
    /// as with [`enqueue_in`](Self::enqueue_in). The verdicts are those of a start in [`Commit::commit`].
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a workflow without a queue. After [`StoreErrorKind::Unreachable`] it may have
    /// been stored: call again with the same key.
    fn enqueue<'a>(&'a self, workflow: &'a NewWorkflow) -> StoreFuture<'a, Verdict>;
}

/// Schedules.
pub trait Schedules: Send + Sync + Debug {
    /// Stores schedules, and returns how many. An existing one gets the new workflow, expression, zone,
    /// policies and arguments, and stays paused if it is; the last tick of a new one is now, as is that of
    /// one with another expression or zone. A schedule created at run time does not replace one in the code.
    fn upsert_schedules<'a>(&'a self, schedules: &'a [ScheduleRow]) -> StoreFuture<'a, u64>;

    /// All of them, by name.
    fn schedules(&self) -> StoreFuture<'_, Vec<ScheduleRow>>;

    /// Changes one. Returns whether there is one of this name.
    fn change_schedule<'a>(&'a self, name: &'a str, change: ScheduleChange) -> StoreFuture<'a, bool>;
}

/// Reading.
pub trait Read: Send + Sync + Debug {
    /// The present time of the database's clock, in microseconds since 1970.
    fn now(&self) -> StoreFuture<'_, Timestamp>;

    /// One workflow, to attach to it.
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ExistingWorkflow>>;

    /// Everything that is waited for and has happened, with one statement for any number of waits.
    fn poll<'a>(&'a self, wanted: &'a PollRequest) -> StoreFuture<'a, PollResult>;

    /// All records of the workflows with these keys, in one query.
    fn records<'a>(&'a self, keys: &'a [WorkflowKey]) -> StoreFuture<'a, Vec<Record>>;
}

/// Messages, events and streams. They are written through [`Commit`]; this is how they are read, and how a
/// message is sent within a user's transaction.
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
    fn event_history<'a>(&'a self, workflow: &'a str, event: &'a str) -> StoreFuture<'a, Vec<StoredEventValue>>;

    /// Sends a message on the user's connection, as a part of the transaction that it is in. Other processes
    /// are notified when that is committed: in Postgres by a notification in the transaction itself, in SQLite
    /// by the file. There is no fence: the message depends on the user's commit alone.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] when the connection goes to a database without the engine's tables. On
    /// Postgres an error aborts the user's transaction, as every error there does.
    fn send_in<'a>(&'a self, connection: OutboxConnection<'a>, message: &'a NewMessage)
    -> StoreFuture<'a, SendOutcome>;

    /// Sends a message for a caller that is no executor, and so without a fence. Other processes are notified, as
    /// with [`send_in`](Self::send_in).
    ///
    /// # Errors
    /// After [`StoreErrorKind::Unreachable`] it may have been sent: call again with the same key.
    fn send<'a>(&'a self, message: &'a NewMessage) -> StoreFuture<'a, SendOutcome>;
}

/// Notifications between processes on one database.
pub trait Notifications: Send + Sync + Debug {
    /// Whether there can be other processes that need notifications. If not, [`notify`](Self::notify) is not
    /// called.
    fn has_others(&self) -> bool;

    /// Notifies the others of what has changed. It is sent apart from the commits, which are over.
    fn notify<'a>(&'a self, hints: &'a [Hint]) -> StoreFuture<'a, ()>;

    /// Listens until it is dropped, and calls `on_notification`. Before it reports
    /// [`Notification::Listening`], it has received a notification of its own, because a proxy may accept a
    /// listener and deliver nothing. Changes by this process are not reported, except for those on users'
    /// connections. It continues after the work is closed, and closing the store does not wait for it.
    ///
    /// # Errors
    /// It receives nothing any more, or never did: [`StoreErrorKind::Refused`] when trying again soon is of no
    /// use.
    fn listen<'a>(&'a self, on_notification: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()>;
}

/// The store's own life.
pub trait Lifecycle: Send + Sync + Debug {
    /// Brings the schema up to date. Any number of processes may do it at once.
    fn migrate(&self) -> StoreFuture<'_, ()>;

    /// The names of the migrations that are missing, without writing anything; empty when the schema is up to date.
    ///
    /// # Errors
    /// [`StoreErrorKind::Foreign`] when the database was migrated by a newer release or another build.
    fn missing_migrations(&self) -> StoreFuture<'_, Vec<String>>;

    /// Gives a role of the database the privileges that it needs, and returns the statements that did it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] where the database has no roles.
    fn grant<'a>(&'a self, role: &'a str, access: RoleAccess) -> StoreFuture<'a, Vec<String>>;

    /// Makes the application the owner of the schema, if that has none, and returns the name of its owner.
    fn claim_schema<'a>(&'a self, application: &'a str) -> StoreFuture<'a, String>;

    /// Where it is, for messages: never with a password.
    fn location(&self) -> Location;

    /// Statements sent and commits made so far.
    fn statement_counts(&self) -> StatementCounts;

    /// For tests: how many calls of its methods have begun and not ended. Those of [`Transact`] and
    /// [`Notifications::listen`], and what brings up or closes the store, do not count.
    #[cfg(feature = "testing")]
    fn calls_in_flight(&self) -> usize;

    /// For tests: stops the clock of the database at a time, or lets it run on from where it stands. Every time
    /// that a statement reads follows it. It never goes back: the time from which it stands or runs is returned. The
    /// store was opened with [`StoreSettings::moves_clock`].
    #[cfg(feature = "testing")]
    fn stop_clock(&self, at: Option<Timestamp>) -> StoreFuture<'_, Timestamp>;

    /// Marks the work connections closed at once, without waiting: every later use fails with
    /// [`StoreErrorKind::Closed`], and a connection in use is closed when it comes back. The methods of
    /// [`Executors`] work until [`close`](Self::close).
    fn close_work_pool(&self);

    /// The current state of its connections, by purpose.
    fn pools(&self) -> Vec<PoolState>;

    /// Closes everything at the same time and waits for it. The caller bounds the wait.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Deletes everything the engine has stored, and the schema with it. Tests only.
    fn drop_everything(&self) -> StoreFuture<'_, ()>;
}

/// Connections of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Their purpose.
    pub name: &'static str,
    /// How many are open.
    pub open: usize,
    /// How many of those are in use.
    pub held: usize,
    /// How many may be open.
    pub size: usize,
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
