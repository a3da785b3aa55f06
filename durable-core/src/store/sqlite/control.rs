//! What people do to workflows in SQLite, and what tests do to the tables.

use std::sync::Arc;

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_messaging::FamilyRow;
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::read::json;
use crate::store::{CancelledWorkflows, Control, StoreFuture};
use crate::types::id::local_micros;

texts! {
    /// ?1 id; ?2 whether with everything below. The walk goes on below those that have come to an end.
    family = format!(
        "with recursive family (key) as (
             select key from durable_workflows where id = ?1
             union
             select w.key from family f join durable_workflows w on w.parent = f.key where ?2)
         select w.key, w.id, w.status, w.executor, w.id = ?1 as asked
           from durable_workflows w
          where w.key in (select key from family) and (w.status not in {TERMINAL} or w.id = ?1)
          order by w.key"
    );
    /// ?1 keys, ?2 reason, ?3 now.
    cancel = format!(
        "update durable_workflows set status = 'CANCELLED', reason = ?2, completed_at = ?3
          where key in (select value from json_each(?1)) and status not in {TERMINAL}"
    );
    migrations_table = "select 1 from sqlite_master where type = 'table' and name = 'durable_migrations'";
    migrations = "select version, description, checksum from durable_migrations order by version";
    drop_workflows = "drop table if exists durable_workflows";
    drop_inputs = "drop table if exists durable_inputs";
    drop_steps = "drop table if exists durable_steps";
    drop_messages = "drop table if exists durable_messages";
    drop_events = "drop table if exists durable_events";
    drop_streams = "drop table if exists durable_streams";
    drop_queues = "drop table if exists durable_queues";
    drop_queue_starts = "drop table if exists durable_queue_starts";
    drop_queue_partitions = "drop table if exists durable_queue_partitions";
    drop_executors = "drop table if exists durable_executors";
    drop_schedules = "drop table if exists durable_schedules";
    drop_migrations = "drop table if exists durable_migrations";
}

impl Texts {
    pub(super) fn drops(&self) -> [&Arc<str>; 12] {
        [
            &self.drop_workflows,
            &self.drop_inputs,
            &self.drop_steps,
            &self.drop_messages,
            &self.drop_events,
            &self.drop_streams,
            &self.drop_queues,
            &self.drop_queue_starts,
            &self.drop_queue_partitions,
            &self.drop_executors,
            &self.drop_schedules,
            &self.drop_migrations,
        ]
    }
}

impl Control for SqliteStore {
    fn cancel<'a>(
        &'a self,
        id: &'a str,
        reason: &'a str,
        children: bool,
    ) -> StoreFuture<'a, Option<CancelledWorkflows>> {
        Box::pin(async move {
            let mut turn = self.work().await?;
            let mut transaction = self.begin(&mut turn).await?;
            let query = self.query(&self.texts.control.family).bind(id).bind(children);
            let (mut before, mut keys, mut stopped) = (None, Vec::new(), Vec::new());
            for row in &query.fetch_all(&mut *transaction).await? {
                let (status, it) = decode::<_, FamilyRow, _>(row)?;
                if row.try_get("asked")? {
                    before = Some(status);
                }
                if !status.is_terminal() {
                    keys.push(row.try_get::<i64, _>("key")?);
                    stopped.push(it);
                }
            }
            let Some(before) = before.filter(|_| !keys.is_empty()) else {
                self.undo(transaction).await?;
                return Ok(before.map(|before| CancelledWorkflows { before, runs: stopped }));
            };
            let query = self.query(&self.texts.control.cancel).bind(json(&keys)).bind(reason).bind(local_micros());
            let rows = query.execute(&mut *transaction).await?.rows_affected();
            self.end(transaction, rows).await?;
            Ok(Some(CancelledWorkflows { before, runs: stopped }))
        })
    }
}
