//! The user's SQL in SQLite, and the records in the same commit.

use std::time::Duration;

use sqlx::SqliteConnection;

use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::transactions::run;
use crate::store::{
    StoreError, StoreErrorKind, StoreFuture, Transact, Transacted, TransactionConnection, TransactionStart, UserWork,
};

/// A transaction ends by itself if it needs no longer than this after a caller began to wait for it.
const GRACE: Duration = Duration::from_millis(100);

impl Transact for SqliteStore {
    fn connection_type(&self) -> &'static str {
        SqliteConnection::NAME
    }

    /// A transaction holds the one connection that writes while it runs: SQLite has one writer at a time,
    /// and waiting for the connection is fairer than waiting for its lock.
    fn transact<'a>(&'a self, start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            let mut writer = self.writing().await?;
            let mut transaction = self.begin(&mut writer).await?;
            let give_way = async {
                self.writer.wait_for_urgent_caller().await;
                tokio::time::sleep(GRACE).await;
            };
            let end = tokio::select! {
                biased;
                end = run(work, &mut transaction) => Some(end),
                () = give_way, if start.gives_way => None,
            };
            let Some(end) = end else {
                self.roll_back(transaction).await?;
                return Err(StoreError::new(StoreErrorKind::Contended, "the transaction gave way to a cancellation"));
            };
            let transacted = self.end_as_wanted(transaction, end).await?;
            self.file.check()?;
            Ok(transacted)
        })
    }
}
