//! What people do to workflows in Postgres.

use sqlx::Row;

use super::super::decode::status;
use super::super::texts::texts;
use super::super::{Control, StoreFuture};
use super::PostgresStore;
use super::text::CLOCK;
use crate::words::status::Status;

texts! {
    /// $1 id, $2 reason. The lock waits for an end that is being written, and then sees it.
    cancel = format!(
        "with before as (select key, status from durable.workflows where id = $1::text for update),
         changed as (
             update durable.workflows w set status = 'CANCELLED', reason = $2::text, completed_at = c.now
               from before b, {CLOCK} c
              where w.key = b.key and b.status not in ('SUCCESS', 'ERROR', 'CANCELLED')
             returning 1)
         select status, (select count(*) from changed) as changed from before"
    );
    /// $1 the table as SQL writes it.
    migrations_table = "select to_regclass($1)::oid::bigint";
    migrations = "select version, description, checksum from durable._migrations order by version";
}

impl Control for PostgresStore {
    fn cancel<'a>(&'a self, id: &'a str, reason: &'a str) -> StoreFuture<'a, Option<Status>> {
        Box::pin(async move {
            let query = self.query(&self.texts.control.cancel).bind(id).bind(reason);
            let Some(row) = query.fetch_optional(self.work()?).await? else { return Ok(None) };
            self.meter.committed(row.try_get::<i64, _>("changed")?.unsigned_abs());
            Ok(Some(status(row.try_get("status")?)?))
        })
    }
}
