//! The user's SQL in Postgres, and the records in the same commit.

use std::any::Any;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

use crate::store::postgres::PostgresStore;
use crate::store::store_error::is_clash;
use crate::store::{
    Isolation, StoreError, StoreFuture, Transact, Transacted, TransactionConnection, TransactionEnd, TransactionStart,
    UserWork,
};

impl Transact for PostgresStore {
    fn connection_type(&self) -> &'static str {
        PgConnection::NAME
    }

    fn transact<'a>(&'a self, opening: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            self.counter.statement();
            let mut connection = LentConnection::from(self.work_pool()?).await?;
            let mut transaction = connection.begin(opening).await?;
            let end = run(work, &mut transaction).await;
            let TransactionEnd::Record { fence, records, .. } = end else {
                self.counter.statement();
                return close(transaction, matches!(end, TransactionEnd::Commit)).await;
            };
            for record in &records {
                match self.record_statement(fence, record).execute(&mut *transaction).await {
                    Ok(done) if done.rows_affected() > 0 => {}
                    Ok(_) => return self.give_up(transaction, Transacted::Fenced).await,
                    Err(error) if is_clash(&error) => return self.give_up(transaction, Transacted::Superseded).await,
                    Err(error) => return Err(error.into()),
                }
            }
            self.end(transaction, records.len() as u64).await?;
            Ok(Transacted::Committed)
        })
    }
}

impl PostgresStore {
    async fn give_up(
        &self,
        transaction: Transaction<'_, Postgres>,
        because: Transacted,
    ) -> Result<Transacted, StoreError> {
        self.roll_back(transaction).await?;
        Ok(because)
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

pub(in crate::store) async fn run(work: &mut dyn UserWork, connection: &mut PgConnection) -> TransactionEnd {
    let connection: &mut (dyn Any + Send) = connection;
    work.run(connection).await
}

/// Ends a transaction that leaves no record.
pub(in crate::store) async fn close(
    transaction: Transaction<'_, Postgres>,
    commit: bool,
) -> Result<Transacted, StoreError> {
    if commit {
        transaction.commit().await?;
        return Ok(Transacted::Committed);
    }
    transaction.rollback().await?;
    Ok(Transacted::Undone)
}
