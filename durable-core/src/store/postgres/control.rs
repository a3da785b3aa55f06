//! Cancelling workflows in Postgres.

use sqlx::{PgConnection, Row};

use crate::store::decode::decode;
use crate::store::decode_messaging::FamilyRow;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::{CLOCK, planned_each_time};
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::sql_statements;
use crate::store::{CancelledWorkflows, StoreError, StoreErrorKind, StoreFuture};

/// How often a cancellation is tried that takes locks in another order than other writers do.
const TRIES: usize = 5;

sql_statements! {
    /// $1 ids, $2 keys of parents, $3 reason: cancels the workflows with these ids and the children of these
    /// parents. The lock waits for an end that is being written, and for children that are being started,
    /// and then sees the end. The children that were started are seen by the next statement. The offset keeps
    /// the planner on the index of parents, one lookup for each.
    cancel = format!(
        "with asked as (
             select w.key from durable.workflows w where w.id = any($1::text[])
             union all
             select c.key from unnest($2::bigint[]) as parents (key)
              cross join lateral (
                    select w.key from durable.workflows w where w.parent = parents.key offset 0) c),
         before as materialized (
             select w.key, w.id, w.name, w.queue, w.status, w.executor from durable.workflows w
              where w.key in (select key from asked) order by w.key for update),
         changed as (
             update durable.workflows w set status = 'CANCELLED', reason = $3::text, completed_at = c.now
               from before b, {CLOCK} c
              where w.key = b.key and b.status not in {TERMINAL}
             returning w.key)
         select b.key, b.id, b.name, b.queue, b.status, b.executor, c.key is not null as stopped
           from before b left join changed c on c.key = b.key
          order by b.key"
    );
    /// Whether there is a table of this name, as SQL writes it. $1 the name.
    migrations_table = "select to_regclass($1)::oid::bigint";
}

impl PostgresStore {
    pub(super) fn cancel_families<'a>(
        &'a self,
        ids: &'a [String],
        reason: &'a str,
        children: bool,
    ) -> StoreFuture<'a, CancelledWorkflows> {
        Box::pin(async move {
            let mut left = TRIES;
            loop {
                left -= 1;
                match self.call(self.try_to_cancel(ids, reason, children)).await {
                    Err(error) if error.kind == StoreErrorKind::Contended && left > 0 => {}
                    other => return other,
                }
            }
        })
    }
}

impl PostgresStore {
    async fn try_to_cancel(
        &self,
        ids: &[String],
        reason: &str,
        children: bool,
    ) -> Result<CancelledWorkflows, StoreError> {
        let mut connection = self.writing().await?;
        let mut cancelled = CancelledWorkflows::default();
        if !children {
            self.cancel_generation(&mut connection, ids, &[], reason, &mut cancelled).await?;
            self.counter.committed(cancelled.runs.len() as u64);
            return Ok(cancelled);
        }
        let mut transaction = self.begin(&mut connection).await?;
        let mut parents = self.cancel_generation(&mut transaction, ids, &[], reason, &mut cancelled).await?;
        // Each generation has a statement of its own, so it sees all children of the generation before,
        // which is locked and starts no more of them.
        while !parents.is_empty() {
            parents = self.cancel_generation(&mut transaction, &[], &parents, reason, &mut cancelled).await?;
        }
        self.end(transaction, cancelled.runs.len() as u64).await?;
        Ok(cancelled)
    }

    /// Cancels the workflows with these ids, or the children of these parents, and returns their keys.
    async fn cancel_generation(
        &self,
        connection: &mut PgConnection,
        ids: &[String],
        parents: &[i64],
        reason: &str,
        cancelled: &mut CancelledWorkflows,
    ) -> Result<Vec<i64>, StoreError> {
        let query = self.query(&self.sql.control.cancel).bind(ids).bind(parents).bind(reason);
        let rows = planned_each_time(query).fetch_all(connection).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let (status, run) = decode::<_, FamilyRow, _>(row)?;
            keys.push(row.try_get("key")?);
            if !ids.is_empty() {
                cancelled.before.insert(run.id.clone(), status);
            }
            if row.try_get("stopped")? {
                cancelled.runs.push(run);
            }
        }
        Ok(keys)
    }
}
