//! The embedded store: one SQLite file, or a database in memory.
//!
//! SQLite has one writer at a time, so this store has one writing connection, and readers beside
//! it. `commit` is the fast path and `careful` the slow one; the other files are one trait each.

mod batch;
mod careful;
mod commit;
mod control;
mod executors;
mod file;
mod migrate;
mod read;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteArguments, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use self::file::Place;
use super::meter::Meter;
use super::{BoxFuture, Costs, Fault, Lifecycle, Location, StoreError, StoreFuture};

/// Connections that only read.
const READERS: u32 = 4;
/// How long a caller waits for the connection that writes.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Takes the write lock at once. A transaction that starts by reading and then writes is refused
/// without waiting when another process wrote in between.
const BEGIN: &str = "begin immediate";

/// A store in an SQLite database.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    /// The one connection that writes. In memory it is also the one that reads.
    writer: SqlitePool,
    readers: SqlitePool,
    /// What is left for giving back and signing off once the work is closed: opened only then, so
    /// that this process does not compete with itself for the write lock before.
    farewell: SqlitePool,
    closed: AtomicBool,
    texts: Texts,
    location: Location,
    meter: Meter,
}

/// The SQL texts of all files of this store.
#[derive(Debug)]
struct Texts {
    commit: commit::Texts,
    batch: batch::Texts,
    careful: careful::Texts,
    executors: executors::Texts,
    read: read::Texts,
    control: control::Texts,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it into WAL mode.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a URL that names no file, a folder that does not exist, or a file that
    /// cannot be written; [`Fault::Foreign`] for a file that is no SQLite database.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let place = Place::of(url)?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(0)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        let (writer, readers, farewell) = if place.location.in_memory {
            let only = writer.connect_with(place.options).await?;
            (only.clone(), only.clone(), only)
        } else {
            place.prepare().await?;
            let writer = writer.before_acquire(|connection, _| Box::pin(async move { Ok(is_sound(connection)) }));
            let readers = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
            let read_only = place.options.clone().pragma("query_only", "on");
            (
                writer.clone().connect_lazy_with(place.options.clone()),
                readers.connect_lazy_with(read_only),
                writer.connect_lazy_with(place.options),
            )
        };
        let made = |text: &str| Arc::from(text);
        let texts = Texts {
            commit: commit::Texts::new(made),
            batch: batch::Texts::new(made),
            careful: careful::Texts::new(made),
            executors: executors::Texts::new(made),
            read: read::Texts::new(made),
            control: control::Texts::new(made),
        };
        let (closed, meter) = (AtomicBool::new(false), Meter::default());
        Ok(Self { writer, readers, farewell, closed, texts, location: place.location, meter })
    }

    /// A statement about to be sent. All statements of this store come from here, so all are counted.
    fn query(&self, text: &Arc<str>) -> LiteQuery {
        self.meter.statement();
        sqlx::query(AssertSqlSafe(Arc::clone(text))) // a constant of this program
    }

    /// Sends a writing statement that is a transaction of its own, and gives how many rows it wrote.
    async fn write(&self, pool: &SqlitePool, query: LiteQuery) -> Result<u64, sqlx::Error> {
        let rows = query.execute(pool).await?.rows_affected();
        self.meter.committed(rows);
        Ok(rows)
    }

    async fn begin(&self, pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.meter.statement();
        pool.begin_with(BEGIN).await
    }

    /// Commits a transaction that wrote `rows`.
    async fn end(&self, transaction: Transaction<'static, Sqlite>, rows: u64) -> Result<(), sqlx::Error> {
        self.meter.statement();
        transaction.commit().await?;
        self.meter.committed(rows);
        Ok(())
    }

    /// Takes back what a transaction did.
    async fn undo(&self, transaction: Transaction<'static, Sqlite>) -> Result<(), sqlx::Error> {
        self.meter.statement();
        transaction.rollback().await
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed() { Err(StoreError::new(Fault::Closed, "the store is closed")) } else { Ok(()) }
    }

    /// The pool for writing executions down, unless the work is closed.
    fn work(&self) -> Result<&SqlitePool, StoreError> {
        self.check_open().map(|()| &self.writer)
    }

    /// The pool for reading, unless the work is closed.
    fn reading(&self) -> Result<&SqlitePool, StoreError> {
        self.check_open().map(|()| &self.readers)
    }

    /// The pool for executors' rows, which works on after the work is closed.
    fn presence(&self) -> &SqlitePool {
        if self.is_closed() { &self.farewell } else { &self.writer }
    }
}

/// Whether a connection can begin a transaction. Where the disk is full or at fault, SQLite takes a
/// transaction back by itself, and the driver, which does not know that, takes the connection for
/// one that is still in it. Such a connection is closed, and another one opened.
fn is_sound(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

type LiteQuery = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

impl Lifecycle for SqliteStore {
    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.run_migrations())
    }

    fn location(&self) -> Location {
        self.location.clone()
    }

    fn costs(&self) -> Costs {
        self.meter.read()
    }

    fn close_work(&self) {
        self.closed.store(true, Ordering::Release);
        if !self.location.in_memory {
            // Closing marks the pool before its future is polled; nobody waits for the rest here.
            drop(self.writer.close());
            drop(self.readers.close());
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.close_work();
            self.readers.close().await;
            self.writer.close().await;
            self.farewell.close().await;
        })
    }

    fn drop_everything(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.drop_tables())
    }
}
