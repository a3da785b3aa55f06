//! Transactions: the user's own SQL, and the record of it in the same commit.

use std::any::Any;
use std::fmt::Debug;

use crate::store::{BoxFuture, Fence, NewRecord, StoreFuture};
use crate::types::keys::ExecutorKey;
use crate::types::payload::Outcome;
use crate::types::position::Position;

/// The isolation level of a transaction, as the SQL standard names it. SQLite has only the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Sees what others have committed, statement by statement.
    ReadCommitted,
    /// Sees what was committed when it began.
    RepeatableRead,
    /// As if all ran one after the other.
    Serializable,
}

/// How a transaction is to be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionStart {
    /// The isolation level; `None` is the database's default.
    pub isolation: Option<Isolation>,
    /// Whether the user's SQL only reads. The record is written all the same.
    pub read_only: bool,
    /// Whether a store with one writer may roll it back, to run again, for a caller that cannot wait.
    pub gives_way: bool,
    /// The executor of its run. Once that is taken over, a store may end what it left open.
    pub executor: Option<ExecutorKey>,
}

/// A database that users' transactions run in.
pub trait Transact: Send + Sync + Debug {
    /// The type of its connections, as users write it: `PgConnection`, `SqliteConnection`.
    fn connection_type(&self) -> &'static str;

    /// Opens a transaction, runs `work` in it, and commits or rolls it back as the work decides. If the
    /// future is dropped, the transaction is rolled back.
    ///
    /// # Errors
    /// After [`StoreErrorKind::Unreachable`](crate::store::StoreErrorKind::Unreachable) it is unknown whether it was
    /// committed: read the record back. After any other error it was not.
    fn transact<'a>(&'a self, start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted>;
}

/// A connection that a `#[transaction]` function takes: sqlx's `PgConnection` or `SqliteConnection`.
#[diagnostic::on_unimplemented(
    message = "a transaction's first argument is its connection, and `{Self}` is none",
    label = "write `&mut PgConnection` or `&mut SqliteConnection`",
    note = "both come from sqlx; the features `postgres` and `sqlite` of durable turn them on"
)]
pub trait TransactionConnection: Any + Send {
    /// The type as users write it.
    const NAME: &'static str;
}

#[cfg(feature = "postgres")]
impl TransactionConnection for sqlx::PgConnection {
    const NAME: &'static str = "PgConnection";
}

#[cfg(feature = "sqlite")]
impl TransactionConnection for sqlx::SqliteConnection {
    const NAME: &'static str = "SqliteConnection";
}

/// What runs in a transaction.
pub trait UserWork: Send {
    /// Runs it on the transaction's connection, a `PgConnection` or a `SqliteConnection`, and decides
    /// how the transaction ends.
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> BoxFuture<'c, TransactionEnd>;
}

/// How a transaction is to end.
#[derive(Debug, Clone)]
pub enum TransactionEnd {
    /// Commit it as it is.
    Commit,
    /// Commit it with these records, if the fence holds. The last one is the transaction's own.
    Record {
        /// The fence.
        fence: Fence,
        /// The workflow, as a database of the application names it.
        workflow: String,
        /// The records.
        records: Vec<NewRecord>,
    },
    /// Roll it back.
    Undo,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transacted {
    /// It is committed, with its records.
    Committed,
    /// It was rolled back, as the work decided.
    Undone,
    /// It was rolled back, because another record holds one of the positions.
    Superseded,
    /// It was rolled back, because the executor was fenced out.
    Fenced,
}

/// A database of the application's own, where the records of transactions are kept beside its tables.
pub trait Database: Transact {
    /// Creates the table of records if it is missing. Any number of processes may do so at once.
    fn prepare(&self) -> StoreFuture<'_, ()>;

    /// What an earlier run of a transaction committed here, if it did.
    fn committed<'a>(&'a self, workflow: &'a str, position: &'a Position) -> StoreFuture<'a, Option<Committed>>;
}

/// What a transaction committed in a database of the application's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The transaction's name.
    pub name: String,
    /// What it returned.
    pub outcome: Outcome,
}
