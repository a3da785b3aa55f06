//! The connection that writes: one, kept open, behind a fair lock.
//!
//! A pool would send a ping through it at each release, and a commit to SQLite is hardly longer
//! than that.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::TryStreamExt;
use sqlx::error::ErrorKind;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, Sqlite, SqliteConnection, raw_sql};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::store::sqlite::dialect::Query;
use crate::store::sqlite::file_identity::FileIdentity;
use crate::types::database_fault::{self, DatabaseFault};

/// One connection, opened when it is first needed, and again when it has become useless.
#[derive(Debug)]
pub(super) struct WriterConnection {
    options: SqliteConnectOptions,
    file: Arc<FileIdentity>,
    /// Whether the connection is the database, which it is in memory.
    is_database: bool,
    slot: Arc<Mutex<ConnectionSlot>>,
    /// How often the connection was opened.
    openings: AtomicU64,
    /// Whether the next use opens it anew.
    is_doubtful: AtomicBool,
    /// How many waiting calls a user's transaction has to give way to.
    urgent_callers: watch::Sender<u32>,
}

/// The connection, if it is open.
#[derive(Debug, Default)]
enum ConnectionSlot {
    #[default]
    Unopened,
    Open(SqliteConnection),
    /// It may be in a transaction that the driver does not know of, and cannot be opened anew, because it is the database.
    InDoubt(SqliteConnection),
    Closed,
}

impl WriterConnection {
    pub(super) fn new(options: SqliteConnectOptions, is_database: bool, file: Arc<FileIdentity>) -> Self {
        Self {
            options,
            file,
            is_database,
            slot: Arc::default(),
            openings: AtomicU64::new(0),
            is_doubtful: AtomicBool::new(false),
            urgent_callers: watch::Sender::new(0),
        }
    }

    /// Waits for the connection. Callers get it in the order in which they asked.
    ///
    /// # Errors
    /// The connection is closed, which is the error of a closed pool; or the connection cannot be opened.
    pub(super) async fn lock(&self) -> Result<WriterGuard, sqlx::Error> {
        let mut slot = Arc::clone(&self.slot).lock_owned().await;
        if self.is_doubtful.swap(false, Ordering::Relaxed) && matches!(*slot, ConnectionSlot::Open(_)) {
            *slot = ConnectionSlot::Unopened;
        }
        if let ConnectionSlot::InDoubt(connection) = &mut *slot {
            match raw_sql("rollback").execute(connection).await {
                Err(error) if !error.to_string().contains("no transaction is active") => return Err(error),
                _ => {}
            }
        }
        *slot = match std::mem::take(&mut *slot) {
            ConnectionSlot::InDoubt(connection) => ConnectionSlot::Open(connection),
            other => other,
        };
        match *slot {
            ConnectionSlot::Open(_) | ConnectionSlot::InDoubt(_) => {}
            ConnectionSlot::Unopened => {
                self.file.check_opened()?;
                let connection = self.options.connect().await?;
                self.file.check_opened()?; // another file at the path may have been opened
                *slot = ConnectionSlot::Open(connection);
                self.openings.fetch_add(1, Ordering::Relaxed);
            }
            ConnectionSlot::Closed => return Err(sqlx::Error::PoolClosed),
        }
        let opening = self.openings.load(Ordering::Relaxed); // the slot's lock orders it
        Ok(WriterGuard { slot, is_database: self.is_database, opening, is_in_doubt: false })
    }

    /// Waits for the connection, and asks a user's transaction that has it to give way.
    ///
    /// # Errors
    /// Those of [`lock`](Self::lock).
    pub(super) async fn lock_urgently(&self) -> Result<WriterGuard, sqlx::Error> {
        let _waiting = UrgentCaller::new(&self.urgent_callers);
        self.lock().await
    }

    /// Returns once a caller waits urgently.
    pub(super) async fn wait_for_urgent_caller(&self) {
        let mut callers = self.urgent_callers.subscribe();
        let _ = callers.wait_for(|waiting| *waiting > 0).await; // the sender lives as long as `self`
    }

