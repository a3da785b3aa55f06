//! The user's SQL in SQLite, and the records in the same commit.

use std::any::Any;

use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::store::sqlite::SqliteStore;
use crate::store::store_error::is_clash;
use crate::store::{
    StoreError, StoreFuture, Transact, Transacted, TransactionConnection, TransactionEnd, TransactionStart, UserWork,
};

impl Transact for SqliteStore {
    fn connection_type(&self) -> &'static str {
        SqliteConnection::NAME
    }

    /// A transaction holds the one connection that writes while it runs: SQLite has one writer at a time,
    /// and waiting for the connection is fairer than waiting for its lock.
    fn transact<'a>(&'a self, _opening: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            let mut writer = self.writing().await?;
            let mut transaction = self.begin(&mut writer).await?;
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

impl SqliteStore {
    async fn give_up(
        &self,
        transaction: Transaction<'_, Sqlite>,
        because: Transacted,
    ) -> Result<Transacted, StoreError> {
        self.roll_back(transaction).await?;
        Ok(because)
    }
}

pub(in crate::store) async fn run(work: &mut dyn UserWork, connection: &mut SqliteConnection) -> TransactionEnd {
    let connection: &mut (dyn Any + Send) = connection;
    work.run(connection).await
}

/// Ends a transaction that leaves no record.
pub(in crate::store) async fn close(
    transaction: Transaction<'_, Sqlite>,
    commit: bool,
) -> Result<Transacted, StoreError> {
    if commit {
        transaction.commit().await?;
        return Ok(Transacted::Committed);
    }
    transaction.rollback().await?;
    Ok(Transacted::Undone)
}
