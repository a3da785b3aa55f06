//! The raw floors: the same rows in the same tables with hand-written SQL, on a queue that no engine
//! claims from, on connections that stay open.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};
use tokio::sync::Mutex;

use crate::Site;

/// How many connections write at once, at most.
const CONNECTIONS: usize = 16;
const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000000)::bigint";
const CHANNEL: &str = "bench_queues_floor";

/// The raw floors of one store.
pub(crate) struct Floor {
    side: Side,
    next: AtomicI64,
}

enum Side {
    Postgres {
        writers: Vec<Mutex<PgConnection>>,
        taker: Mutex<PgConnection>,
        listener: Mutex<PgListener>,
        schema: String,
    },
    Sqlite(Mutex<SqliteConnection>),
}

/// The times from before and from after the insert until the row is claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed {
    pub(crate) from_call: Duration,
    pub(crate) from_stored: Duration,
}

impl Floor {
    pub(crate) async fn new(site: &Site) -> Self {
        site.migrate().await;
        let side = if site.is_postgres() {
            let connect = async || PgConnection::connect(&site.url).await.expect("the server is there");
            let mut writers = Vec::new();
            for _ in 0..CONNECTIONS {
                writers.push(Mutex::new(connect().await));
            }
            let mut listener = PgListener::connect(&site.url).await.expect("the server is there");
            listener.listen(CHANNEL).await.expect("the server is there");
            let taker = Mutex::new(connect().await);
            Side::Postgres { writers, taker, listener: Mutex::new(listener), schema: site.schema.clone() }
        } else {
            let options = site.url.parse::<SqliteConnectOptions>().expect("it is a URL of SQLite");
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30));
            Side::Sqlite(Mutex::new(options.connect().await.expect("the file is there")))
        };
        Self { side, next: AtomicI64::new(1) }
    }

    /// Inserts so many rows with one statement, which is one commit.
    pub(crate) async fn insert(&self, rows: i64) {
        let first = self.next.fetch_add(rows, Ordering::Relaxed);
        let keys: Vec<i64> = (first..first + rows).collect();
        match &self.side {
            Side::Postgres { writers, schema, .. } => {
                let turn = usize::try_from(first).expect("keys count from 1") % writers.len();
                let free = writers.iter().find_map(|it| it.try_lock().ok());
                let mut connection = if let Some(free) = free { free } else { writers[turn].lock().await };
                insert_into_postgres(&mut connection, schema, &keys).await;
            }
            Side::Sqlite(connection) => insert_into_sqlite(&mut *connection.lock().await, &keys).await,
        }
    }

    /// A row that is inserted, announced if the claim is made elsewhere, and claimed. `None` if it cannot be
    /// announced: SQLite has no notifications.
    pub(crate) async fn claim_of_one(&self, elsewhere: bool) -> Option<Claimed> {
        if elsewhere && matches!(self.side, Side::Sqlite(_)) {
            return None;
        }
        let begun = Instant::now();
        self.insert(1).await;
        let stored = Instant::now();
        if let (true, Side::Postgres { writers, listener, .. }) = (elsewhere, &self.side) {
            let (mut writer, mut listener) = (writers[0].lock().await, listener.lock().await);
            let notify = "select set_config('synchronous_commit', 'off', true), pg_notify($1, '')";
            let (sent, received) =
                tokio::join!(sqlx::query(notify).bind(CHANNEL).execute(&mut *writer), async { listener.recv().await });
            sent.expect("the server is there");
            received.expect("the server is there");
        }
        assert_eq!(self.claim(1).await.len(), 1);
        Some(Claimed { from_call: begun.elapsed(), from_stored: stored.elapsed() })
    }

    /// Claims and ends `batch` rows at a time, with one commit each, until nothing is left. Returns their number.
    pub(crate) async fn drain(&self, batch: i64) -> u64 {
        let mut all = 0;
        loop {
            let keys = self.claim(batch).await;
            if keys.is_empty() {
                return all;
            }
            self.finish(&keys).await;
            all += keys.len() as u64;
        }
    }

    async fn claim(&self, most: i64) -> Vec<i64> {
        match &self.side {
            Side::Postgres { taker, schema, .. } => {
                let text = format!(
                    "update {schema}.workflows w
                        set status = 'PENDING', executor = 1, attempt = attempt + 1, started_at = {NOW}
                      where w.key = any(array(
                            select key from {schema}.workflows where status = 'ENQUEUED' and queue = 'floor'
                             order by priority, created_at, key limit $1 for update skip locked))
                     returning w.key, w.id, w.name, w.input"
                );
                let query = sqlx::query(AssertSqlSafe(text)).bind(most);
                let rows = query.fetch_all(&mut *taker.lock().await).await.expect("the server is there");
                rows.iter().map(|row| row.get("key")).collect()
            }
            Side::Sqlite(connection) => {
                let text = "update durable_workflows
                        set status = 'PENDING', executor = 1, attempt = attempt + 1, started_at = ?2
                      where key in (
                            select key from durable_workflows indexed by durable_workflows_enqueued
                             where status = 'ENQUEUED' and queue = 'floor' order by priority, created_at, key limit ?1)
                     returning key, id, name, input";
                let query = sqlx::query(text).bind(most).bind(now());
                let rows = query.fetch_all(&mut *connection.lock().await).await.expect("the file is there");
                rows.iter().map(|row| row.get("key")).collect()
            }
        }
    }

    async fn finish(&self, keys: &[i64]) {
        match &self.side {
            Side::Postgres { taker, schema, .. } => {
                let text = format!(
                    "update {schema}.workflows set status = 'SUCCESS', output = 'null', completed_at = {NOW}
                      where key = any($1)"
                );
                let query = sqlx::query(AssertSqlSafe(text)).bind(keys);
                query.execute(&mut *taker.lock().await).await.expect("the server is there");
            }
            Side::Sqlite(connection) => {
                let text = "update durable_workflows set status = 'SUCCESS', output = 'null', completed_at = ?2
                             where key in (select value from json_each(?1))";
                let query = sqlx::query(text).bind(serde_json::json!(keys).to_string()).bind(now());
                query.execute(&mut *connection.lock().await).await.expect("the file is there");
            }
        }
    }
}

