//! The connections of the Postgres store, in groups that do not wait for each other: what the engine
//! itself does never waits for users' transactions.
//!
//! A connection goes back to its group only after a call that succeeded. After an error, a deadline or a
//! dropped call it is closed, because it may be what is at fault, and another one is opened when needed.

use std::future::Future;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgTransactionManager;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::store::postgres::connector::{BEGIN, Connector};
use crate::store::{PoolState, StoreError, StoreErrorKind};
use crate::types::sync::{Mutex, lock};

/// How long a caller waits for a connection before the database counts as unreachable.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two tries at opening a connection.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// After so long without use a connection is replaced: firewalls forget idle connections after about five
/// minutes without informing either end, and a write into a forgotten one hangs.
const MAX_IDLE: Duration = Duration::from_mins(4);
/// A connection that was used within this time is not tested.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long a tested connection has to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What the sessions of a group are set to.
pub(super) struct SessionSettings {
    /// How long statements wait for a lock, where that is limited.
    pub(super) lock_timeout: Option<Duration>,
    /// Whether the default isolation level is to be lowered to that of the engine's statements.
    pub(super) lowers_isolation: bool,
}

/// Connections that are for one thing.
pub(super) struct ConnectionGroup {
    name: &'static str,
    connector: Arc<Connector>,
    size: u32,
    settings: SessionSettings,
    /// Whether a connection that was not used for some time is tested first, because not every caller tries again.
    tests_idle: bool,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
    /// How many are open, idle ones included.
    open: AtomicUsize,
    closed: AtomicBool,
    /// Notified when it is closed.
    closing: Notify,
}

