//! The raw floors: the same changes with the fewest statements of hand-written SQL, on separate
//! connections, in the engine's tables.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

/// The statements from writing a row until its receiver has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Path {
    /// The row is inserted and committed.
    Commit,
    /// Then it is selected on another connection.
    Select,
    /// Then it is also marked as received, and that is committed.
    Update,
    /// As `Select`, after a notification.
    NotifiedSelect,
    /// As `Update`, after a notification.
    NotifiedUpdate,
    /// Only a notification, from the call that sends it to its arrival.
    Notify,
}

impl Path {
    pub(crate) const ALL: [Self; 6] =
        [Self::Commit, Self::Select, Self::Update, Self::NotifiedSelect, Self::NotifiedUpdate, Self::Notify];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Commit => "insert",
            Self::Select => "insert, select",
            Self::Update => "insert, select, update",
            Self::NotifiedSelect => "insert, notify, select",
            Self::NotifiedUpdate => "insert, notify, select, update",
            Self::Notify => "notify",
        }
    }
}

/// The raw floors of one store.
pub(crate) struct Floor {
    sides: Sides,
    last_key: i64,
}

/// The connections of the two sides.
enum Sides {
    Postgres { sender: PgConnection, receiver: PgConnection, listener: Box<PgListener>, schema: String },
    Sqlite { sender: SqliteConnection, receiver: SqliteConnection },
}

impl Floor {
    pub(crate) async fn new(url: &str, schema: &str) -> Self {
        let tables = durable_core::store::open(url, schema).await.expect("the store is there");
        tables.migrate().await.expect("its tables can be made");
        tables.close().await;
        if url.starts_with("sqlite") {
            let options = SqliteConnectOptions::from_str(url).expect("it is a URL of SQLite");
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30));
            let sender = options.connect().await.expect("the file is there");
            let receiver = options.connect().await.expect("the file is there");
            return Self { sides: Sides::Sqlite { sender, receiver }, last_key: 0 };
        }
        let mut listener = PgListener::connect(url).await.expect("the server is there");
        listener.listen("bench_latency").await.expect("the server is there");
        let sides = Sides::Postgres {
            sender: PgConnection::connect(url).await.expect("the server is there"),
            receiver: PgConnection::connect(url).await.expect("the server is there"),
            listener: Box::new(listener),
            schema: schema.to_owned(),
        };
        Self { sides, last_key: 0 }
    }

    /// One sample; `None` if the store does not support it: SQLite has no notifications.
    pub(crate) async fn sample(&mut self, path: Path) -> Option<Duration> {
        self.last_key += 1;
        let key = self.last_key;
        match &mut self.sides {
            Sides::Postgres { sender, receiver, listener, schema } => {
                Some(on_postgres(sender, receiver, listener, schema, key, path).await)
            }
            Sides::Sqlite { .. } if matches!(path, Path::NotifiedSelect | Path::NotifiedUpdate | Path::Notify) => None,
            Sides::Sqlite { sender, receiver } => Some(on_sqlite(sender, receiver, key, path).await),
        }
    }
}

async fn on_postgres(
    sender: &mut PgConnection,
    receiver: &mut PgConnection,
    listener: &mut PgListener,
    schema: &str,
    key: i64,
    path: Path,
) -> Duration {
    let begun = Instant::now();
    let insert = format!(
        "insert into {schema}.messages (key, workflow, topic, sent_at, payload) values ($1, $1, 'news', 0, '1')"
    );
    if path != Path::Notify {
        sqlx::query(AssertSqlSafe(insert)).bind(key).execute(&mut *sender).await.expect("the server is there");
    }
    if matches!(path, Path::Notify | Path::NotifiedSelect | Path::NotifiedUpdate) {
        let notify = "select set_config('synchronous_commit', 'off', true), pg_notify('bench_latency', '1')";
        let sent = sqlx::query(notify).execute(&mut *sender);
        let (sent, received) = tokio::join!(sent, listener.recv());
        sent.expect("the server is there");
        received.expect("the server is there");
    }
    if !matches!(path, Path::Commit | Path::Notify) {
        let select = format!("select payload from {schema}.messages where workflow = $1 and received_at is null");
        let found = sqlx::query(AssertSqlSafe(select)).bind(key).fetch_one(&mut *receiver).await;
        found.expect("it was just written");
    }
    if matches!(path, Path::Update | Path::NotifiedUpdate) {
        let update = format!("update {schema}.messages set received_at = 1 where key = $1");
        sqlx::query(AssertSqlSafe(update)).bind(key).execute(receiver).await.expect("the server is there");
    }
    begun.elapsed()
}

async fn on_sqlite(sender: &mut SqliteConnection, receiver: &mut SqliteConnection, key: i64, path: Path) -> Duration {
    let begun = Instant::now();
    let insert =
        "insert into durable_messages (key, workflow, topic, sent_at, payload) values (?1, ?1, 'news', 0, '1')";
    sqlx::query(insert).bind(key).execute(&mut *sender).await.expect("the file is there");
    if path != Path::Commit {
        let select = "select payload from durable_messages where workflow = ?1 and received_at is null";
        sqlx::query(select).bind(key).fetch_one(&mut *receiver).await.expect("it was just written");
    }
    if path == Path::Update {
        let update = "update durable_messages set received_at = 1 where key = ?1";
        sqlx::query(update).bind(key).execute(receiver).await.expect("the file is there");
    }
    begun.elapsed()
}