    /// The next use opens another connection, because this one may be at fault.
    pub(super) fn open_anew(&self) {
        if !self.is_database {
            self.is_doubtful.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the connection is open, and whether it is in use.
    pub(super) fn state(&self) -> (bool, bool) {
        self.slot
            .try_lock()
            .map_or((true, true), |slot| (matches!(*slot, ConnectionSlot::Open(_) | ConnectionSlot::InDoubt(_)), false))
    }

    /// Closes the connection once it is not in use; it cannot be locked after that.
    pub(super) async fn close(&self) {
        let slot = std::mem::replace(&mut *self.slot.lock().await, ConnectionSlot::Closed);
        if let ConnectionSlot::Open(connection) | ConnectionSlot::InDoubt(connection) = slot {
            let _ = connection.close().await; // whatever was committed is in the file
        }
    }
}

/// Counts a caller for as long as it waits.
struct UrgentCaller<'c>(&'c watch::Sender<u32>);

impl<'c> UrgentCaller<'c> {
    fn new(callers: &'c watch::Sender<u32>) -> Self {
        callers.send_modify(|waiting| *waiting += 1);
        Self(callers)
    }
}

impl Drop for UrgentCaller<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// The locked connection.
#[derive(Debug)]
pub(super) struct WriterGuard {
    slot: OwnedMutexGuard<ConnectionSlot>,
    is_database: bool,
    opening: u64,
    is_in_doubt: bool,
}

impl WriterGuard {
    /// The number of this connection, counted from 1. The data versions of two connections cannot be
    /// compared.
    pub(super) fn opening(&self) -> u64 {
        self.opening
    }

    /// Sends a text of so many statements that begins a transaction and commits it. After an error the transaction is rolled
    /// back. If the caller stops to wait, or the rollback fails, the connection is not used again as it is.
    ///
    /// # Errors
    /// The error of the text, or of the rollback after an error of a row.
    pub(super) async fn execute_transaction(&mut self, query: Query, statements: usize) -> Result<(), sqlx::Error> {
        self.is_in_doubt = true;
        let connection: &mut SqliteConnection = &mut *self;
        let done = connection.execute_many(query).try_fold(0, async |done, _| Ok(done + 1)).await;
        let error = match done {
            Ok(done) if done == statements => {
                self.is_in_doubt = false;
                return Ok(());
            }
            // The driver's thread has ended: there are no further results, and no error.
            Ok(_) => return Err(sqlx::Error::WorkerCrashed),
            Err(error) => error,
        };
        match raw_sql("rollback").execute(&mut **self).await {
            Ok(_) => self.is_in_doubt = false,
            // Only the beginning waits for another process.
            Err(_) if database_fault::of_driver(&error) == DatabaseFault::LostRace => self.is_in_doubt = false,
            Err(not_rolled_back) if is_of_a_row(&error) => return Err(not_rolled_back),
            Err(_) => {} // such an error may have ended the transaction
        }
        Err(error)
    }
}

/// Whether a row conflicts with another one, or has no value where there has to be one. The transaction goes on after that.
pub(super) fn is_of_a_row(error: &sqlx::Error) -> bool {
    let kind = error.as_database_error().map(sqlx::error::DatabaseError::kind);
    matches!(kind, Some(ErrorKind::UniqueViolation | ErrorKind::NotNullViolation))
}

impl Deref for WriterGuard {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match &*self.slot {
            ConnectionSlot::Open(connection) => connection,
            _ => unreachable!("the guard begins with an open connection, and has the slot locked"),
        }
    }
}

impl DerefMut for WriterGuard {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match &mut *self.slot {
            ConnectionSlot::Open(connection) => connection,
            _ => unreachable!("the guard begins with an open connection, and has the slot locked"),
        }
    }
}

impl Drop for WriterGuard {
    /// If the disk is full or fails, SQLite rolls a transaction back by itself, and the driver
    /// assumes that it is still open. Such a connection cannot begin another transaction: it is
    /// dropped, and the next lock opens a new one.
    fn drop(&mut self) {
        if !self.is_database && (self.is_in_doubt || self.is_in_transaction()) {
            *self.slot = ConnectionSlot::Unopened;
        } else if self.is_in_doubt
            && let ConnectionSlot::Open(connection) = std::mem::take(&mut *self.slot)
        {
            *self.slot = ConnectionSlot::InDoubt(connection);
        }
    }
}

/// A connection to read with: one of the readers', or in memory the only one.
#[derive(Debug)]
pub(super) enum ReadConnection {
    Pooled(PoolConnection<Sqlite>),
    Only(WriterGuard),
}

impl Deref for ReadConnection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Only(writer) => writer,
        }
    }
}