impl ConnectionGroup {
    pub(super) fn new(
        name: &'static str,
        size: u32,
        connector: &Arc<Connector>,
        settings: SessionSettings,
        tests_idle: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            connector: Arc::clone(connector),
            size,
            settings,
            tests_idle,
            permits: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::default(),
            open: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
        })
    }

    /// Adds an open connection.
    pub(super) async fn put(&self, mut connection: PgConnection) -> Result<(), StoreError> {
        self.set(&mut connection, "").await?;
        self.open.fetch_add(1, Ordering::Relaxed);
        self.keep(connection);
        Ok(())
    }

    /// Makes the settings of a session, or with `local` of a transaction that has its isolation level.
    async fn set(&self, connection: &mut PgConnection, local: &str) -> Result<(), sqlx::Error> {
        let mut set = Vec::new();
        if let Some(limit) = self.settings.lock_timeout {
            set.push(format!("set {local} lock_timeout = {}", limit.as_millis()));
        }
        if self.settings.lowers_isolation && local.is_empty() {
            set.push("set default_transaction_isolation = 'read committed'".to_owned());
        }
        if !set.is_empty() {
            sqlx::raw_sql(AssertSqlSafe(set.join("; "))).execute(connection).await?;
        }
        Ok(())
    }

    fn keep(&self, connection: PgConnection) {
        if self.is_closed() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        } else {
            lock(&self.idle).push((connection, Instant::now()));
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

    /// How many connections it may have.
    pub(super) fn size(&self) -> usize {
        self.size as usize
    }

    /// A connection, as soon as there is one.
    ///
    /// # Errors
    /// All are in use for too long, or none can be opened: with the reason of the last try.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<LentConnection, StoreError> {
        self.check_open()?;
        if let Some(lent) = StoreCall::reuse(self) {
            return Ok(lent);
        }
        let acquired = tokio::time::timeout(ACQUIRE_TIMEOUT, self.acquire_in_turn()).await;
        acquired.unwrap_or_else(|_| {
            Err(StoreError::new(
                StoreErrorKind::Unreachable,
                format_args!("all {} connections for {} were in use for {ACQUIRE_TIMEOUT:?}", self.size, self.name),
            ))
        })
    }

    /// A connection, however long all are in use: callers get them in the order in which they asked.
    ///
    /// # Errors
    /// None can be opened, or the group is closed.
    pub(super) async fn acquire_in_turn(self: &Arc<Self>) -> Result<LentConnection, StoreError> {
        let mut closing = std::pin::pin!(self.closing.notified());
        closing.as_mut().enable(); // before the check, so that a notification between the two is received
        self.check_open()?;
        let permit = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit.ok(),
            () = closing => None,
        };
        StoreCall::statement_begins(); // the wait for other callers is not the database's
        match permit {
            Some(permit) => self.lend(permit).await,
            None => Err(closed()),
        }
    }

    /// A connection, if not all are in use.
    ///
    /// # Errors
    /// None can be opened.
    pub(super) async fn acquire_if_free(self: &Arc<Self>) -> Result<Option<LentConnection>, StoreError> {
        self.check_open()?;
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => self.lend(permit).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn lend(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<LentConnection, StoreError> {
        let deadline = tokio::time::Instant::now() + ACQUIRE_TIMEOUT;
        let mut connection = loop {
            self.check_open()?;
            if let Some((mut idle, since)) = self.take_idle() {
                if !self.tests_idle || since.elapsed() < TRUSTED_IDLE {
                    break idle;
                }
                let untested = Untested::new(&self.open);
                if tokio::time::timeout(PING_TIMEOUT, idle.ping()).await.is_ok_and(|pinged| pinged.is_ok()) {
                    untested.passed();
                    break idle;
                }
                continue;
            }
            match tokio::time::timeout_at(deadline, self.connector.connect()).await {
                Ok(Ok(mut connection)) => {
                    if !self.connector.shares_sessions() {
                        self.set(&mut connection, "").await?;
                    }
                    self.open.fetch_add(1, Ordering::Relaxed);
                    break connection;
                }
                // Another group or process may close one.
                Ok(Err(error))
                    if Connector::may_pass_soon(&error) && deadline > tokio::time::Instant::now() + CONNECT_PAUSE =>
                {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.connector.no_answer()),
            }
        };
        StoreCall::statement_begins();
        let opens = self.connector.shares_sessions() && StoreCall::is_current();
        if opens {
            // A proxy gives each transaction a session of its own: so the call is one.
            let begun = async {
                PgTransactionManager::begin(&mut connection, Some(BEGIN.into_sql_str())).await?;
                self.set(&mut connection, "local").await
            };
            let untested = Untested::new(&self.open);
            begun.await?;
            untested.passed();
        }
        Ok(LentConnection {
            inner: Some(Lent { group: Arc::clone(self), connection, in_transaction: opens, _permit: permit }),
        })
    }

    fn take_idle(&self) -> Option<(PgConnection, Instant)> {
        let mut idle = lock(&self.idle);
        let before = idle.len();
        idle.retain(|(_, since)| since.elapsed() < MAX_IDLE);
        self.open.fetch_sub(before - idle.len(), Ordering::Relaxed);
        idle.pop()
    }

    pub(super) fn state(&self) -> PoolState {
        let idle = lock(&self.idle).len();
        let open = self.open.load(Ordering::Relaxed);
        PoolState { name: self.name, open, held: open.saturating_sub(idle), size: self.size as usize }
    }

    /// From now on no connection is lent, and those that come back are closed.
    pub(super) fn mark_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
    }

    /// Closes all connections, and waits for those that are in use.
    pub(super) async fn close(&self) {
        self.mark_closed();
        let idle = mem::take(&mut *lock(&self.idle));
        for (connection, _) in idle {
            let _ = connection.close().await; // the server closes its end either way
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        let _ = self.permits.acquire_many(self.size).await.map(drop); // an error says that it was closed before
    }
}

/// A connection that is open and may not be fit for use. It counts as closed if this is dropped before it has passed:
/// then the connection has failed, or the call that it was for was dropped, and the connection with it.
struct Untested<'a>(Option<&'a AtomicUsize>);

impl<'a> Untested<'a> {
    fn new(open: &'a AtomicUsize) -> Self {
        Self(Some(open))
    }

    fn passed(mut self) {
        self.0 = None;
    }
}

impl Drop for Untested<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.0 {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A connection outside its group.
struct Lent {
    group: Arc<ConnectionGroup>,
    connection: PgConnection,
    /// Whether a transaction was opened for the call that it is lent to.
    in_transaction: bool,
    _permit: OwnedSemaphorePermit,
}

impl Lent {
    fn give_back(self) {
        self.group.keep(self.connection);
    }

    fn close(self) {
        self.group.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is lent: to the call that it is dropped in, which gives it back if it succeeds.
/// Outside of calls it has to be given back, or is closed.
pub(in crate::store) struct LentConnection {
    inner: Option<Lent>,
}

impl LentConnection {
    pub(super) fn give_back(mut self) {
        if let Some(lent) = self.inner.take() {
            lent.give_back();
        }
    }
}

impl Deref for LentConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner.as_ref().expect("it is there until it is dropped").connection
    }
}

impl DerefMut for LentConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner.as_mut().expect("it is there until it is dropped").connection
    }
}

