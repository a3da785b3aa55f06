//! Statements and transactions, and how they are counted; and the end of a user's transaction.

use std::any::Any;
use std::sync::Arc;

use super::dialect::{Connection, Query, StoreTransaction};
use super::{SqlStore, prepared};
use crate::store::store_error::is_clash;
use crate::store::{Fence, NewRecord, StoreError, Transacted, TransactionEnd, UserWork};

impl SqlStore {
    /// A statement about to be sent. All statements of this store come from here, so all are counted.
    pub(super) fn query(&self, text: &Arc<str>) -> Query {
        self.counter.statement();
        self.as_sent(prepared(text))
    }

    /// Sends a writing statement that is a transaction of its own, and returns how many rows it wrote.
    pub(super) async fn write(&self, connection: &mut Connection, query: Query) -> Result<u64, sqlx::Error> {
        let rows = query.execute(connection).await?.rows_affected();
        self.counter.committed(rows);
        Ok(rows)
    }

    /// Commits a transaction that wrote `rows`.
    pub(super) async fn end(&self, transaction: StoreTransaction<'_>, rows: u64) -> Result<(), sqlx::Error> {
        self.counter.statement();
        transaction.commit().await?;
        self.counter.committed(rows);
        Ok(())
    }

    /// Rolls a transaction back.
    pub(super) async fn roll_back(&self, transaction: StoreTransaction<'_>) -> Result<(), sqlx::Error> {
        self.counter.statement();
        transaction.rollback().await
    }

    /// Ends a user's transaction as its function wants it, with its records.
    pub(super) async fn end_as_wanted(
        &self,
        mut transaction: StoreTransaction<'_>,
        end: TransactionEnd,
    ) -> Result<Transacted, StoreError> {
        let TransactionEnd::Record { fence, records, .. } = end else {
            self.counter.statement();
            return close(transaction, matches!(end, TransactionEnd::Commit)).await;
        };
        let refused = self.write_records(&mut transaction, fence, &records).await?;
        if let Some(refused) = refused {
            self.roll_back(transaction).await?;
            return Ok(refused);
        }
        self.end(transaction, records.len() as u64).await?;
        Ok(Transacted::Committed)
    }

    /// Writes the records of a user's transaction, or returns why they cannot be written.
    async fn write_records(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        records: &[NewRecord],
    ) -> Result<Option<Transacted>, StoreError> {
        for record in records {
            match self.record_statement(fence, record).execute(&mut *transaction).await {
                Ok(done) if done.rows_affected() > 0 => {}
                Ok(_) => return Ok(Some(Transacted::Fenced)),
                Err(error) if is_clash(&error) => return Ok(Some(Transacted::Superseded)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

/// Runs the user's function on a connection.
pub(in crate::store) async fn run(work: &mut dyn UserWork, connection: &mut Connection) -> TransactionEnd {
    let connection: &mut (dyn Any + Send) = connection;
    work.run(connection).await
}

/// Ends a transaction that leaves no record.
pub(in crate::store) async fn close(transaction: StoreTransaction<'_>, commit: bool) -> Result<Transacted, StoreError> {
    if commit {
        transaction.commit().await?;
        return Ok(Transacted::Committed);
    }
    transaction.rollback().await?;
    Ok(Transacted::Undone)
}
