//! Transactions in a Postgres database of the application's own.

use std::time::Duration;

use sqlx::{PgPool, Row};

use crate::store::postgres::transact::AppConnection;
use crate::store::postgres::transactions::{close, run};
use crate::store::rows_by_kind::{error_of, output_of};
use crate::store::store_error::is_clash;
use crate::store::{
    Committed, Database, NewRecord, StoreError, StoreFuture, Transact, Transacted, TransactionConnection,
    TransactionEnd, TransactionStart, UserWork,
};
use crate::types::payload::Outcome;
use crate::types::position::Position;

const PREPARE: [&str; 2] = [
    "create schema if not exists durable",
    "create table if not exists durable.transaction_records (
        workflow     text    not null,
        branch       text    not null,
        position     integer not null,
        name         text    not null,
        output       text,
        error        text,
        completed_at bigint  not null,
        primary key (workflow, branch, position)
    )",
];
const RECORD: &str =
    "insert into durable.transaction_records (workflow, branch, position, name, output, error, completed_at)
    values ($1, $2, $3, $4, $5, $6, (extract(epoch from clock_timestamp()) * 1000000)::bigint)";
const COMMITTED: &str = "select name, output, error from durable.transaction_records
    where workflow = $1 and branch = $2 and position = $3";

/// A Postgres database of the application's own.
#[derive(Debug)]
pub(super) struct AppDatabase {
    pool: PgPool,
}

impl AppDatabase {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

impl Transact for AppDatabase {
    fn connection_type(&self) -> &'static str {
        sqlx::PgConnection::NAME
    }

    fn transact<'a>(&'a self, start: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            let mut connection = AppConnection::from(&self.pool).await?;
            let mut transaction = connection.begin(start).await?;
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
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    let query = sqlx::query(RECORD).bind(workflow).bind(&*record.position.branch).bind(record.position.number);
    query.bind(&record.name).bind(output_of(record.outcome.as_ref())).bind(error_of(record.outcome.as_ref()))
}

impl Database for AppDatabase {
    fn prepare(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            for statement in PREPARE {
                // Two processes may create the same table at once: `if not exists` does not keep the
                // second one from failing, and then the table is there.
                let mut left = 5;
                while let Err(error) = sqlx::query(statement).execute(&self.pool).await {
                    left -= 1;
                    if left == 0 || error.as_database_error().is_none() {
                        return Err(StoreError::from(error));
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
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
