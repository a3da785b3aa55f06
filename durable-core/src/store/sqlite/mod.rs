//! The embedded store: one SQLite file, or a database in memory.
//!
//! SQLite has one writer at a time, so this store has one connection that writes, and others that read.
//! `commit` is the fast path and `commit_rows` the slow one; the other files are one trait each.

mod batch;
mod batch_sql;
mod claim;
mod claim_limited;
mod claim_turns;
mod commit;
mod control;
mod database_file;
pub(super) mod diagnose;
mod dialect;
mod enqueue_within;
mod file_identity;
mod messages;
mod notify;
mod nul_check;
mod one_call;
mod poll;
#[cfg(test)]
mod statement_snapshots;
mod store_clock;
#[cfg(feature = "testing")]
pub(super) mod table_tasks;
mod takeover;
#[cfg(test)]
mod tests;
mod transact;
mod writer_connection;

// The files that are the same in both stores are compiled once for each, with the types and the
// fragments of SQL of its `dialect`.
#[path = "../shared/belongings.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod belongings;
#[path = "../shared/commit_rows.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod commit_rows;
#[path = "../shared/enqueue.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod enqueue;
#[path = "../shared/events_and_streams.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod events_and_streams;
#[path = "../shared/executors.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod executors;
#[path = "../shared/filtered_list.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod filtered_list;
#[path = "../shared/fork_rows.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod fork_rows;
#[path = "../shared/gauges.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod gauges;
#[path = "../shared/histories.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod histories;
#[path = "../shared/maintenance.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod maintenance;
#[path = "../shared/messaging.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod messaging;
#[path = "../shared/migrate.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod migrate;
#[path = "../shared/queues.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod queues;
#[path = "../shared/read.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod read;
#[path = "../shared/schedules.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod schedules;
#[path = "../shared/single_rows.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod single_rows;
#[path = "../shared/transactions.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
pub(super) mod transactions;
#[path = "../shared/versions.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod versions;
#[path = "../shared/workflow_changes.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each store")]
mod workflow_changes;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join3;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, SqlitePool};

use self::database_file::DatabaseFile;
use self::dialect::{MIGRATIONS, MIGRATIONS_TABLE, Query, StoreTransaction};
use self::file_identity::FileIdentity;
use self::store_clock::StoreClock;
use self::writer_connection::{ReadConnection, WriterConnection, WriterGuard};
use crate::store::migrations;
use crate::store::sql::statements_of_files;
use crate::store::statement_counter::StatementCounter;
use crate::store::{
    BoxFuture, Lifecycle, Location, PoolState, RoleAccess, StatementCounts, StoreError, StoreErrorKind, StoreFuture,
};
use crate::types::time::Timestamp;

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
    /// Releases workflows and removes the executor once the work is closed. It is opened only then, so
    /// that this process does not compete with itself for the write lock before.
    closing_writer: WriterConnection,
    closed: AtomicBool,
    file: Arc<FileIdentity>,
    sql: Statements,
    location: Location,
    clock: StoreClock,
    counter: StatementCounter,
}

statements_of_files! {
    batch_sql belongings claim claim_limited claim_turns commit commit_rows control enqueue enqueue_within events_and_streams
    executors filtered_list fork_rows gauges histories maintenance messages messaging migrate notify poll queues read schedules
    single_rows takeover versions workflow_changes
}

