//! Cancelling workflows in Postgres.

use sqlx::{PgConnection, Row};

use crate::store::decode::decode;
use crate::store::decode_messaging::FamilyRow;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::{CLOCK, planned_each_time};
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::sql_statements;
use crate::store::{CancelledRun, CancelledWorkflows, StoreError, StoreErrorKind, StoreFuture};
use crate::types::status::Status;

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
    pub(super) fn cancel_family<'a>(
        &'a self,
        id: &'a str,
        reason: &'a str,
        children: bool,
    ) -> StoreFuture<'a, Option<CancelledWorkflows>> {
        Box::pin(async move {
            let mut left = TRIES;
            loop {
                left -= 1;
                match self.call(self.try_to_cancel(id, reason, children)).await {
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
        let mut connection = self.writing().await?;
        if !children {
            let mut cancelled = Cancellation::of(id);
            self.cancel_generation(&mut connection, &mut cancelled, reason).await?;
            self.counter.committed(cancelled.runs.len() as u64);
            return Ok(cancelled.into_result());
        }
        let mut transaction = self.begin(&mut connection).await?;
        let mut cancelled = Cancellation::of(id);
        // Each generation has a statement of its own, so it sees all children of the generation before,
        // which is locked and starts no more of them.
        while !cancelled.ids.is_empty() || !cancelled.parents.is_empty() {
            self.cancel_generation(&mut transaction, &mut cancelled, reason).await?;
        }
        self.end(transaction, cancelled.runs.len() as u64).await?;
        Ok(cancelled.into_result())
    }

    /// Cancels the workflows with these ids, or the children of these parents, which then are the parents.
    async fn cancel_generation(
        &self,
        connection: &mut PgConnection,
        cancelled: &mut Cancellation,
        reason: &str,
    ) -> Result<(), StoreError> {
        let query = self.query(&self.sql.control.cancel).bind(&cancelled.ids).bind(&cancelled.parents).bind(reason);
        let rows = planned_each_time(query).fetch_all(connection).await?;
        (cancelled.ids, cancelled.parents) = (Vec::new(), Vec::with_capacity(rows.len()));
        for row in &rows {
            let (status, run) = decode::<_, FamilyRow, _>(row)?;
            cancelled.before.get_or_insert(status); // the first row is that of the workflow itself
            cancelled.parents.push(row.try_get("key")?);
            if row.try_get("stopped")? {
                cancelled.runs.push(run);
            }
        }
        Ok(())
    }
}

/// How far a cancellation is.
struct Cancellation {
    /// The ids that come next.
    ids: Vec<String>,
    /// The keys of the parents whose children come next.
    parents: Vec<i64>,
    /// The status of the workflow itself before; `None` if there is no such workflow.
    before: Option<Status>,
    /// What was cancelled.
    runs: Vec<CancelledRun>,
}

impl Cancellation {
    fn of(id: &str) -> Self {
        Self { ids: vec![id.to_owned()], parents: Vec::new(), before: None, runs: Vec::new() }
    }

    fn into_result(self) -> Option<CancelledWorkflows> {
        let Self { before, runs, .. } = self;
        before.map(|before| CancelledWorkflows { before, runs })
    }
}
