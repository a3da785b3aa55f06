//! Notifications between processes on one Postgres. They are sent apart from the commits, because a
//! notification inside a commit takes a lock that all commits wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{PgPool, Row};
use tokio::time::{Instant, timeout, timeout_at};

use crate::store::hints;
use crate::store::postgres::connections::ACQUIRE_TIMEOUT;
use crate::store::postgres::{PostgresStore, prepared};
use crate::store::sql::sql_statements;
use crate::store::{Hint, Notification, Notifications, StoreError, StoreErrorKind, StoreFuture};

/// How soon a listener has to receive its own notification.
const OWN_WITHIN: Duration = Duration::from_secs(2);
/// After so much silence a listener tests itself: neither end is informed when a firewall or a failed
/// host has cut the connection.
const SILENCE_BEFORE_TEST: Duration = Duration::from_mins(1);

sql_statements! {
    /// $1 channel, $2 text. The setting is for this transaction only, which has nothing to lose, so
    /// it need not wait for the disk; no state of a session, for the sake of proxies.
    notify = "select set_config('synchronous_commit', 'off', true), pg_notify($1::text, $2::text)";
}

impl Notifications for PostgresStore {
    fn has_others(&self) -> bool {
        true
    }

    fn notify<'a>(&'a self, hints: &'a [Hint]) -> StoreFuture<'a, ()> {
        self.call(async move {
            if !hints.is_empty() && !self.is_alone().await.unwrap_or(false) {
                self.send_notification(hints::text(&self.sender, hints)).await?;
            }
            Ok(())
        })
    }

    fn listen<'a>(&'a self, on_notification: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.check_can_listen()?;
            let mut listener = self.open_listener().await?;
            if !self.receives_own(&mut listener, &|_| ()).await? {
                return Err(StoreError::new(
                    StoreErrorKind::Refused,
                    format_args!(
                        "{} accepts LISTEN but delivers no notifications, as proxies do that share connections \
                         between transactions (PgBouncer in transaction mode); use a direct connection for durable, \
                         or it polls instead",
                        self.location
                    ),
                ));
            }
            let _own = self.listeners.add_own(listener.session);
            on_notification(Notification::Listening);
            loop {
                match timeout(SILENCE_BEFORE_TEST, listener.next()).await {
                    Ok(text) => self.heard(text?, on_notification).await,
                    Err(_) if self.receives_own(&mut listener, on_notification).await? => {}
                    Err(_) => return Err(lost(&"it is silent")),
                }
            }
        })
    }
}

impl PostgresStore {
    /// # Errors
    /// [`StoreErrorKind::Refused`]: there is no point in listening.
    fn check_can_listen(&self) -> Result<(), StoreError> {
        let why = if self.connector.shares_sessions() {
            "a proxy that shares sessions between transactions delivers no notifications"
        } else if !self.has_listener {
            "there are too few connections for one that listens"
        } else {
            return Ok(());
        };
        Err(StoreError::new(StoreErrorKind::Refused, format_args!("{}: {why}; durable polls instead", self.location)))
    }

    /// Passes on what another process has sent.
    async fn heard(&self, text: Option<String>, on_notification: &(dyn Fn(Notification) + Send + Sync)) {
        let Some(text) = text else { return };
        if hints::is_arrival(&self.sender, &text) {
            self.greet().await;
        }
        hints::parse(&self.sender, &text).into_iter().for_each(on_notification);
    }

    /// Sends a notification on a connection that the work does not use.
    pub(super) async fn send_notification(&self, text: String) -> Result<(), StoreError> {
        self.counter.notification();
        let query = prepared(&self.sql.notify.notify).bind(&*self.channel).bind(text);
        query.execute(&mut *self.leases().await?).await?;
        Ok(())
    }

    /// Whether the listener receives a notification that is sent now. Others that arrive meanwhile are
    /// passed on.
    async fn receives_own(
        &self,
        listener: &mut PgNotificationListener,
        on_notification: &(dyn Fn(Notification) + Send + Sync),
    ) -> Result<bool, StoreError> {
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let token = hints::token(&self.sender, TOKENS.fetch_add(1, Ordering::Relaxed));
        self.call(self.send_notification(token.clone())).await?;
        let until = Instant::now() + OWN_WITHIN;
        while let Ok(text) = timeout_at(until, listener.next()).await {
            match text? {
                Some(text) if text == token => return Ok(true),
                text => self.heard(text, on_notification).await,
            }
        }
        Ok(false)
    }

    async fn open_listener(&self) -> Result<PgNotificationListener, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(self.connector.options());
        let mut listener = PgListener::connect_with(&pool).await?;
        // A lost connection is for the caller, which has to poll for what was missed meanwhile.
        listener.eager_reconnect(false);
        self.counter.statement();
        let mark = prepared(&self.sql.listeners.mark_listener).persistent(false).bind(&*self.channel);
        let session = mark.fetch_one(&mut listener).await?.try_get(0)?;
        self.counter.statement();
        listener.listen(&self.channel).await?;
        Ok(PgNotificationListener { listener, pool, session })
    }
}

/// A listener with a pool of its own, so that it takes no connection from the other pools.
struct PgNotificationListener {
    listener: PgListener,
    pool: PgPool,
    /// Its process on the server.
    session: i32,
}

impl PgNotificationListener {
    /// The next notification.
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        match self.listener.try_recv().await? {
            Some(notification) => Ok(Some(notification.payload().to_owned())),
            None => Err(lost(&"it was closed")),
        }
    }
}

impl Drop for PgNotificationListener {
    /// The driver gives a dropped listener's connection back to its pool, and the pool closes it if
    /// it is closed itself.
    fn drop(&mut self) {
        drop(self.pool.close()); // closing marks the pool before its future is polled
    }
}

fn lost(why: &dyn std::fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unreachable,
        format_args!("the connection that listens for notifications is lost: {why}"),
    )
}
