//! What people do to workflows in SQLite, and what tests do to the tables.

use std::sync::Arc;

use sqlx::Row;

use super::super::decode::status;
use super::super::texts::texts;
use super::super::{Control, StoreFuture};
use super::SqliteStore;
use crate::words::id::local_micros;
use crate::words::status::Status;

texts! {
    status = "select status from durable_workflows where id = ?1";
    /// ?1 id, ?2 reason, ?3 now.
    cancel =
        "update durable_workflows set status = 'CANCELLED', reason = ?2, completed_at = ?3
          where id = ?1 and status not in ('SUCCESS', 'ERROR', 'CANCELLED')";
    migrations_table = "select 1 from sqlite_master where type = 'table' and name = 'durable_migrations'";
    migrations = "select version, description, checksum from durable_migrations order by version";
    drop_workflows = "drop table if exists durable_workflows";
    drop_inputs = "drop table if exists durable_inputs";
    drop_steps = "drop table if exists durable_steps";
    drop_executors = "drop table if exists durable_executors";
    drop_migrations = "drop table if exists durable_migrations";
}

impl Texts {
    pub(super) fn drops(&self) -> [&Arc<str>; 5] {
        [&self.drop_workflows, &self.drop_inputs, &self.drop_steps, &self.drop_executors, &self.drop_migrations]
    }
}

impl Control for SqliteStore {
    fn cancel<'a>(&'a self, id: &'a str, reason: &'a str) -> StoreFuture<'a, Option<Status>> {
        Box::pin(async move {
            let mut turn = self.work().await?;
            let mut transaction = self.begin(&mut turn).await?;
            let row = self.query(&self.texts.control.status).bind(id).fetch_optional(&mut *transaction).await?;
            let Some(row) = row else {
                self.undo(transaction).await?;
                return Ok(None);
            };
            let before = status(row.try_get(0)?)?;
            let query = self.query(&self.texts.control.cancel).bind(id).bind(reason).bind(local_micros());
            let rows = query.execute(&mut *transaction).await?.rows_affected();
            self.end(transaction, rows).await?;
            Ok(Some(before))
        })
    }
}