impl Drop for LentConnection {
    fn drop(&mut self) {
        if let Some(lent) = self.inner.take() {
            StoreCall::keep_until_end(lent);
        }
    }
}

tokio::task_local! {
    static CALL: StoreCall;
}

/// One call of a method of the store: its connections, and when its last statement began.
struct StoreCall(Mutex<CallState>);

struct CallState {
    used: Vec<Lent>,
    statement_at: Instant,
}

impl StoreCall {
    fn new() -> Self {
        Self(Mutex::new(CallState { used: Vec::new(), statement_at: Instant::now() }))
    }

    fn is_current() -> bool {
        CALL.try_with(|_| ()).is_ok()
    }

    fn keep_until_end(lent: Lent) {
        let mut lent = Some(lent);
        let kept = CALL.try_with(|call| lock(&call.0).used.extend(lent.take()));
        if kept.is_err()
            && let Some(lent) = lent
        {
            lent.close();
        }
    }

    /// A connection that the same call has used before.
    fn reuse(group: &Arc<ConnectionGroup>) -> Option<LentConnection> {
        let found = CALL.try_with(|call| {
            let used = &mut lock(&call.0).used;
            used.iter().position(|it| Arc::ptr_eq(&it.group, group)).map(|index| used.swap_remove(index))
        });
        found.ok().flatten().map(|lent| LentConnection { inner: Some(lent) })
    }

    fn statement_begins() {
        let _ = CALL.try_with(|call| lock(&call.0).statement_at = Instant::now()); // what is outside of calls has no deadline here
    }

    fn statement_at() -> Instant {
        CALL.try_with(|call| lock(&call.0).statement_at).unwrap_or_else(|_| Instant::now())
    }

    /// Ends the call: connections go back after a success, and are closed otherwise.
    async fn end(succeeded: bool, reusable: bool) -> Result<(), StoreError> {
        let used = CALL.try_with(|call| mem::take(&mut lock(&call.0).used)).unwrap_or_default();
        for mut lent in used {
            // A transaction that was opened for a call that failed is not to be committed.
            if !reusable || lent.in_transaction && !succeeded {
                lent.close();
                continue;
            }
            if lent.in_transaction {
                match PgTransactionManager::commit(&mut lent.connection).await {
                    Ok(()) => {}
                    Err(error) => {
                        lent.close();
                        return Err(error.into());
                    }
                }
            }
            lent.give_back();
        }
        Ok(())
    }
}

impl Drop for StoreCall {
    /// A call that was dropped leaves its connections in the middle of something.
    fn drop(&mut self) {
        let used = mem::take(&mut lock(&self.0).used);
        used.into_iter().for_each(Lent::close);
    }
}

/// A statement of the current call begins now.
pub(super) fn statement_begins() {
    StoreCall::statement_begins();
}

/// Runs a call of a method of the store. Each of its statements has this long, by this process's clock:
/// then the connection counts as lost.
///
/// # Errors
/// Those of the call; [`StoreErrorKind::Unreachable`] where there was no answer in time.
pub(super) async fn run_call<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    CALL.scope(StoreCall::new(), async move {
        let result = within(deadline, call).await;
        let reusable = !matches!(&result, Err(error) if error.kind.may_be_the_connection());
        let ended = within(deadline, StoreCall::end(result.is_ok(), reusable)).await;
        result.and_then(|result| ended.map(|()| result))
    })
    .await
}

/// Waits for a future whose statements each have this long.
async fn within<T>(deadline: Duration, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let mut call = std::pin::pin!(call);
    loop {
        let until = StoreCall::statement_at() + deadline;
        match tokio::time::timeout_at(until.into(), &mut call).await {
            Ok(result) => return result,
            Err(_) if StoreCall::statement_at() + deadline > until => {}
            Err(_) => return Err(no_answer(deadline)),
        }
    }
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store is closed")
}

/// The error of a statement without an answer.
pub(super) fn no_answer(deadline: Duration) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unreachable,
        format_args!(
            "the database did not answer a statement within {deadline:?}; the connection is closed and opened anew"
        ),
    )
}
