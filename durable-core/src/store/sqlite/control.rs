//! Cancelling workflows in SQLite.

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_messaging::FamilyRow;
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::dialect::list;
use crate::store::{CancelledWorkflows, StoreFuture};

sql_statements! {
    /// $1 ids; $2 whether with all descendants. Descendants of workflows that have ended are included.
    families = format!(
        "with recursive asked (key) as (
             select key from durable.workflows where id in (select value from json_each($1))),
         family (key) as (
             select key from asked
             union
             select w.key from family f join durable.workflows w on w.parent = f.key where $2)
         select w.key, w.id, w.name, w.queue, w.status, w.executor, w.key in (select key from asked) as asked
           from durable.workflows w
          where w.key in (select key from family)
            and (w.status not in {TERMINAL} or w.key in (select key from asked))
          order by w.key"
    );
    /// $1 keys, $2 reason, $3 now.
    cancel = format!(
        "update durable.workflows set status = 'CANCELLED', reason = $2, completed_at = $3
          where key in (select value from json_each($1)) and status not in {TERMINAL}"
    );
    /// Whether there is a table of this name. $1 the name.
    table = "select 1 from sqlite_master where type = 'table' and name = $1";
    /// All tables of durable.
    tables = r"select name from sqlite_master where type = 'table' and name like 'durable\_%' escape '\'";
}

impl SqliteStore {
    pub(super) fn cancel_families<'a>(
        &'a self,
        ids: &'a [String],
        reason: &'a str,
        children: bool,
    ) -> StoreFuture<'a, CancelledWorkflows> {
        self.call(async move {
            let mut writer = self.writing_urgently().await?;
            let mut transaction = self.begin(&mut writer).await?;
            let query = self.query(&self.sql.control.families).bind(list(ids)).bind(children);
            let (mut cancelled, mut keys) = (CancelledWorkflows::default(), Vec::new());
            for row in &query.fetch_all(&mut *transaction).await? {
                let (status, it) = decode::<_, FamilyRow, _>(row)?;
                if row.try_get("asked")? {
                    cancelled.before.insert(it.id.clone(), status);
                }
                if !status.is_terminal() {
                    keys.push(row.try_get::<i64, _>("key")?);
                    cancelled.runs.push(it);
                }
            }
            if keys.is_empty() {
                self.roll_back(transaction).await?;
                return Ok(cancelled);
            }
            let query = self.query(&self.sql.control.cancel).bind(list(&keys)).bind(reason).bind(self.clock.now());
            let rows = query.execute(&mut *transaction).await?.rows_affected();
            self.end(transaction, rows).await?;
            Ok(cancelled)
        })
    }
}
