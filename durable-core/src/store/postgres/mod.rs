//! The store for fleets: Postgres, through prepared statements and without state of a session.
//!
//! `commit` is the fast path and `commit_rows` the slow one; the other files are one trait each.

mod batch;
mod batch_sql;
mod claim;
mod claim_limited;
mod claim_turns;
mod commit;
mod connections;
mod connector;
mod control;
pub(super) mod diagnose;
mod dialect;
mod enqueue_within;
mod grants;
mod group_sizes;
mod listeners;
mod messages;
mod notify;
mod poll;
mod postgres_url;
mod schema;
#[cfg(test)]
mod statement_snapshots;
#[cfg(feature = "testing")]
pub(super) mod table_tasks;
mod takeover;
pub(super) mod transact;

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

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join4;
use sqlx::postgres::PgTransactionManager;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;

use self::batch_sql::BatchStatements;
use self::connections::{ConnectionGroup, LentConnection, SessionSettings, run_call, statement_begins};
use self::connector::{BEGIN, Connector, server_info};
use self::dialect::{MIGRATIONS, MIGRATIONS_TABLE, Query, StoreTransaction};
use self::group_sizes::GroupSizes;
use self::listeners::Listeners;
use self::schema::Schema;
use crate::store::hints;
use crate::store::location::cannot_open;
use crate::store::migrations;
use crate::store::sql::statements_of_files;
use crate::store::statement_counter::StatementCounter;
use crate::store::{
    BoxFuture, Lifecycle, Location, PoolState, RoleAccess, StatementCounts, StoreError, StoreFuture, StoreSettings,
};
use crate::types::time::Timestamp;

/// How long a statement about leases waits for a lock. One that waits for longer would not be noticed, because
/// the server does not find out that its client has given up.
const LEASES_LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// After so long without a statement the server ends a transaction of the engine whose process is gone.
const ENGINE_IDLE_LIMIT: Duration = Duration::from_secs(10);

statements_of_files! {
    belongings claim claim_limited claim_turns commit commit_rows control enqueue enqueue_within events_and_streams executors
    filtered_list fork_rows gauges grants histories listeners maintenance messages messaging migrate notify poll queues
    read schedules single_rows takeover transact versions workflow_changes
}

/// This store, under the name that the shared files use.
type SqlStore = PostgresStore;

/// A store in a Postgres database.
pub(crate) struct PostgresStore {
    connector: Arc<Connector>,
    /// For commits of the writer.
    writing: Arc<ConnectionGroup>,
    /// For everything else that the engine does.
    work: Arc<ConnectionGroup>,
    /// For users' transactions.
    transactions: Arc<ConnectionGroup>,
    /// For leases and takeovers.
    control: Arc<ConnectionGroup>,
    /// Whether there is a connection for the listener.
    has_listener: bool,
    settings: StoreSettings,
    schema: Schema,
    sql: Statements,
    batch_sql: BatchStatements,
    /// The channel of the notifications of this schema.
    channel: Box<str>,
    /// Who receives them.
    listeners: Listeners,
    /// Distinguishes the notifications of this store from those of others.
    sender: Box<str>,
    location: Location,
    counter: StatementCounter,
}