/// An id as the engine makes it: a UUID ordered by time.
fn ids(keys: &[i64]) -> Vec<String> {
    keys.iter().map(|_| uuid::Uuid::now_v7().to_string()).collect()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_micros()).expect("it is before 292,277")
}

async fn insert_into_postgres(connection: &mut PgConnection, schema: &str, keys: &[i64]) {
    let columns = "key, id, name, version, fingerprint, input, status, attempt, queue, created_at";
    let constants = format!("'does_nothing', '0123456789abcdef', 1, '{{\"number\":1}}', 'ENQUEUED', 0, 'floor', {NOW}");
    let into = format!("insert into {schema}.workflows ({columns})");
    let done = if let [key] = keys {
        let text = format!("{into} values ($1, $2, {constants})");
        sqlx::query(AssertSqlSafe(text)).bind(key).bind(ids(keys).remove(0)).execute(connection).await
    } else {
        let text = format!("{into} select key, id, {constants} from unnest($1::bigint[], $2::text[]) rows (key, id)");
        sqlx::query(AssertSqlSafe(text)).bind(keys).bind(ids(keys)).execute(connection).await
    };
    done.expect("the server is there");
}

async fn insert_into_sqlite(connection: &mut SqliteConnection, keys: &[i64]) {
    let rows: Vec<_> = keys.iter().zip(ids(keys)).map(|(key, id)| serde_json::json!([key, id])).collect();
    let text = "insert into durable_workflows (key, id, name, version, fingerprint, input, status, attempt, queue, created_at)
         select value ->> 0, value ->> 1, 'does_nothing', '0123456789abcdef', 1, '{\"number\":1}', 'ENQUEUED', 0, 'floor', ?2
           from json_each(?1)";
    let query = sqlx::query(text).bind(serde_json::json!(rows).to_string()).bind(now());
    query.execute(connection).await.expect("the file is there");
}
