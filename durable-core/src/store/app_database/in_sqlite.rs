//! Transactions in a SQLite database of the application's own.

use sqlx::{Row, SqlitePool};

use crate::store::rows_by_kind::{error_of, output_of};
use crate::store::sqlite::transactions::{close, run};
use crate::store::store_error::is_clash;
use crate::store::{
    Committed, Database, NewRecord, StoreFuture, Transact, Transacted, TransactionConnection, TransactionEnd,
    TransactionStart, UserWork,
};
use crate::types::payload::Outcome;
use crate::types::position::Position;
use crate::types::time::Timestamp;

const PREPARE: &str = "create table if not exists durable_transaction_records (
    workflow     text    not null,
    branch       text    not null,
    position     integer not null,
    name         text    not null,
    output       text,
    error        text,
    completed_at integer not null,
    primary key (workflow, branch, position)
) strict, without rowid";
const RECORD: &str =
    "insert into durable_transaction_records (workflow, branch, position, name, output, error, completed_at)
    values (?, ?, ?, ?, ?, ?, ?)";
const COMMITTED: &str = "select name, output, error from durable_transaction_records
    where workflow = ? and branch = ? and position = ?";

/// A SQLite database of the application's own.
#[derive(Debug)]
pub(super) struct AppDatabase {
    pool: SqlitePool,
}

impl AppDatabase {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }
}

impl Transact for AppDatabase {
    fn connection_type(&self) -> &'static str {
        sqlx::SqliteConnection::NAME
    }

    fn transact<'a>(&'a self, _start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            let mut transaction = self.pool.begin_with("begin immediate").await?;
            let end = run(work, &mut transaction).await;
            let TransactionEnd::Record { workflow, records, .. } = end else {
                return close(transaction, matches!(end, TransactionEnd::Commit)).await;
            };
            for record in &records {
                match insert(&workflow, record).execute(&mut *transaction).await {
                    Ok(_) => {}
                    Err(error) if is_clash(&error) => {
                        transaction.rollback().await?;
                        return Ok(Transacted::Superseded);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            close(transaction, true).await
        })
    }
}

fn insert<'q>(
    workflow: &'q str,
    record: &'q NewRecord,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    let query = sqlx::query(RECORD).bind(workflow).bind(&*record.position.branch).bind(record.position.number);
    query
        .bind(&record.name)
        .bind(output_of(record.outcome.as_ref()))
        .bind(error_of(record.outcome.as_ref()))
        .bind(Timestamp::local_now())
}

impl Database for AppDatabase {
    fn prepare(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            sqlx::query(PREPARE).execute(&self.pool).await?;
            Ok(())
        })
    }

    fn committed<'a>(&'a self, workflow: &'a str, position: &'a Position) -> StoreFuture<'a, Option<Committed>> {
        Box::pin(async move {
            let query = sqlx::query(COMMITTED).bind(workflow).bind(&*position.branch).bind(position.number);
            let Some(row) = query.fetch_optional(&self.pool).await? else { return Ok(None) };
            let (output, error): (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
            let outcome = match (output, error) {
                (_, Some(error)) => Outcome::Error(error),
                (output, None) => Outcome::Output(output.unwrap_or_else(|| "null".to_owned())),
            };
            Ok(Some(Committed { name: row.try_get(0)?, outcome }))
        })
    }
}
