//! Whether another process listens for notifications. While no other process does, this one sends none: a notification
//! costs a transaction, and a short workflow has only two others.
//!
//! Each listener holds a shared advisory lock in its session, so `pg_locks` shows who listens. A new listener sends itself
//! a test notification, which all other listeners receive, too. A process that has sent no notifications until then
//! replies that anything may have changed. The new listener then reads the database again and has missed nothing.

use std::time::Duration;

use sqlx::Row;
use tokio::time::Instant;

use crate::store::postgres::{PostgresStore, prepared};
use crate::store::sql::sql_statements;
use crate::store::{StoreError, hints};
use crate::types::sync::{Mutex, lock};

/// How often a process that sends notifications checks whether another one still listens.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

sql_statements! {
    /// $1 channel. Takes the lock of a listener, and returns the process id of the session. The lock is only taken as a
    /// shared one, so this does not wait.
    mark_listener = "
        select pg_backend_pid(), pg_advisory_lock_shared(hashtextextended('durable: listeners of ' || $1::text, 0))";
    /// $1 channel; $2 process ids of the caller's own listeners. Whether there are other listeners.
    others_listen = "
        select exists (
            select 1 from pg_locks
             where locktype = 'advisory' and objsubid = 1
               and database = (select oid from pg_database where datname = current_database())
               and (classid::bigint << 32 | objid::bigint) = hashtextextended('durable: listeners of ' || $1::text, 0)
               and pid <> all($2::integer[]))";
}

/// What a store knows about those that listen.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The sessions of this store that listen.
    own: Vec<i32>,
    /// Whether there is no other listener. False while this store has no listener of its own, because it would not
    /// receive the test notification of a new one.
    alone: bool,
    /// How many times another listener has announced itself, or an own one was lost: the answer to an earlier question
    /// is out of date.
    changes: u64,
    asked_at: Option<Instant>,
}

/// A session of this store listens while this lives.
#[derive(Debug)]
pub(super) struct OwnListener<'a> {
    listeners: &'a Listeners,
    session: i32,
}

impl Drop for OwnListener<'_> {
    fn drop(&mut self) {
        let mut known = lock(&self.listeners.0);
        known.own.retain(|it| *it != self.session);
        known.changed();
    }
}

impl Known {
    fn changed(&mut self) {
        self.alone = false;
        self.changes += 1;
    }
}

impl Listeners {
    /// A session of this store has heard itself.
    pub(super) fn add_own(&self, session: i32) -> OwnListener<'_> {
        lock(&self.0).own.push(session);
        OwnListener { listeners: self, session }
    }

    fn is_alone(&self) -> bool {
        lock(&self.0).alone
    }

    /// Another listener has announced itself. Returns whether this store was alone, and has announced nothing.
    fn came(&self) -> bool {
        let mut known = lock(&self.0);
        let was_alone = known.alone;
        known.changed();
        was_alone
    }

    /// The own sessions and the number of changes, if it is time to ask who else listens.
    fn due_question(&self) -> Option<(Vec<i32>, u64)> {
        let mut known = lock(&self.0);
        let due = !known.alone && known.asked_at.is_none_or(|at| at.elapsed() >= CHECK_INTERVAL);
        if !due || known.own.is_empty() {
            return None;
        }
        known.asked_at = Some(Instant::now());
        Some((known.own.clone(), known.changes))
    }

    fn answered(&self, others_listen: bool, changes: u64) {
        let mut known = lock(&self.0);
        known.alone = !others_listen && known.changes == changes && !known.own.is_empty();
    }
}

impl PostgresStore {
    /// Whether there is no other listener. False while this store has no listener of its own.
    pub(super) async fn is_alone(&self) -> Result<bool, StoreError> {
        if let Some((own, changes)) = self.listeners.due_question() {
            self.counter.statement();
            let query = prepared(&self.sql.listeners.others_listen).bind(&*self.channel).bind(own);
            let others_listen = query.fetch_one(&mut *self.leases().await?).await?.try_get(0)?;
            self.listeners.answered(others_listen, changes);
        }
        Ok(self.listeners.is_alone())
    }

    /// Answers another listener that has announced itself, if nothing was announced to it until now.
    pub(super) async fn greet(&self) {
        if self.listeners.came()
            && let Err(error) = self.call(self.send_notification(hints::something(&self.sender))).await
        {
            // It looks for itself every now and then, in case a notification was lost.
            tracing::debug!(target: "durable", %error, "cannot notify a process that has come");
        }
    }
}