/// This store, under the name that the shared files use.
type SqlStore = SqliteStore;

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it into WAL mode.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a URL that names no file, a folder that does not exist, or a file that
    /// cannot be written; [`StoreErrorKind::Foreign`] for a file that is no SQLite database.
    pub(crate) async fn open(url: &str, for_client: bool) -> Result<Self, StoreError> {
        let mut file = DatabaseFile::of(url)?;
        file.for_client = for_client;
        let in_memory = file.location.in_memory;
        let identity = Arc::new(FileIdentity::new(file.location.file.clone()));
        let readers = if in_memory {
            None
        } else {
            file.prepare().await?;
            identity.note();
            let opened = Arc::clone(&identity);
            let readers = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
            // A connection that is opened while another file is at the path would stay with that file.
            let readers = readers.after_connect(move |_, _| {
                let checked = opened.check_opened();
                Box::pin(async move { checked })
            });
            Some(readers.connect_lazy_with(file.options.clone().pragma("query_only", "on")))
        };
        let writer = WriterConnection::new(file.options.clone(), in_memory, Arc::clone(&identity));
        let closing_writer = WriterConnection::new(file.options, in_memory, Arc::clone(&identity));
        let sql = Statements::new(&render);
        Ok(Self {
            writer,
            readers,
            closing_writer,
            closed: AtomicBool::new(false),
            file: identity,
            sql,
            location: file.location,
            clock: StoreClock::default(),
            counter: StatementCounter::default(),
        })
    }

    async fn begin<'c>(&self, connection: &'c mut SqliteConnection) -> Result<StoreTransaction<'c>, sqlx::Error> {
        self.counter.statement();
        connection.begin_with(BEGIN).await
    }

    /// Runs a call of a method of the store. After an error that another connection may not have, the
    /// connection that writes is opened anew.
    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            #[cfg(feature = "testing")]
            let _in_flight = self.counter.call();
            let result = call.await;
            if matches!(&result, Err(error) if error.kind.may_be_the_connection()) {
                self.writer.open_anew();
            }
            result
        })
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The query as it is sent.
    #[allow(clippy::unused_self, reason = "Postgres asks what the connections go through")]
    fn as_sent(&self, query: Query) -> Query {
        query
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed() { Err(StoreError::new(StoreErrorKind::Closed, "the store is closed")) } else { Ok(()) }
    }

    /// The connection to write with, unless the work is closed.
    async fn writing(&self) -> Result<WriterGuard, StoreError> {
        self.check_open()?;
        let guard = self.writer.lock().await?;
        self.file.check()?;
        Ok(guard)
    }

    /// The connection to write with, for which a user's transaction gives way.
    async fn writing_urgently(&self) -> Result<WriterGuard, StoreError> {
        self.check_open()?;
        let guard = self.writer.lock_urgently().await?;
        self.file.check()?;
        Ok(guard)
    }

    /// A connection to read with, unless the work is closed.
    async fn reading(&self) -> Result<ReadConnection, StoreError> {
        self.check_open()?;
        self.file.check()?; // another file at the path may have other rows
        Ok(match &self.readers {
            Some(readers) => ReadConnection::Pooled(readers.acquire().await?),
            None => ReadConnection::Only(self.writer.lock().await?),
        })
    }

    /// The connection to write executors' rows with, also after the work is closed.
    async fn leases(&self) -> Result<WriterGuard, StoreError> {
        let closing = self.is_closed() && !self.location.in_memory;
        let guard = if closing { self.closing_writer.lock().await? } else { self.writer.lock().await? };
        self.file.check()?;
        Ok(guard)
    }

    /// A connection to read executors' rows and what they have to do.
    async fn reading_leases(&self) -> Result<ReadConnection, StoreError> {
        self.reading().await
    }

    /// The time of the database's clock. The database is on this machine, so that is this machine's.
    #[allow(clippy::unused_async, reason = "Postgres asks its server")]
    async fn now_on(&self, _: &mut SqliteConnection) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    /// The same for a caller without a connection.
    #[allow(clippy::unused_async, reason = "Postgres asks its server")]
    async fn ask_clock(&self) -> Result<Timestamp, StoreError> {
        self.check_open().map(|()| self.clock.now())
    }

    /// Binds the time, which is a parameter.
    fn bind_now(&self, query: Query) -> Query {
        query.bind(self.clock.now())
    }

    #[allow(clippy::unused_self, reason = "Postgres renders the name of its schema")]
    fn render(&self, text: &str) -> Arc<str> {
        render(text)
    }

    async fn run_migrations(&self) -> Result<(), StoreError> {
        let result = self.migrate_on(&mut *self.leases().await?).await;
        result.map_err(|error| {
            StoreError::new(error.kind, format_args!("cannot prepare {}: {}", self.location, error.message))
        })
    }

    /// Creates the table of migrations. The lock for writing was taken with the transaction.
    async fn lock_migrations(&self, transaction: &mut SqliteConnection) -> Result<(), StoreError> {
        raw(migrations_table().into()).execute(transaction).await?;
        Ok(())
    }

    async fn has_migrations_table(&self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let query = self.query(&self.sql.control.table).bind(MIGRATIONS_TABLE);
        Ok(query.fetch_optional(connection).await?.is_some())
    }

    /// Drops all tables of durable, which are those with its prefix.
    async fn drop_tables(&self) -> Result<(), StoreError> {
        let mut writer = self.leases().await?;
        let mut transaction = self.begin(&mut writer).await?;
        let names = self.query(&self.sql.control.tables).fetch_all(&mut *transaction).await?;
        for row in &names {
            let name: String = row.try_get("name")?;
            self.query(&format!("drop table {name}").into()).execute(&mut *transaction).await?;
        }
        self.end(transaction, 1).await?;
        Ok(())
    }
}