impl PostgresStore {
    /// Connects, so that a wrong URL is an error here and not a retry later.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a URL, a schema name or a database that cannot be right,
    /// [`StoreErrorKind::Unreachable`] when there is no answer, or too few connections.
    pub(crate) async fn open(url: &str, schema: &str, settings: StoreSettings) -> Result<Self, StoreError> {
        let channel = hints::channel(schema).into();
        let schema = Schema::new(schema)?.with_clock(settings.moves_clock);
        let connector = Arc::new(Connector::new(url)?);
        let shown = connector.shown().to_owned();
        let cannot = |error: StoreError| cannot_open(&shown, error.kind, error.message);
        let mut first = connector.connect().await.map_err(cannot)?;
        let server = server_info(&mut first).await.map_err(cannot)?;
        let settings = settings.limited_by(&server).map_err(cannot)?;
        let second = connector.detect_shared_sessions(&mut first).await.map_err(cannot)?;
        let sizes = if settings.for_client { GroupSizes::of_client } else { GroupSizes::of }(settings.connections);
        let group = |name, size, lock_timeout, tests_idle| {
            // Users' transactions have the isolation level that the database is set to.
            let lowers_isolation = server.isolates_more && name != TRANSACTIONS;
            let settings = SessionSettings { lock_timeout, lowers_isolation };
            ConnectionGroup::new(name, size, &connector, settings, tests_idle)
        };
        let writing = group("writing", sizes.writing, None, false);
        let control = group("leases", sizes.control, Some(LEASES_LOCK_TIMEOUT), false);
        let work = group("work", sizes.work, None, true);
        if let Some(second) = second {
            if settings.for_client { &work } else { &writing }.put(first).await.map_err(cannot)?;
            control.put(second).await.map_err(cannot)?;
        }
        if connector.shares_sessions() {
            tracing::warn!(target: "durable", database = %shown, "a proxy gives each transaction a session of its own, as PgBouncer does in transaction mode: durable works without LISTEN and polls, and sends no prepared statements; a direct connection is faster");
        }
        Ok(Self {
            writing,
            control,
            work,
            transactions: group(TRANSACTIONS, sizes.transactions, None, true),
            has_listener: sizes.listener,
            settings,
            sql: Statements::new(&|text| schema.render(text)),
            batch_sql: BatchStatements::new(schema.clone()),
            channel,
            listeners: Listeners::default(),
            sender: uuid::Uuid::new_v4().simple().to_string().into(),
            location: Location { shown, file: None, in_memory: false },
            counter: StatementCounter::default(),
            connector,
            schema,
        })
    }

    /// Runs a call of a method of the store: see [`run_call`].
    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            #[cfg(feature = "testing")]
            let _in_flight = self.counter.call();
            run_call(self.settings.statement_timeout, call).await
        })
    }

    async fn begin<'c>(&self, connection: &'c mut PgConnection) -> Result<StoreTransaction<'c>, sqlx::Error> {
        self.counter.statement();
        // Behind a proxy that shares sessions a call is in a transaction, except for migrations, and this is a part of it.
        if self.connector.shares_sessions() && connection.is_in_transaction() {
            return connection.begin().await;
        }
        connection.begin_with(begin_with_limit(BEGIN, ENGINE_IDLE_LIMIT)).await
    }

    /// Begins another transaction where the whole call is one: what the call did before is committed, or undone
    /// because a statement failed. Elsewhere each statement is one.
    async fn next_transaction(&self, connection: &mut PgConnection, commit: bool) -> Result<(), sqlx::Error> {
        if !self.connector.shares_sessions() {
            return Ok(());
        }
        if commit {
            PgTransactionManager::commit(connection).await?;
        } else {
            PgTransactionManager::rollback(connection).await?;
        }
        PgTransactionManager::begin(connection, Some(BEGIN.into_sql_str())).await
    }

    /// The query as it is sent: a proxy that shares sessions would not find a prepared statement again.
    fn as_sent(&self, query: Query) -> Query {
        if self.connector.shares_sessions() { query.persistent(false) } else { query }
    }

    /// A connection to read with, unless the work is closed.
    async fn reading(&self) -> Result<LentConnection, StoreError> {
        self.work.acquire().await
    }

    /// A connection to write with, unless the work is closed.
    async fn writing(&self) -> Result<LentConnection, StoreError> {
        self.work.acquire().await
    }

    /// A connection for executors' rows, also after the work is closed.
    async fn leases(&self) -> Result<LentConnection, StoreError> {
        self.control.acquire().await
    }

    /// A connection to read executors' rows and what they have to do.
    async fn reading_leases(&self) -> Result<LentConnection, StoreError> {
        self.leases().await
    }

    /// The writer's connection, or another one when another commit has it.
    async fn committing(&self) -> Result<LentConnection, StoreError> {
        match self.writing.acquire_if_free().await? {
            Some(connection) => Ok(connection),
            None => self.work.acquire().await,
        }
    }

    /// The time of the database's clock.
    async fn now_on(&self, connection: &mut PgConnection) -> Result<Timestamp, StoreError> {
        Ok(self.query(&self.sql.poll.now).fetch_one(connection).await?.try_get(0)?)
    }

    /// The same for a caller without a connection.
    async fn ask_clock(&self) -> Result<Timestamp, StoreError> {
        self.now_on(&mut *self.reading().await?).await
    }

    /// Binds the time, which is no parameter here.
    #[allow(clippy::unused_self, reason = "SQLite binds the time of its clock")]
    fn bind_now(&self, query: Query) -> Query {
        query
    }

    fn render(&self, text: &str) -> Arc<str> {
        self.schema.render(text)
    }

    /// Migrates on a connection of its own, which is closed afterwards.
    async fn run_migrations(&self) -> Result<(), StoreError> {
        let mut connection = self.connector.connect().await?;
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
        for statement in self.schema.preparations() {
            raw(self.render(&statement)).execute(&mut *transaction).await?;
        }
        for statement in self.schema.clock_statements() {
            raw(statement).execute(&mut *transaction).await?;
        }
        Ok(())
    }

    async fn has_migrations_table(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let query = self.query(&self.sql.control.migrations_table).bind(&*self.render(MIGRATIONS_TABLE));
        Ok(query.fetch_one(connection).await?.try_get::<Option<i64>, _>(0)?.is_some())
    }
}

