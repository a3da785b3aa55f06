//! How processes on one Postgres hear of each other's writing: notifications, sent apart from the
//! commits, because one inside a commit takes a lock that all commits wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{Instant, timeout, timeout_at};

use crate::store::hints;
use crate::store::postgres::{ACQUIRE_TIMEOUT, PostgresStore, prepared};
use crate::store::sql::texts;
use crate::store::{Hint, Notification, Notifications, StoreError, StoreErrorKind, StoreFuture};

/// How soon a listener has to hear itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so much silence it says something to itself: nobody tells either end when a firewall or a
/// failed host has cut the connection.
const SILENCE: Duration = Duration::from_mins(1);

texts! {
    /// $1 channel, $2 text. The setting is for this transaction only, which has nothing to lose, so
    /// it need not wait for the disk; no state of a session, for the sake of proxies.
    notify = "select set_config('synchronous_commit', 'off', true), pg_notify($1::text, $2::text)";
}

impl Notifications for PostgresStore {
    fn has_others(&self) -> bool {
        true
    }

    fn notify<'a>(&'a self, hints: &'a [Hint]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if !hints.is_empty() {
                self.say(hints::text(&self.sender, hints)).await?;
            }
            Ok(())
        })
    }

    fn listen<'a>(&'a self, heard: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut ear = self.open_ear().await?;
            if !self.hears_itself(&mut ear, &|_| ()).await? {
                return Err(StoreError::new(
                    StoreErrorKind::Refused,
                    format_args!(
                        "{} takes a listener and never tells it anything, as proxies do that share connections \
                         between transactions (PgBouncer in transaction mode); give durable a direct connection, or \
                         let it ask now and then instead",
                        self.location
                    ),
                ));
            }
            heard(Notification::Listening);
            loop {
                match timeout(SILENCE, ear.next()).await {
                    Ok(text) => text?.and_then(|text| hints::heard(&self.sender, &text)).into_iter().for_each(heard),
                    Err(_) if self.hears_itself(&mut ear, heard).await? => {}
                    Err(_) => return Err(lost(&"it is silent")),
                }
            }
        })
    }
}

impl PostgresStore {
    /// Sends a notification on a connection that does not stand in line behind the work.
    async fn say(&self, text: String) -> Result<(), StoreError> {
        self.meter.notice();
        prepared(&self.texts.wake.notify).bind(&*self.channel).bind(text).execute(&self.control).await?;
        Ok(())
    }

    /// Whether the listener hears what this process says now. Hints that come meanwhile are passed on.
    async fn hears_itself(
        &self,
        ear: &mut PgNotificationListener,
        heard: &(dyn Fn(Notification) + Send + Sync),
    ) -> Result<bool, StoreError> {
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let token = hints::token(&self.sender, TOKENS.fetch_add(1, Ordering::Relaxed));
        self.say(token.clone()).await?;
        let until = Instant::now() + PATIENCE;
        while let Ok(text) = timeout_at(until, ear.next()).await {
            match text? {
                Some(text) if text == token => return Ok(true),
                Some(text) => hints::heard(&self.sender, &text).into_iter().for_each(heard),
                None => {}
            }
        }
        Ok(false)
    }

    async fn open_ear(&self) -> Result<PgNotificationListener, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // A lost connection is for the caller, who has to look at what was not heard meanwhile.
        listener.eager_reconnect(false);
        self.meter.statement();
        listener.listen(&self.channel).await?;
        Ok(PgNotificationListener { listener, pool })
    }
}

/// A listener with a pool of its own, so that no other pool waits for its connection.
struct PgNotificationListener {
    listener: PgListener,
    pool: PgPool,
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
    StoreError::new(StoreErrorKind::Unreachable, format_args!("the connection that listens for news is lost: {why}"))
}
