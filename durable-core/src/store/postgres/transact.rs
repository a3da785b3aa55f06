//! The user's SQL in Postgres, and the records in the same commit.

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

use crate::store::postgres::PostgresStore;
use crate::store::postgres::transactions::run;
use crate::store::{Isolation, StoreFuture, Transact, Transacted, TransactionConnection, TransactionStart, UserWork};

impl Transact for PostgresStore {
    fn connection_type(&self) -> &'static str {
        PgConnection::NAME
    }

    fn transact<'a>(&'a self, start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            self.counter.statement();
            let mut connection = LentConnection::from(self.work_pool()?).await?;
            let mut transaction = connection.begin(start).await?;
            let end = run(work, &mut transaction).await;
            self.end_as_wanted(transaction, end).await
        })
    }
}

/// A connection of a pool, for one transaction.
///
/// A future that is dropped while `begin` is on its way leaves a connection behind that is in a transaction
/// although the driver does not know it: back in the pool, everything written on it later would seem to be
/// committed and never be. So a connection goes back to the pool only once its transaction has begun, when
/// the driver knows that it has to be rolled back.
pub(in crate::store) struct LentConnection {
    connection: PoolConnection<Postgres>,
    is_in_transaction: bool,
}

impl LentConnection {
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

impl Drop for LentConnection {
    fn drop(&mut self) {
        if !self.is_in_transaction {
            self.connection.close_on_drop();
        }
    }
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