impl DerefMut for ReadConnection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Only(writer) => writer,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::store::Lifecycle;
    use crate::store::sqlite::{SqliteStore, prepared};

    /// A file of its own, in a folder of its own.
    struct File(std::path::PathBuf);

    impl File {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("durable-{}.test", uuid::Uuid::new_v4().simple()));
            std::fs::create_dir(&folder).expect("the folder is new");
            Self(folder)
        }

        fn url(&self) -> String {
            format!("sqlite:{}", self.0.join("app.sqlite").display())
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("it is there");
        }
    }

    /// A store with a table `numbers`.
    async fn store(url: &str) -> SqliteStore {
        let store = SqliteStore::open(url, false).await.expect("it is new");
        raw_sql("create table numbers (number integer not null)")
            .execute(&mut *store.writing().await.expect("it is open"))
            .await
            .expect("the text is right");
        store
    }

    /// A transaction that writes so many numbers, and then this one.
    fn writing(many: u32, last: &str) -> Query {
        prepared(
            &format!(
                "begin immediate;
                 with recursive n (n) as (select 1 union all select n + 1 from n where n < {many})
                 insert into numbers select n from n;
                 insert into numbers values ({last});
                 commit"
            )
            .into(),
        )
    }

    async fn count(writer: &mut WriterGuard) -> i64 {
        sqlx::query_scalar(AssertSqlSafe("select count(*) from numbers"))
            .fetch_one(&mut **writer)
            .await
            .expect("there is no transaction")
    }

    #[tokio::test]
    async fn a_transaction_that_is_not_waited_for_is_ended_before_the_next_one() {
        let file = File::new();
        for url in [&*file.url(), "sqlite::memory:"] {
            let store = store(url).await;
            let mut writer = store.writing().await.expect("it is open");
            assert!(writer.execute_transaction(writing(500_000, "0"), 4).now_or_never().is_none(), "it takes a while");
            drop(writer);
            let mut writer = store.writing().await.expect("it can be used");
            let before = count(&mut writer).await;
            writer.execute_transaction(writing(1, "2"), 4).await.expect("no other transaction is open");
            assert_eq!((before, count(&mut writer).await), (0, 2), "{url}");
            drop(writer);
            store.close().await;
        }
    }

    #[tokio::test]
    async fn a_transaction_that_fails_leaves_nothing_and_the_connection_goes_on() {
        let file = File::new();
        for url in [&*file.url(), "sqlite::memory:"] {
            let store = store(url).await;
            let mut writer = store.writing().await.expect("it is open");
            let error = writer.execute_transaction(writing(3, "null"), 4).await.expect_err("null is refused");
            assert!(error.to_string().contains("NOT NULL"), "{error}");
            assert!(!writer.is_in_doubt);
            assert_eq!(count(&mut writer).await, 0);
            writer.execute_transaction(writing(1, "2"), 4).await.expect("no other transaction is open");
            let opening = writer.opening();
            drop(writer);
            let mut writer = store.writing().await.expect("it is open");
            assert_eq!((writer.opening(), count(&mut writer).await), (opening, 2));
            drop(writer);
            store.close().await;
        }
    }

    #[tokio::test]
    async fn a_transaction_with_fewer_results_than_statements_is_not_confirmed() {
        let file = File::new();
        let store = store(&file.url()).await;
        let mut writer = store.writing().await.expect("it is open");
        let error = writer.execute_transaction(writing(1, "2"), 5).await.expect_err("one is missing");
        assert!(matches!(error, sqlx::Error::WorkerCrashed), "{error}");
        let opening = writer.opening();
        drop(writer);
        let writer = store.writing().await.expect("it can be opened");
        assert_ne!(writer.opening(), opening, "the driver's thread may be gone");
        drop(writer);
        store.close().await;
    }

    #[tokio::test]
    async fn a_wait_for_another_process_does_not_cost_the_connection() {
        let file = File::new();
        let other = store(&file.url()).await;
        let mut blocker = other.writing().await.expect("it is open");
        let mut transaction =
            blocker.begin_with(crate::store::sqlite::BEGIN).await.expect("no other transaction is open");
        raw_sql("insert into numbers values (1)").execute(&mut *transaction).await.expect("it is the writer");
        let store = SqliteStore::open(&file.url(), false).await.expect("the file is there");
        let mut writer = store.writing().await.expect("it is open");
        raw_sql("pragma busy_timeout = 1").execute(&mut *writer).await.expect("the text is right");
        let error = writer.execute_transaction(writing(1, "2"), 4).await.expect_err("another one writes");
        assert!(error.to_string().contains("locked"), "{error}");
        transaction.rollback().await.expect("it is open");
        let opening = writer.opening();
        drop(writer);
        let mut writer = store.writing().await.expect("it is open");
        writer.execute_transaction(writing(1, "2"), 4).await.expect("no other transaction is open");
        assert_eq!(writer.opening(), opening);
        drop((writer, blocker));
        store.close().await;
        other.close().await;
    }
}
