//! Copies of all tables, and what the tables of the application hold: for tests that run something several times from
//! one state of the database and compare the outcomes.

use std::any::Any;

use crate::store::table_rows::{TableAnswer, TableCopies, TableRows, TableTask};
use crate::store::{
    BoxFuture, Store, StoreError, StoreErrorKind, Transacted, TransactionEnd, TransactionStart, UserWork,
};

/// Copies all tables of the database: in Postgres those of the engine's schema and of the connections' current schema.
/// A copy replaces an earlier one.
///
/// # Errors
/// The database refuses it.
pub async fn copy_tables(store: &dyn Store, schema: &str) -> Result<TableCopies, StoreError> {
    match perform(store, schema, TableTask::Copy).await? {
        TableAnswer::Copies(copies) => Ok(copies),
        TableAnswer::Rows(_) | TableAnswer::Done => Err(unexpected()),
    }
}

/// Sets all tables back to their copies, and removes newer ones. The sequences of the application go on
/// `sequences_ahead` numbers later than they were, where the database has sequences.
///
/// # Errors
/// The database refuses it.
pub async fn restore_tables(
    store: &dyn Store,
    schema: &str,
    copies: &TableCopies,
    sequences_ahead: u32,
) -> Result<(), StoreError> {
    perform(store, schema, TableTask::Restore(copies, sequences_ahead)).await.map(drop)
}

/// Removes the copies.
///
/// # Errors
/// The database refuses it.
pub async fn forget_copies(store: &dyn Store, schema: &str, copies: &TableCopies) -> Result<(), StoreError> {
    perform(store, schema, TableTask::Forget(copies)).await.map(drop)
}

/// Everything in the tables of the application, by the name of the table.
///
/// # Errors
/// The database refuses it.
pub async fn read_application_tables(store: &dyn Store, schema: &str) -> Result<Vec<TableRows>, StoreError> {
    match perform(store, schema, TableTask::Read).await? {
        TableAnswer::Rows(rows) => Ok(rows),
        TableAnswer::Copies(_) | TableAnswer::Done => Err(unexpected()),
    }
}

fn unexpected() -> StoreError {
    StoreError::new(StoreErrorKind::Refused, "the connection is of no known database")
}

async fn perform(store: &dyn Store, schema: &str, task: TableTask<'_>) -> Result<TableAnswer, StoreError> {
    let mut work = TableWork { schema, task: &task, answer: None };
    let ended = store.transact(TransactionStart::default(), &mut work).await?;
    match (work.answer, ended) {
        (Some(Ok(answer)), Transacted::Committed) => Ok(answer),
        (Some(Err(error)), _) => Err(error.into()),
        _ => Err(unexpected()),
    }
}

/// Performs a task in a transaction.
struct TableWork<'a> {
    schema: &'a str,
    task: &'a TableTask<'a>,
    answer: Option<Result<TableAnswer, sqlx::Error>>,
}

impl UserWork for TableWork<'_> {
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> BoxFuture<'c, TransactionEnd> {
        Box::pin(async move {
            #[cfg(feature = "sqlite")]
            if let Some(connection) = connection.downcast_mut::<sqlx::SqliteConnection>() {
                self.answer = Some(super::sqlite::table_tasks::perform(connection, self.task).await);
            }
            #[cfg(feature = "postgres")]
            if let Some(connection) = connection.downcast_mut::<sqlx::PgConnection>() {
                self.answer = Some(super::postgres::table_tasks::perform(connection, self.schema, self.task).await);
            }
            if matches!(self.answer, Some(Ok(_))) { TransactionEnd::Commit } else { TransactionEnd::Undo }
        })
    }
}
