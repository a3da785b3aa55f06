//! The raw floors: the same rows in the same tables with hand-written SQL.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

/// How rows are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One commit per row.
    Naive,
    /// One commit for the rows of concurrent callers.
    Batched,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Batched => "batched",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row to write.
#[derive(Debug, Clone, Copy)]
enum Row {
    Start {
        key: i64,
    },
    Step {
        key: i64,
        number: i32,
    },
    /// The last step and the end are one record, as they are in the engine.
    Last {
        key: i64,
        number: i32,
    },
}

impl Row {
    fn key(self) -> i64 {
        match self {
            Self::Start { key } | Self::Step { key, .. } | Self::Last { key, .. } => key,
        }
    }
}

/// Connections that stay open and are used in turn. A pool sends a ping through each returned
/// connection, which would double the round trips of a floor.
#[derive(Debug, Clone)]
enum Store {
    Postgres(Arc<Vec<Mutex<PgConnection>>>, Arc<str>),
    /// SQLite has one writer at a time.
    Sqlite(Arc<Mutex<SqliteConnection>>),
}

/// A raw floor on one store.
#[derive(Debug)]
pub(crate) struct Floor {
    store: Store,
    url: String,
    schema: String,
    next: AtomicI64,
    writer: Option<mpsc::UnboundedSender<(Row, oneshot::Sender<()>)>>,
}

impl Floor {
    pub(crate) async fn new(url: &str, schema: &str, mode: Mode) -> Self {
        let tables = durable_core::store::open(url, schema).await.expect("the store is there");
        tables.migrate().await.expect("its tables can be made");
        tables.close().await;
        let store = if url.starts_with("sqlite") {
            let options = url.parse::<SqliteConnectOptions>().expect("it is a URL of SQLite");
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30));
            Store::Sqlite(Arc::new(Mutex::new(options.connect().await.expect("the file is there"))))
        } else {
            let mut connections = Vec::new();
            for _ in 0..16 {
                connections.push(Mutex::new(PgConnection::connect(url).await.expect("the server is there")));
            }
            Store::Postgres(Arc::new(connections), schema.into())
        };
        let writer = (mode == Mode::Batched).then(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(write_batches(store.clone(), receiver));
            sender
        });
        Self { store, url: url.to_owned(), schema: schema.to_owned(), next: AtomicI64::new(1), writer }
    }

    /// One workflow: every row is durable before the next one is begun.
    pub(crate) async fn workflow(&self, steps: u32) {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let last = i32::try_from(steps).expect("there are few steps");
        self.write(Row::Start { key }).await;
        for number in 1..last {
            self.write(Row::Step { key, number }).await;
        }
        self.write(Row::Last { key, number: last }).await;
    }

    async fn write(&self, row: Row) {
        let Some(writer) = &self.writer else { return self.store.write_one(row).await };
        let (sender, receiver) = oneshot::channel();
        writer.send((row, sender)).expect("the writer lives as long as this");
        receiver.await.expect("the writer always replies");
    }

    pub(crate) async fn clear(&self) {
        crate::support::clear(&self.url, &self.schema).await;
    }
}

/// Commits the rows that have arrived together, after the callers of the last batch had a chance to add theirs.
async fn write_batches(store: Store, mut rows: mpsc::UnboundedReceiver<(Row, oneshot::Sender<()>)>) {
    let mut waiting = Vec::new();
    while rows.recv_many(&mut waiting, 1024).await > 0 {
        for _ in 0..8 {
            tokio::task::yield_now().await;
            while let Ok(row) = rows.try_recv() {
                waiting.push(row);
            }
        }
        let (batch, answers): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        if let [row] = batch[..] {
            store.write_one(row).await;
        } else {
            store.write_batch(&batch).await;
        }
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000000)::bigint";

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_micros()).expect("it is before 292,277")
}

/// An id as the engine makes it: a UUID ordered by time.
fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Store {
    async fn write_one(&self, row: Row) {
        match self {
            Self::Postgres(connections, schema) => {
                let mut connection = take(connections, row.key()).await;
                postgres_one(&mut connection, schema, row).await;
            }
            Self::Sqlite(connection) => sqlite_rows(&mut *connection.lock().await, &[row]).await,
        }
    }

    async fn write_batch(&self, rows: &[Row]) {
        match self {
            Self::Postgres(connections, schema) => {
                postgres_batch(&mut *connections[0].lock().await, schema, rows).await;
            }
            Self::Sqlite(connection) => sqlite_rows(&mut *connection.lock().await, rows).await,
        }
    }
}

/// A free connection, or one of the others once it is free.
async fn take(connections: &[Mutex<PgConnection>], key: i64) -> MutexGuard<'_, PgConnection> {
    if let Some(free) = connections.iter().find_map(|it| it.try_lock().ok()) {
        return free;
    }
    let turn = usize::try_from(key).expect("keys count from 1") % connections.len();
    connections[turn].lock().await
}

async fn postgres_one(connection: &mut PgConnection, schema: &str, row: Row) {
    let done = match row {
        Row::Start { key } => {
            let text = format!(
                "insert into {schema}.workflows (key, id, name, version, fingerprint, input, status, executor, attempt, created_at, started_at)
                 values ($1, $2, 'ten_steps', '0123456789abcdef', 1, '{{\"steps\":10}}', 'PENDING', 1, 1, {NOW}, {NOW})"
            );
            sqlx::query(AssertSqlSafe(text)).bind(key).bind(id()).execute(connection).await
        }
        Row::Step { key, number } => {
            let text = format!(
                "insert into {schema}.steps (workflow, branch, position, kind, name, attempts, started_at, completed_at, output)
                 values ($1, '', $2, 'step', 'no_op', 1, {NOW}, {NOW}, $3)"
            );
            sqlx::query(AssertSqlSafe(text)).bind(key).bind(number).bind(number.to_string()).execute(connection).await
        }
        Row::Last { key, number } => {
            let text = format!(
                "with step as (
                    insert into {schema}.steps (workflow, branch, position, kind, name, attempts, started_at, completed_at, output)
                    values ($1, '', $2, 'step', 'no_op', 1, {NOW}, {NOW}, $3))
                 update {schema}.workflows set status = 'SUCCESS', output = '45', completed_at = {NOW} where key = $1"
            );
            sqlx::query(AssertSqlSafe(text)).bind(key).bind(number).bind(number.to_string()).execute(connection).await
        }
    };
    done.expect("the server is there");
}

