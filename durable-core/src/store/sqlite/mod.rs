//! The embedded store: one SQLite file, or a database in memory.
//!
//! SQLite has one writer at a time, so this store has one writing connection, and readers beside
//! it. `commit` is the fast path and `careful` the slow one; the other files are one trait each.

mod batch;
mod claim;
mod claim_limited;
mod commit;
mod commit_rows;
mod control;
mod database_file;
mod enqueue;
mod events_and_streams;
mod executors;
mod messages;
mod messaging;
mod migrate;
mod notify;
mod poll;
mod queues;
mod read;
mod schedules;
pub(super) mod transact;
mod writer_connection;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join3;
use sqlx::sqlite::{SqliteArguments, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use self::database_file::DatabasePlace;
use self::writer_connection::{ReadConnection, WriterConnection, WriterGuard};
use crate::store::statement_counter::StatementCounter;
use crate::store::{
    BoxFuture, Lifecycle, Location, PoolState, StatementCounts, StoreError, StoreErrorKind, StoreFuture,
};

/// Connections that only read.
const READERS: u32 = 4;
/// Takes the write lock at once. A transaction that starts by reading and then writes is refused
/// without waiting when another process wrote in between.
const BEGIN: &str = "begin immediate";

/// A store in an SQLite database.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    /// The one connection that writes. In memory it is also the one that reads.
    writer: WriterConnection,
    /// Connections that only read; none in memory.
    readers: Option<SqlitePool>,
    /// What is left for giving back and signing off once the work is closed: opened only then, so
    /// that this process does not compete with itself for the write lock before.
    farewell: WriterConnection,
    closed: AtomicBool,
    texts: Texts,
    location: Location,
    meter: StatementCounter,
}

/// The SQL texts of all files of this store.
#[derive(Debug)]
struct Texts {
    commit: commit::Texts,
    batch: batch::Texts,
    careful: commit_rows::Texts,
    executors: executors::Texts,
    enqueue: enqueue::Texts,
    queues: queues::Texts,
    claim: claim::Texts,
    limited: claim_limited::Texts,
    read: read::Texts,
    control: control::Texts,
    schedules: schedules::Texts,
    look: poll::Texts,
    mail: messages::Texts,
    shows: events_and_streams::Texts,
    talk: messaging::Texts,
    wake: notify::Texts,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it into WAL mode.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a URL that names no file, a folder that does not exist, or a file that
    /// cannot be written; [`StoreErrorKind::Foreign`] for a file that is no SQLite database.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let place = DatabasePlace::of(url)?;
        let in_memory = place.location.in_memory;
        let readers = if in_memory {
            None
        } else {
            place.prepare().await?;
            let readers = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
            Some(readers.connect_lazy_with(place.options.clone().pragma("query_only", "on")))
        };
        let writer = WriterConnection::new(place.options.clone(), in_memory);
        let farewell = WriterConnection::new(place.options, in_memory);
        let made = |text: &str| Arc::from(text);
        let texts = Texts {
            commit: commit::Texts::new(made),
            batch: batch::Texts::new(made),
            careful: commit_rows::Texts::new(made),
            executors: executors::Texts::new(made),
            enqueue: enqueue::Texts::new(made),
            queues: queues::Texts::new(made),
            claim: claim::Texts::new(made),
            limited: claim_limited::Texts::new(made),
            read: read::Texts::new(made),
            control: control::Texts::new(made),
            schedules: schedules::Texts::new(made),
            look: poll::Texts::new(made),
            mail: messages::Texts::new(made),
            shows: events_and_streams::Texts::new(made),
            talk: messaging::Texts::new(made),
            wake: notify::Texts::new(made),
        };
        let (closed, meter) = (AtomicBool::new(false), StatementCounter::default());
        Ok(Self { writer, readers, farewell, closed, texts, location: place.location, meter })
    }

    /// A statement about to be sent. All statements of this store come from here, so all are counted.
    fn query(&self, text: &Arc<str>) -> LiteQuery {
        self.meter.statement();
        sqlx::query(AssertSqlSafe(Arc::clone(text))) // a constant of this program
    }

    /// Sends a writing statement that is a transaction of its own, and gives how many rows it wrote.
    async fn write(&self, connection: &mut SqliteConnection, query: LiteQuery) -> Result<u64, sqlx::Error> {
        let rows = query.execute(connection).await?.rows_affected();
        self.meter.committed(rows);
        Ok(rows)
    }

    async fn begin<'c>(&self, connection: &'c mut SqliteConnection) -> Result<Transaction<'c, Sqlite>, sqlx::Error> {
        self.meter.statement();
        connection.begin_with(BEGIN).await
    }

    /// Commits a transaction that wrote `rows`.
    async fn end(&self, transaction: Transaction<'_, Sqlite>, rows: u64) -> Result<(), sqlx::Error> {
        self.meter.statement();
        transaction.commit().await?;
        self.meter.committed(rows);
        Ok(())
    }

    /// Takes back what a transaction did.
    async fn undo(&self, transaction: Transaction<'_, Sqlite>) -> Result<(), sqlx::Error> {
        self.meter.statement();
        transaction.rollback().await
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed() { Err(StoreError::new(StoreErrorKind::Closed, "the store is closed")) } else { Ok(()) }
    }

    /// A turn to write executions down, unless the work is closed.
    async fn work(&self) -> Result<WriterGuard, StoreError> {
        self.check_open()?;
        Ok(self.writer.turn().await?)
    }

    /// A connection to read with, unless the work is closed.
    async fn reading(&self) -> Result<ReadConnection, StoreError> {
        self.check_open()?;
        Ok(match &self.readers {
            Some(readers) => ReadConnection::Pooled(readers.acquire().await?),
            None => ReadConnection::Only(self.writer.turn().await?),
        })
    }

    /// A turn for executors' rows, which goes on after the work is closed.
    async fn presence(&self) -> Result<WriterGuard, sqlx::Error> {
        let farewell = self.is_closed() && !self.location.in_memory;
        if farewell { self.farewell.turn().await } else { self.writer.turn().await }
    }
}

type LiteQuery = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

impl Lifecycle for SqliteStore {
    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.run_migrations())
    }

    fn location(&self) -> Location {
        self.location.clone()
    }

    fn statement_counts(&self) -> StatementCounts {
        self.meter.read()
    }

    fn close_work_pool(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(readers) = &self.readers {
            // Closing marks the pool before its future is polled; nobody waits for the rest here.
            drop(readers.close());
        }
    }

    fn pools(&self) -> Vec<PoolState> {
        let lane = |name, lane: &WriterConnection| {
            let (open, held) = lane.state();
            PoolState { name, open: open.into(), held: held.into() }
        };
        let readers = self.readers.as_ref().map(|it| {
            let open = it.size() as usize;
            PoolState { name: "reading", open, held: open.saturating_sub(it.num_idle()) }
        });
        let lanes = [lane("writing", &self.writer), lane("leases", &self.farewell)];
        lanes.into_iter().chain(readers).collect()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.close_work_pool();
            let readers = async {
                if let Some(readers) = &self.readers {
                    readers.close().await;
                }
            };
            // At the same time, so that one that hangs keeps no other open.
            join3(readers, self.writer.close(), self.farewell.close()).await;
        })
    }

    fn drop_everything(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.drop_tables())
    }
}
