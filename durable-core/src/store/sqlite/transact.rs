//! The user's SQL in SQLite, and the records in the same commit.

use sqlx::SqliteConnection;

use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::transactions::run;
use crate::store::{StoreFuture, Transact, Transacted, TransactionConnection, TransactionStart, UserWork};

impl Transact for SqliteStore {
    fn connection_type(&self) -> &'static str {
        SqliteConnection::NAME
    }

    /// A transaction holds the one connection that writes while it runs: SQLite has one writer at a time,
    /// and waiting for the connection is fairer than waiting for its lock.
    fn transact<'a>(&'a self, _start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            let mut writer = self.writing().await?;
            let mut transaction = self.begin(&mut writer).await?;
            let end = run(work, &mut transaction).await;
            let transacted = self.end_as_wanted(transaction, end).await?;
            self.file.check()?;
            Ok(transacted)
        })
    }
}