async fn postgres_batch(connection: &mut PgConnection, schema: &str, rows: &[Row]) {
    let parts = Parts::of(rows);
    // Only the parts with rows; the last one is the statement itself.
    let started = format!(
        "insert into {schema}.workflows (key, id, name, version, fingerprint, input, status, executor, attempt, created_at, started_at)
         select key, id, 'ten_steps', '0123456789abcdef', 1, '{{\"steps\":10}}', 'PENDING', 1, 1, {NOW}, {NOW}
           from unnest($1::bigint[], $2::text[]) rows (key, id)"
    );
    let recorded = format!(
        "insert into {schema}.steps (workflow, branch, position, kind, name, attempts, started_at, completed_at, output)
         select key, '', number, 'step', 'no_op', 1, {NOW}, {NOW}, number::text
           from unnest($3::bigint[], $4::integer[]) rows (key, number)"
    );
    // The limit makes the planner look the rows up by their key.
    let ended = format!(
        "update {schema}.workflows w set status = 'SUCCESS', output = '45', completed_at = {NOW}
           from (select * from unnest($5::bigint[]) limit cardinality($5)) rows (key) where w.key = rows.key"
    );
    let mut statements = Vec::new();
    if !parts.starts.is_empty() {
        statements.push(started);
    }
    if !parts.steps.0.is_empty() {
        statements.push(recorded);
    }
    if !parts.ends.is_empty() {
        statements.push(ended);
    }
    let last = statements.pop().expect("a batch is not empty");
    let with: Vec<_> = statements.iter().enumerate().map(|(number, it)| format!("part_{number} as ({it})")).collect();
    // Every parameter has its type, also in a text that does not use it.
    let types = "select $1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::bigint[] where false";
    let with = [vec![format!("types as ({types})")], with].concat().join(", ");
    let ids: Vec<String> = parts.starts.iter().map(|_| id()).collect();
    let query = sqlx::query(AssertSqlSafe(format!("with {with} {last}")));
    let query = query.bind(parts.starts).bind(ids).bind(parts.steps.0).bind(parts.steps.1);
    query.bind(parts.ends).execute(connection).await.expect("the server is there");
}

async fn sqlite_rows(connection: &mut SqliteConnection, rows: &[Row]) {
    let parts = Parts::of(rows);
    let kinds = [parts.starts.len(), parts.steps.0.len(), parts.ends.len()].into_iter().filter(|it| *it > 0).count();
    let now = now();
    if kinds > 1 {
        sqlx::query("begin immediate").execute(&mut *connection).await.expect("it is this one's turn");
    }
    if !parts.starts.is_empty() {
        let rows: Vec<_> = parts.starts.iter().map(|key| serde_json::json!([key, id()])).collect();
        let text = "insert into durable_workflows (key, id, name, version, fingerprint, input, status, executor, attempt, created_at, started_at)
             select value ->> 0, value ->> 1, 'ten_steps', '0123456789abcdef', 1, '{\"steps\":10}', 'PENDING', 1, 1, ?2, ?2 from json_each(?1)";
        let query = sqlx::query(text).bind(serde_json::json!(rows).to_string()).bind(now);
        query.execute(&mut *connection).await.expect("the file is there");
    }
    if !parts.steps.0.is_empty() {
        let rows: Vec<_> =
            parts.steps.0.iter().zip(&parts.steps.1).map(|(key, number)| serde_json::json!([key, number])).collect();
        let text = "insert into durable_steps (workflow, branch, position, kind, name, attempts, started_at, completed_at, output)
             select value ->> 0, '', value ->> 1, 'step', 'no_op', 1, ?2, ?2, cast(value ->> 1 as text) from json_each(?1)";
        let query = sqlx::query(text).bind(serde_json::json!(rows).to_string()).bind(now);
        query.execute(&mut *connection).await.expect("the file is there");
    }
    if !parts.ends.is_empty() {
        let text = "update durable_workflows set status = 'SUCCESS', output = '45', completed_at = ?2
             from json_each(?1) rows where durable_workflows.key = rows.value";
        let query = sqlx::query(text).bind(serde_json::json!(parts.ends).to_string()).bind(now);
        query.execute(&mut *connection).await.expect("the file is there");
    }
    if kinds > 1 {
        sqlx::query("commit").execute(&mut *connection).await.expect("the file is there");
    }
}

/// Rows by kind.
#[derive(Debug, Default)]
struct Parts {
    starts: Vec<i64>,
    steps: (Vec<i64>, Vec<i32>),
    ends: Vec<i64>,
}

impl Parts {
    fn of(rows: &[Row]) -> Self {
        let mut parts = Self::default();
        for row in rows {
            match *row {
                Row::Start { key } => parts.starts.push(key),
                Row::Step { key, number } => parts.step(key, number),
                Row::Last { key, number } => {
                    parts.step(key, number);
                    parts.ends.push(key);
                }
            }
        }
        parts
    }

    fn step(&mut self, key: i64, number: i32) {
        self.steps.0.push(key);
        self.steps.1.push(number);
    }
}
