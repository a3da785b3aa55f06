//! The store for fleets: Postgres, through prepared statements and without state of a session.
//!
//! `commit` is the fast path and `commit_rows` the slow one; the other files are one trait each.

mod batch;
mod batch_sql;
mod claim;
mod claim_limited;
mod commit;
mod control;
mod dialect;
mod enqueue_within;
mod messages;
mod notify;
mod poll;
mod schema;
#[cfg(test)]
mod statement_snapshots;
mod takeover;
pub(super) mod transact;

// The files that are the same in both stores are compiled once for each, with the types and the
// fragments of SQL of its `dialect`.
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

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join3;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, Postgres, Row};

use self::batch_sql::BatchStatements;
use self::dialect::{MIGRATIONS_TABLE, Query, StoreTransaction};
use self::schema::Schema;
use crate::store::hints;
use crate::store::location::cannot_open;
use crate::store::location::shown_without_password;
use crate::store::sql::statements_of_files;
use crate::store::statement_counter::StatementCounter;
use crate::store::{
    BoxFuture, Lifecycle, Location, PoolState, StatementCounts, StoreError, StoreErrorKind, StoreFuture,
};
use crate::types::time::Timestamp;

/// Connections for commits of executions and for reading.
const WORK_CONNECTIONS: u32 = 10;
/// Connections for leases and takeovers, which must not wait for the work.
const CONTROL_CONNECTIONS: u32 = 2;
/// How long a caller waits for a connection before the database counts as unreachable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// After so long without a commit the writer's connection is replaced: firewalls forget idle connections
/// after about five minutes without informing either end, and a write into a forgotten one hangs.
const MAX_WRITER_IDLE: Duration = Duration::from_mins(4);

statements_of_files! {
    claim claim_limited commit commit_rows control enqueue events_and_streams executors messages messaging migrate notify
    enqueue_within poll queues read schedules single_rows takeover
}

/// This store, under the name that the shared files use.
type SqlStore = PostgresStore;

/// A store in a Postgres database.
pub(crate) struct PostgresStore {
    work: PgPool,
    control: PgPool,
    /// The writer's own connection. A pool tests every connection that comes back with a round trip
    /// of its own, which would double the statements of a store that commits one after the other.
    writer: Mutex<Option<(PgConnection, Instant)>>,
    closed: AtomicBool,
    options: PgConnectOptions,
    schema: Schema,
    sql: Statements,
    batch_sql: BatchStatements,
    /// The channel of the notifications of this schema.
    channel: Box<str>,
    /// Distinguishes the notifications of this store from those of others.
    sender: Box<str>,
    location: Location,
    counter: StatementCounter,
}

