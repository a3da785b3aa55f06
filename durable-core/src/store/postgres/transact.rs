//! The user's SQL in Postgres, and the records in the same commit.

use std::future::Future;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

use crate::store::postgres::connections::no_answer;
use crate::store::postgres::transactions::run;
use crate::store::postgres::{PostgresStore, begin_with_limit};
use crate::store::sql::sql_statements;
use crate::store::{
    Isolation, StoreError, StoreErrorKind, StoreFuture, Transact, Transacted, TransactionConnection, TransactionStart,
    UserWork,
};

sql_statements! {
    /// Whether there is a session of this name. $1 the name.
    session = "select 1 from pg_catalog.pg_stat_activity where application_name = $1";
}

impl Transact for PostgresStore {
    fn connection_type(&self) -> &'static str {
        PgConnection::NAME
    }

    fn transact<'a>(&'a self, start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            self.counter.statement();
            let mut connection = self.transactions.acquire_in_turn().await?;
            let limit = self.settings.transaction_idle_timeout;
            let session = self.connector.session_name(start.executor);
            let mut begin = format!("{}; set local application_name = {}", begin(start.isolation), quoted(&session));
            if self.connector.shares_sessions() {
                // The names of prepared statements that other clients of the proxy left in this session.
                begin.push_str("; deallocate all");
            }
            let begun = self.in_time(connection.begin_with(begin_with_limit(&begin, limit))).await;
            let mut transaction = begun?;
            let end = tokio::select! {
                biased;
                end = run(work, &mut transaction) => end,
                () = self.wait_until_session_is_gone(&session) => {
                    let message = "its connection fell silent: the server has ended the session, and the connection did not show it";
                    return Err(StoreError::new(StoreErrorKind::Unreachable, message));
                }
            };
            let ended = self.in_time(self.end_as_wanted(transaction, end)).await;
            if ended.is_ok() {
                connection.give_back(); // it is closed otherwise
            }
            ended
        })
    }
}

impl PostgresStore {
    /// Returns once the server does not have this session any more. A statement of a user has no deadline, and
    /// on a connection that fell silent it would wait forever; the server ends a session that is idle for too long.
    async fn wait_until_session_is_gone(&self, name: &str) {
        loop {
            tokio::time::sleep(self.settings.statement_timeout).await;
            let is_there = self.call(async move {
                let mut connection = self.reading().await?;
                Ok(self.query(&self.sql.transact.session).bind(name).fetch_optional(&mut *connection).await?.is_some())
            });
            if matches!(is_there.await, Ok(false)) {
                return;
            }
        }
    }

    /// Waits for statements of the engine in a user's transaction.
    async fn in_time<T, E: Into<StoreError>>(
        &self,
        statements: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.settings.statement_timeout, statements).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(no_answer(self.settings.statement_timeout)),
        }
    }
}

/// A connection of an application's pool, for one transaction.
///
/// A future that is dropped while `begin` is on its way leaves a connection behind that is in a transaction
/// although the driver does not know it: back in the pool, everything written on it later would seem to be
/// committed and never be. So a connection goes back to the pool only once its transaction has begun, when
/// the driver knows that it has to be rolled back.
pub(in crate::store) struct AppConnection {
    connection: PoolConnection<Postgres>,
    is_in_transaction: bool,
}

impl AppConnection {
    pub(in crate::store) async fn from(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: pool.acquire().await?, is_in_transaction: false })
    }

    pub(in crate::store) async fn begin(
        &mut self,
        opening: TransactionStart,
    ) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        let Self { connection, is_in_transaction } = self;
        let transaction = connection.begin_with(begin(opening.isolation)).await?;
        *is_in_transaction = true;
        Ok(transaction)
    }
}

impl Drop for AppConnection {
    fn drop(&mut self) {
        if !self.is_in_transaction {
            self.connection.close_on_drop();
        }
    }
}

/// A text in SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A transaction that only reads still writes its record, so `read only` is not for the server to
/// enforce: it would refuse the record.
fn begin(isolation: Option<Isolation>) -> &'static str {
    match isolation {
        None => "begin",
        Some(Isolation::ReadCommitted) => "begin isolation level read committed",
        Some(Isolation::RepeatableRead) => "begin isolation level repeatable read",
        Some(Isolation::Serializable) => "begin isolation level serializable",
    }
}
