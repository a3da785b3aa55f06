//! Cancelling workflows in Postgres.

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_messaging::FamilyRow;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::{CLOCK, planned_each_time};
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::sql_statements;
use crate::store::{CancelledWorkflows, Control, StoreError, StoreErrorKind, StoreFuture};

/// How often a cancellation is tried that takes locks in another order than other writers do.
const TRIES: usize = 5;

sql_statements! {
    /// $1 id, $2 reason, $3 whether with all descendants. The lock waits for an end that is being written,
    /// and then sees it. Descendants of workflows that have ended are included; the offset keeps the
    /// recursion on the index of parents, one lookup for each workflow of the family.
    cancel = format!(
        "with recursive family (key) as (
             select key from durable.workflows where id = $1::text
             union
             select c.key from family f
              cross join lateral (
                    select w.key from durable.workflows w where w.parent = f.key and $3::boolean offset 0) c),
         before as materialized (
             select w.key, w.id, w.status, w.executor from durable.workflows w
              where w.key in (select key from family) and (w.status not in {TERMINAL} or w.id = $1::text)
              order by w.key for update),
         changed as (
             update durable.workflows w set status = 'CANCELLED', reason = $2::text, completed_at = c.now
               from before b, {CLOCK} c
              where w.key = b.key and b.status not in {TERMINAL}
             returning w.key)
         select b.id, b.status, b.executor, b.id = $1::text as asked, c.key is not null as stopped
           from before b left join changed c on c.key = b.key
          order by b.key"
    );
    /// Whether there is a table of this name, as SQL writes it. $1 the name.
    migrations_table = "select to_regclass($1)::oid::bigint";
}

impl Control for PostgresStore {
    fn cancel<'a>(
        &'a self,
        id: &'a str,
        reason: &'a str,
        children: bool,
    ) -> StoreFuture<'a, Option<CancelledWorkflows>> {
        Box::pin(async move {
            let mut left = TRIES;
            loop {
                left -= 1;
                match self.try_to_cancel(id, reason, children).await {
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
        id: &str,
        reason: &str,
        children: bool,
    ) -> Result<Option<CancelledWorkflows>, StoreError> {
        let query = self.query(&self.sql.control.cancel).bind(id).bind(reason).bind(children);
        let query = planned_each_time(query);
        let (mut before, mut all) = (None, Vec::new());
        for row in &query.fetch_all(&mut *self.writing().await?).await? {
            let (status, it) = decode::<_, FamilyRow, _>(row)?;
            if row.try_get("asked")? {
                before = Some(status);
            }
            if row.try_get("stopped")? {
                all.push(it);
            }
        }
        self.counter.committed(all.len() as u64);
        Ok(before.map(|before| CancelledWorkflows { before, runs: all }))
    }
}
