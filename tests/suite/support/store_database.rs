//! A database for one case of a store: migrated before it, and removed after it also if it fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use durable_core::store::{self, OutboxConnection, Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

/// A database of one test.
#[derive(Debug, Clone)]
pub(crate) struct StoreDatabase {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) url: String,
    pub(crate) schema: String,
}

impl StoreDatabase {
    async fn open(url: String, schema: String) -> Self {
        let store = store::open(&url, &schema).await.expect("the store opens");
        store.migrate().await.expect("the store is migrated");
        Self { store, url, schema }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// A second store on the same database, as another process would have it.
    pub(crate) async fn second(&self) -> Arc<dyn Store> {
        store::open(&self.url, &self.schema).await.expect("the store opens")
    }

    /// A connection that goes around the store.
    pub(crate) async fn direct_connection(&self) -> DirectConnection {
        DirectConnection::open(&self.url, &self.schema).await
    }
}

/// A connection that goes around the store.
pub(crate) enum DirectConnection {
    Postgres(PgConnection, String),
    Sqlite(SqliteConnection),
}

impl DirectConnection {
    pub(crate) async fn open(url: &str, schema: &str) -> Self {
        if url.starts_with("postgres") {
            let connection = PgConnection::connect(url).await.expect("the server is there");
            Self::Postgres(connection, format!("{schema}."))
        } else {
            Self::Sqlite(SqliteConnection::connect(url).await.expect("the file is there"))
        }
    }

    /// Executes a statement in which tables are written `durable.workflows`.
    pub(crate) async fn execute(&mut self, sql: &str) {
        let done = match self {
            Self::Postgres(connection, prefix) => {
                let sql = AssertSqlSafe(sql.replace("durable.", prefix));
                sqlx::raw_sql(sql).execute(connection).await.map(drop)
            }
            Self::Sqlite(connection) => {
                let sql = AssertSqlSafe(sql.replace("durable._", "durable_").replace("durable.", "durable_"));
                sqlx::raw_sql(sql).execute(connection).await.map(drop)
            }
        };
        done.expect("the statement is right");
    }

    /// The number that a query returns in which tables are written `durable.workflows`.
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let number = match self {
            Self::Postgres(connection, prefix) => {
                let sql = AssertSqlSafe(sql.replace("durable.", prefix));
                sqlx::query_scalar::<_, Option<i64>>(sql).fetch_one(connection).await
            }
            Self::Sqlite(connection) => {
                let sql = AssertSqlSafe(sql.replace("durable.", "durable_"));
                sqlx::query_scalar::<_, Option<i64>>(sql).fetch_one(connection).await
            }
        };
        number.expect("the question is right").expect("there is an answer")
    }

    /// Returns once the number fulfils the condition.
    pub(crate) async fn wait_for_number(&mut self, sql: &str, condition: impl Fn(i64) -> bool + Send) {
        let fulfilled = async {
            while !condition(self.number(sql).await) {
                tokio::time::sleep(Duration::from_millis(10)).await; // the pause of the polling
            }
        };
        tokio::time::timeout(Duration::from_secs(30), fulfilled).await.unwrap_or_else(|_| panic!("in vain: {sql}"));
    }

    /// The connection for an outbox call.
    pub(crate) fn outbox(&mut self) -> OutboxConnection<'_> {
        match self {
            Self::Postgres(connection, _) => OutboxConnection::Postgres(connection),
            Self::Sqlite(connection) => OutboxConnection::Sqlite(connection),
        }
    }
}

/// Runs a case on a database in memory.
pub(crate) async fn in_memory<F: Future<Output = ()> + Send + 'static>(case: fn(StoreDatabase) -> F) {
    let database = StoreDatabase::open("sqlite::memory:".to_owned(), "durable".to_owned()).await;
    run(database, case).await;
}

/// Runs a case on a file of its own.
pub(crate) async fn in_sqlite<F: Future<Output = ()> + Send + 'static>(case: fn(StoreDatabase) -> F) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let url = format!("sqlite:{}", folder.path().join("case.sqlite").display());
    run(StoreDatabase::open(url, "durable".to_owned()).await, case).await;
}

/// Runs a case in a schema of its own.
pub(crate) async fn in_postgres<F: Future<Output = ()> + Send + 'static>(case: fn(StoreDatabase) -> F) {
    let server = tokio::task::spawn_blocking(durable::testing::server::url).await.expect("there is a server");
    run(StoreDatabase::open(server, durable::testing::server::fresh_schema()).await, case).await;
}

/// The same where transactions are serializable by default.
pub(crate) async fn in_serializable_postgres<F: Future<Output = ()> + Send + 'static>(case: fn(StoreDatabase) -> F) {
    let server = tokio::task::spawn_blocking(durable::testing::server::url).await.expect("there is a server");
    let mut url = url::Url::parse(&server).expect("it is a URL");
    url.query_pairs_mut().append_pair("options[default_transaction_isolation]", "serializable");
    run(StoreDatabase::open(url.into(), durable::testing::server::fresh_schema()).await, case).await;
}

/// Runs the case on a task of its own, so that a panic in it comes here and the database goes before
/// the test fails.
async fn run<F: Future<Output = ()> + Send + 'static>(database: StoreDatabase, case: fn(StoreDatabase) -> F) {
    let result = tokio::spawn(case(database.clone())).await;
    database.store.close().await;
    if database.is_postgres() {
        let store = database.second().await;
        store.drop_everything().await.expect("the schema can be dropped");
        store.close().await;
    }
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}