/// The table of applied migrations.
fn migrations_table() -> String {
    format!(
        "create table if not exists {MIGRATIONS_TABLE} (
                version     integer primary key,
                description text    not null,
                checksum    blob    not null,
                applied_at  integer not null
            ) strict"
    )
}

/// A script that does what [`Lifecycle::migrate`] does to an empty file.
pub(super) fn migration_script() -> String {
    let blob = |checksum: &str| format!("x'{checksum}'");
    render(&migrations::script(&MIGRATIONS, &[migrations_table()], MIGRATIONS_TABLE, blob)).to_string()
}

/// The text that is sent: tables have a prefix instead of a schema, and parameters a question mark.
fn render(text: &str) -> Arc<str> {
    text.replace("durable.", "durable_").replace('$', "?").into()
}

fn prepared(text: &Arc<str>) -> Query {
    sqlx::query(AssertSqlSafe(Arc::clone(text))) // a constant of this program
}

/// A statement of a migration. It is sent as it is, and not prepared.
fn raw(text: Arc<str>) -> sqlx::RawSql {
    sqlx::raw_sql(AssertSqlSafe(text))
}

impl Lifecycle for SqliteStore {
    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.run_migrations())
    }

    fn missing_migrations(&self) -> StoreFuture<'_, Vec<String>> {
        self.call(async move { self.missing_migrations_on(&mut *self.reading().await?).await })
    }

    fn grant<'a>(&'a self, role: &'a str, access: RoleAccess) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            let why = format!(
                "SQLite has no roles, so {role:?} cannot be given {access}: the owner of the file and its mode decide"
            );
            Err(StoreError::new(StoreErrorKind::Refused, why))
        })
    }

    fn claim_schema<'a>(&'a self, application: &'a str) -> StoreFuture<'a, String> {
        Box::pin(self.owner_for(application))
    }

    fn location(&self) -> Location {
        self.location.clone()
    }

    fn statement_counts(&self) -> StatementCounts {
        self.counter.read()
    }

    #[cfg(feature = "testing")]
    fn calls_in_flight(&self) -> usize {
        self.counter.calls_in_flight()
    }

    #[cfg(feature = "testing")]
    fn stop_clock(&self, at: Option<Timestamp>) -> StoreFuture<'_, Timestamp> {
        Box::pin(std::future::ready(Ok(self.clock.stop(at))))
    }

    fn close_work_pool(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(readers) = &self.readers {
            // Closing marks the pool before its future is polled; the rest is not waited for here.
            drop(readers.close());
        }
    }

    fn pools(&self) -> Vec<PoolState> {
        let writer = |name, writer: &WriterConnection| {
            let (open, held) = writer.state();
            PoolState { name, open: open.into(), held: held.into(), size: 1 }
        };
        let readers = self.readers.as_ref().map(|it| {
            let open = it.size() as usize;
            PoolState { name: "reading", open, held: open.saturating_sub(it.num_idle()), size: READERS as usize }
        });
        let writers = [writer("writing", &self.writer), writer("leases", &self.closing_writer)];
        writers.into_iter().chain(readers).collect()
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
            join3(readers, self.writer.close(), self.closing_writer.close()).await;
        })
    }

    fn drop_everything(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.drop_tables())
    }
}
