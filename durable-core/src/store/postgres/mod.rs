//! The store for fleets: Postgres, through prepared statements and no state of a session.
//!
//! `commit` is the fast path and `careful` the slow one; the other files are one trait each.

mod batch;
mod batch_sql;
mod claim;
mod claim_limited;
mod commit;
mod commit_rows;
mod control;
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
mod sql_text;
pub(super) mod transact;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join3;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Transaction};

use self::sql_text::{Schema, Texts};
use crate::store::hints;
use crate::store::open::{cannot_open, shown_without_password};
use crate::store::statement_counter::StatementCounter;
use crate::store::{
    BoxFuture, Lifecycle, Location, PoolState, StatementCounts, StoreError, StoreErrorKind, StoreFuture,
};

/// Connections for writing executions down and for reading.
const WORK_CONNECTIONS: u32 = 10;
/// Connections for leases and takeovers, which must not stand in line behind the work.
const CONTROL_CONNECTIONS: u32 = 2;
/// How long a caller waits for a connection before the database counts as unreachable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// After this rest the writer's connection is replaced: firewalls forget idle connections after
/// about five minutes without telling either end, and a write into a forgotten one hangs.
const LANE_REST: Duration = Duration::from_mins(4);

/// A store in a Postgres database.
pub(crate) struct PostgresStore {
    work: PgPool,
    control: PgPool,
    /// The writer's own connection. A pool tests every connection that comes back with a round trip
    /// of its own, which would double the statements of a store that commits one after the other.
    lane: Mutex<Option<(PgConnection, Instant)>>,
    closed: AtomicBool,
    options: PgConnectOptions,
    schema: Schema,
    texts: Texts,
    /// Where notifications of this schema go.
    channel: Box<str>,
    /// By which notifications of this store are known from those of others.
    sender: Box<str>,
    location: Location,
    meter: StatementCounter,
}

impl PostgresStore {
    /// Connects once, so that a wrong URL is an error here and not a retry later.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a URL, a password or a schema name that cannot be right,
    /// [`StoreErrorKind::Unreachable`] when nobody answers.
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
            lane: Mutex::new(Some((first, Instant::now()))),
            closed: AtomicBool::new(false),
            texts: Texts::new(&schema),
            channel,
            sender: uuid::Uuid::new_v4().simple().to_string().into(),
            location: Location { shown, file: None, in_memory: false },
            meter: StatementCounter::default(),
            options,
            schema,
        })
    }

    /// A statement about to be sent. All statements of this store come from here, so all are counted.
    fn query(&self, text: &Arc<str>) -> PgQuery {
        self.meter.statement();
        prepared(text)
    }

    /// Sends a writing statement that is a transaction of its own, and gives how many rows it wrote.
    async fn write<'e>(&self, executor: impl sqlx::PgExecutor<'e>, query: PgQuery) -> Result<u64, sqlx::Error> {
        let rows = query.execute(executor).await?.rows_affected();
        self.meter.committed(rows);
        Ok(rows)
    }

    async fn begin<'c>(&self, connection: &'c mut PgConnection) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        self.meter.statement();
        connection.begin().await
    }

    /// Commits a transaction that wrote `rows`.
    async fn end(&self, transaction: Transaction<'_, Postgres>, rows: u64) -> Result<(), sqlx::Error> {
        self.meter.statement();
        transaction.commit().await?;
        self.meter.committed(rows);
        Ok(())
    }

    /// Takes back what a transaction did.
    async fn undo(&self, transaction: Transaction<'_, Postgres>) -> Result<(), sqlx::Error> {
        self.meter.statement();
        transaction.rollback().await
    }

    /// The pool for reading, unless the work is closed.
    fn work(&self) -> Result<&PgPool, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Closed, "the store is closed"));
        }
        Ok(&self.work)
    }

    /// Takes the writer's connection, or a fresh one when another commit has it. Whoever is cut off
    /// while it holds the connection drops it with the statement in flight, and the server with it.
    async fn take_lane(&self) -> Result<PgConnection, StoreError> {
        let pool = self.work()?;
        let kept = self.lane.lock().unwrap_or_else(PoisonError::into_inner).take();
        match kept {
            Some((connection, since)) if since.elapsed() < LANE_REST => Ok(connection),
            _ => Ok(pool.acquire().await?.detach()),
        }
    }

    /// Keeps the connection for the next commit. After an error of the connection it is not given back.
    fn give_lane_back(&self, connection: PgConnection) {
        let mut lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two commits at once the later one keeps its connection; the other one's is closed.
        *lane = Some((connection, Instant::now()));
    }
}

/// A statement that is not counted among those of the operations.
fn prepared(text: &Arc<str>) -> PgQuery {
    // The texts are constants of this program with the schema's name in it as a quoted identifier.
    sqlx::query(AssertSqlSafe(Arc::clone(text)))
}

type PgQuery = sqlx::query::Query<'static, Postgres, PgArguments>;

impl Lifecycle for PostgresStore {
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
        // Closing marks the pool before its future is polled; nobody waits for the rest here.
        drop(self.work.close());
    }

    fn pools(&self) -> Vec<PoolState> {
        let lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let state = |name, pool: &PgPool| {
            let open = pool.size() as usize;
            PoolState { name, open, held: open.saturating_sub(pool.num_idle()) }
        };
        let lane = PoolState { name: "writing", open: usize::from(lane), held: 0 };
        vec![lane, state("work", &self.work), state("leases", &self.control)]
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.close_work_pool();
            let kept = self.lane.lock().unwrap_or_else(PoisonError::into_inner).take();
            let lane = async {
                if let Some((connection, _)) = kept {
                    let _ = connection.close().await; // the server closes its end either way
                }
            };
            // At the same time, so that one that hangs keeps no other open.
            join3(lane, self.work.close(), self.control.close()).await;
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