/// A script that does what [`Lifecycle::migrate`] does to a database without the schema.
///
/// # Errors
/// [`StoreErrorKind::Refused`] when no schema can have the name.
pub(super) fn migration_script(url: &str, schema: &str) -> Result<String, StoreError> {
    Connector::new(url)?; // it connects to nothing, and refuses a URL that cannot be read
    let schema = Schema::new(schema)?;
    let blob = |checksum: &str| format!("decode('{checksum}', 'hex')");
    let script = migrations::script(&MIGRATIONS, &schema.preparations(), MIGRATIONS_TABLE, blob);
    Ok(schema.render(&script).to_string())
}

/// The statements that begin a transaction, in one message: the server ends it if its process is silent for so
/// long, because its locks may stop a takeover.
fn begin_with_limit(begin: &str, limit: Duration) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{begin}; set local idle_in_transaction_session_timeout = {}", limit.as_millis()))
}

/// The name of the connections for users' transactions.
const TRANSACTIONS: &str = "transactions";

/// A statement of a migration. It is sent as it is, and not prepared.
fn raw(text: Arc<str>) -> sqlx::RawSql {
    sqlx::raw_sql(AssertSqlSafe(text))
}

/// A statement that is not counted among those of the operations.
fn prepared(text: &Arc<str>) -> Query {
    statement_begins();
    // The texts are constants of this program with the schema's name in it as a quoted identifier.
    sqlx::query(AssertSqlSafe(Arc::clone(text)))
}

impl Lifecycle for PostgresStore {
    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.run_migrations())
    }

    fn missing_migrations(&self) -> StoreFuture<'_, Vec<String>> {
        self.call(async move { self.missing_migrations_on(&mut *self.reading().await?).await })
    }

    fn grant<'a>(&'a self, role: &'a str, access: RoleAccess) -> StoreFuture<'a, Vec<String>> {
        self.call(self.grant_to(role, access))
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
        self.call(async move {
            let query = self.query(&self.schema.stop_clock()).bind(at.map(Timestamp::as_micros));
            Ok(query.fetch_one(&mut *self.leases().await?).await?.try_get(0)?)
        })
    }

    fn close_work_pool(&self) {
        for group in [&self.writing, &self.work, &self.transactions] {
            group.mark_closed();
        }
    }

    fn pools(&self) -> Vec<PoolState> {
        [&self.writing, &self.work, &self.transactions, &self.control].into_iter().map(|it| it.state()).collect()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // At the same time, so that one that hangs keeps no other open.
        let groups = join4(self.writing.close(), self.work.close(), self.transactions.close(), self.control.close());
        Box::pin(async move {
            groups.await;
        })
    }

    fn drop_everything(&self) -> StoreFuture<'_, ()> {
        self.call(async move {
            let text = format!("drop schema if exists {} cascade", self.schema.quoted());
            self.query(&text.into()).execute(&mut *self.leases().await?).await?;
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