impl PostgresStore {
    /// Connects once, so that a wrong URL is an error here and not a retry later.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a URL, a password or a schema name that cannot be right,
    /// [`StoreErrorKind::Unreachable`] when there is no answer.
    pub(crate) async fn open(url: &str, schema: &str) -> Result<Self, StoreError> {
        let shown = shown_without_password(url);
        let cannot = |error: sqlx::Error| {
            let error = StoreError::from(error);
            cannot_open(&shown, error.kind, error.message)
        };
        let channel = hints::channel(schema).into();
        let schema = Schema::new(schema)?;
        let unreadable = |error| {
            let error = cannot(error);
            StoreError::new(error.kind, format_args!("{error}; write postgres://user@host/database"))
        };
        let mut options = PgConnectOptions::from_str(url).map_err(unreadable)?;
        if options.get_application_name().is_none() {
            options = options.application_name("durable");
        }
        let first = PgConnection::connect_with(&options).await.map_err(&cannot)?;
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .min_connections(0)
                .test_before_acquire(false)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(options.clone())
        };
        Ok(Self {
            work: pool(WORK_CONNECTIONS),
            control: pool(CONTROL_CONNECTIONS),
            writer: Mutex::new(Some((first, Instant::now()))),
            closed: AtomicBool::new(false),
            sql: Statements::new(&|text| schema.render(text)),
            batch_sql: BatchStatements::new(schema.clone()),
            channel,
            sender: uuid::Uuid::new_v4().simple().to_string().into(),
            location: Location { shown, file: None, in_memory: false },
            counter: StatementCounter::default(),
            options,
            schema,
        })
    }

    async fn begin<'c>(&self, connection: &'c mut PgConnection) -> Result<StoreTransaction<'c>, sqlx::Error> {
        self.counter.statement();
        connection.begin().await
    }

    /// The pool for the work, unless it is closed.
    fn work_pool(&self) -> Result<&PgPool, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Closed, "the store is closed"));
        }
        Ok(&self.work)
    }

    /// A connection to read with, unless the work is closed.
    async fn reading(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.work_pool()?.acquire().await?)
    }

    /// A connection to write with, unless the work is closed.
    async fn writing(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.reading().await
    }

    /// A connection for executors' rows, also after the work is closed.
    async fn leases(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.control.acquire().await?)
    }

    /// A connection to read executors' rows and what they have to do.
    async fn reading_leases(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.leases().await
    }

    /// Takes the writer's connection, or a fresh one when another commit has it. A commit that is dropped
    /// drops the connection with the statement in flight, and the server rolls back.
    async fn take_writer(&self) -> Result<PgConnection, StoreError> {
        let pool = self.work_pool()?;
        let kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match kept {
            Some((connection, since)) if since.elapsed() < MAX_WRITER_IDLE => Ok(connection),
            _ => Ok(pool.acquire().await?.detach()),
        }
    }

    /// Keeps the connection for the next commit. After an error of the connection it is not kept.
    fn keep_writer(&self, connection: PgConnection) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two commits at once the later one keeps its connection; the other one's is closed.
        *writer = Some((connection, Instant::now()));
    }

    /// The time of the database's clock.
    async fn now_on(&self, connection: &mut PgConnection) -> Result<Timestamp, StoreError> {
        Ok(self.query(&self.sql.poll.now).fetch_one(connection).await?.try_get(0)?)
    }

    /// The same for a caller without a connection.
    async fn ask_clock(&self) -> Result<Timestamp, StoreError> {
        self.now_on(&mut *self.reading().await?).await
    }

    fn render(&self, text: &str) -> Arc<str> {
        self.schema.render(text)
    }

    /// Migrates on a connection of its own, which is closed afterwards.
    async fn run_migrations(&self) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await?;
        self.migrate_on(&mut connection).await?;
        let _ = connection.close().await; // everything is committed, and the server closes its end either way
        Ok(())
    }

    /// Waits for other processes that migrate this schema, until the end of the transaction, and creates the
    /// schema and the table of migrations. The lock belongs to the transaction and not to the session, for
    /// the sake of proxies.
    async fn lock_migrations(&self, transaction: &mut PgConnection) -> Result<(), StoreError> {
        let lock = "select pg_advisory_xact_lock(hashtextextended('durable: migrations of ' || $1, 0))";
        sqlx::query(lock).bind(self.schema.quoted()).execute(&mut *transaction).await?;
        for statement in [
            format!("create schema if not exists {}", self.schema.quoted()),
            format!(
                "create table if not exists {MIGRATIONS_TABLE} (
                    version     bigint primary key,
                    description text   not null,
                    checksum    bytea  not null,
                    applied_at  bigint not null
                )"
            ),
        ] {
            raw(self.render(&statement)).execute(&mut *transaction).await?;
        }
        Ok(())
    }

    async fn has_migrations_table(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let query = self.query(&self.sql.control.migrations_table).bind(&*self.render(MIGRATIONS_TABLE));
        Ok(query.fetch_one(connection).await?.try_get::<Option<i64>, _>(0)?.is_some())
    }
}

/// A statement of a migration. It is sent as it is, and not prepared.
fn raw(text: Arc<str>) -> sqlx::RawSql {
    sqlx::raw_sql(AssertSqlSafe(text))
}

/// A statement that is not counted among those of the operations.
fn prepared(text: &Arc<str>) -> Query {
    // The texts are constants of this program with the schema's name in it as a quoted identifier.
    sqlx::query(AssertSqlSafe(Arc::clone(text)))
}

impl Lifecycle for PostgresStore {
    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.run_migrations())
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

    fn close_work_pool(&self) {
        self.closed.store(true, Ordering::Release);
        // Closing marks the pool before its future is polled; the rest is not waited for here.
        drop(self.work.close());
    }

    fn pools(&self) -> Vec<PoolState> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let state = |name, pool: &PgPool| {
            let open = pool.size() as usize;
            PoolState { name, open, held: open.saturating_sub(pool.num_idle()) }
        };
        let writer = PoolState { name: "writing", open: usize::from(writer), held: 0 };
        vec![writer, state("work", &self.work), state("leases", &self.control)]
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.close_work_pool();
            let kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
            let writer = async {
                if let Some((connection, _)) = kept {
                    let _ = connection.close().await; // the server closes its end either way
                }
            };
            // At the same time, so that one that hangs keeps no other open.
            join3(writer, self.work.close(), self.control.close()).await;
        })
    }

    fn drop_everything(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let text = format!("drop schema if exists {} cascade", self.schema.quoted());
            self.query(&text.into()).execute(&self.control).await?;
            Ok(())
        })
    }
}

/// Not derived: the options of a connection show their password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PostgresStore");
        debug.field("location", &self.location).field("schema", &self.schema).finish_non_exhaustive()
    }
}
