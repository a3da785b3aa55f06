//! Claims in SQLite, from queues without limits over the fleet and without partition keys. Also returning claims, and making DELAYED
//! workflows ENQUEUED.

use sqlx::Row;

use crate::store::columns::{CLAIM_ORDER, LimitsRow, RunColumns, limits_of, select};
use crate::store::decode::decode;
use crate::store::decode_queues::runs;
use crate::store::rows_by_kind::{PROMOTED_AT_ONCE, add_saturating, numbers};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::dialect::{FENCE_HOLDS, is_known, list};
use crate::store::{ClaimRequest, Claimed, Fence, Promoted, StoreError};
use crate::types::keys::WorkflowKey;
use crate::types::time::Timestamp;

/// The input of a row of `durable.workflows` that is updated.
pub(super) const INPUT: &str =
    "coalesce(input, (select i.input from durable.inputs i where i.workflow = durable.workflows.key))";

/// What a claim returns of a workflow.
pub(super) fn claimed_columns() -> String {
    select("durable.workflows", &[RunColumns::COLUMNS, CLAIM_ORDER].concat(), &[("input", INPUT)])
}

/// What a claim does. $1 the executor; $3 now.
pub(super) fn set_claimed() -> String {
    format!(
        "status = 'PENDING', executor = $1, attempt = attempt + 1, started_at = $3, deadline = coalesce(deadline, {})",
        add_saturating("$3", "timeout")
    )
}

/// How many run of the queue $4: a count in an index that holds nothing else.
pub(super) const RUNNING: &str =
    "(select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $4)";

/// Whether a workflow with a partition key is ENQUEUED: a lookup behind those without one.
const KEYED: &str = "exists (select 1 from durable.workflows h indexed by durable_workflows_partitions
      where h.status = 'ENQUEUED' and h.queue = $4 and h.partition_key > '')";

/// Whether something is ENQUEUED that the caller can run: a lookup at the head of the queue.
pub(super) fn waits() -> String {
    format!(
        "exists (select 1 from durable.workflows h indexed by durable_workflows_enqueued
      where h.status = 'ENQUEUED' and h.queue = $4 and {})",
        is_known("h", 5)
    )
}

sql_statements! {
    /// $4 queue; $5 known names. It is sent on a connection that only reads, so that a claim that finds
    /// nothing takes no lock.
    look = format!(
        "select {}, coalesce({LIMITED}, 0) as limited, {KEYED} as keyed,
                not coalesce(q.paused, 0) and {waits} and coalesce({RUNNING} < q.concurrency, 1) as ready
           from (select 1) left join durable.queues q on q.name = $4",
        limits_of("q"),
        waits = waits()
    );
    /// $1, $2 fence; $3 now; $4 queue; $5 known names; $6 how many at most.
    claim = format!(
        "update durable.workflows set {}
          where key in (
                select w.key from durable.workflows w indexed by durable_workflows_enqueued
                 where w.status = 'ENQUEUED' and w.queue = $4 and {known}
                   and w.partition_key = '' and {FENCE_HOLDS}
                   and not exists (select 1 from durable.queues q where q.name = $4 and ({LIMITED} or q.paused))
                 order by w.priority, w.created_at, w.key limit $6)
         returning {}",
        set_claimed(),
        claimed_columns(),
        known = is_known("w", 5)
    );
    /// $1, $2 fence; $3 keys. The starts are uncounted before the rows forget when they began.
    uncount = uncounting_starts("w.key in (select value from json_each($3))");
    /// The same. A deadline that was set by the claim is removed.
    return_claims = returning_claims("w.key in (select value from json_each($3))");
    /// $1, $2 fence; $3 keys to keep; $4 queue.
    uncount_unknown = uncounting_starts("w.queue = $4 and w.key not in (select value from json_each($3))");
    /// The same.
    return_unknown = returning_claims("w.queue = $4 and w.key not in (select value from json_each($3))");
    next_due = "select min(due_at) as next_due from durable.workflows where status = 'DELAYED'";
    /// $1 now; $2 how many at once.
    promote =
        "update durable.workflows set status = 'ENQUEUED'
          where key in (select key from durable.workflows indexed by durable_workflows_delayed
                         where status = 'DELAYED' and due_at <= $1 order by due_at limit $2)
         returning queue";
    /// $1 names. A lookup at the head of each queue.
    with_work =
        "select it.value as name from json_each($1) it
          where exists (select 1 from durable.workflows h indexed by durable_workflows_enqueued
                         where h.status = 'ENQUEUED' and h.queue = it.value)";
}

/// Whether a queue `q` has limits over the fleet.
const LIMITED: &str = "(q.concurrency is not null or q.rate_starts is not null)";

fn claimed(which: &str) -> String {
    format!("w.status = 'PENDING' and w.executor = $1 and w.queue is not null and {which} and {FENCE_HOLDS}")
}

fn uncounting_starts(which: &str) -> String {
    format!(
        "delete from durable.queue_starts
          where (queue, partition_key, started_at, workflow) in (
                select w.queue, w.partition_key, w.started_at, w.key from durable.workflows w where {})",
        claimed(which)
    )
}

fn returning_claims(which: &str) -> String {
    format!(
        "update durable.workflows as w
            set status = 'ENQUEUED', executor = null, attempt = max(attempt - 1, 0), started_at = null,
                deadline = case when deadline = {} then null else deadline end
          where {}",
        add_saturating("started_at", "timeout"),
        claimed(which)
    )
}

impl SqliteStore {
    pub(super) async fn claim_for(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let query = self.query(&self.sql.claim.look).bind(None::<i64>).bind(None::<i64>).bind(None::<i64>);
        let query = query.bind(&request.queue).bind(list(&request.known));
        let row = query.fetch_one(&mut *self.reading().await?).await?;
        if !row.try_get::<bool, _>("ready")? {
            return Ok(Claimed::of(&decode::<_, LimitsRow, _>(&row)?));
        }
        let keyed = row.try_get("keyed")?;
        if keyed || row.try_get("limited")? {
            return self.claim_limited(request, keyed).await;
        }
        let mut writer = self.writing().await?;
        let query = self
            .fenced(&self.sql.claim.claim, request.fence)
            .bind(self.clock.now())
            .bind(&request.queue)
            .bind(list(&request.known));
        let runs = runs(&query.bind(i64::from(request.limit)).fetch_all(&mut *writer).await?)?;
        self.counter.committed(runs.len() as u64);
        Ok(Claimed { runs, ..Claimed::of(&decode::<_, LimitsRow, _>(&row)?) })
    }

    pub(super) async fn return_claimed(&self, fence: Fence, keys: &[WorkflowKey]) -> Result<(), StoreError> {
        let mut writer = self.writing().await?;
        let mut transaction = self.begin(&mut writer).await?;
        for text in [&self.sql.claim.uncount, &self.sql.claim.return_claims] {
            self.fenced(text, fence).bind(list(&numbers(keys))).execute(&mut *transaction).await?;
        }
        self.end(transaction, keys.len() as u64).await?;
        Ok(())
    }

    /// A claim that still runs has waited for the same write lock.
    pub(super) async fn return_unknown(
        &self,
        fence: Fence,
        queue: &str,
        known: &[WorkflowKey],
    ) -> Result<u64, StoreError> {
        let mut writer = self.writing().await?;
        let mut transaction = self.begin(&mut writer).await?;
        let mut rows = 0;
        for text in [&self.sql.claim.uncount_unknown, &self.sql.claim.return_unknown] {
            let query = self.fenced(text, fence).bind(list(&numbers(known))).bind(queue);
            rows = query.execute(&mut *transaction).await?.rows_affected();
        }
        self.end(transaction, rows).await?;
        Ok(rows)
    }

    /// It reads before it writes, so that other writers need not wait when nothing is due.
    pub(super) async fn promote_due(&self) -> Result<Promoted, StoreError> {
        let sql = &self.sql.claim;
        let now = self.clock.now();
        let next_due = self.query(&sql.next_due).fetch_one(&mut *self.reading().await?).await?;
        let next_due: Option<Timestamp> = next_due.try_get("next_due")?;
        if next_due.is_none_or(|it| it > now) {
            return Ok(Promoted { now, queues: Vec::new(), next_due });
        }
        let mut writer = self.writing().await?;
        let rows = self.query(&sql.promote).bind(now).bind(PROMOTED_AT_ONCE).fetch_all(&mut *writer).await?;
        self.counter.committed(rows.len() as u64);
        let queues: Result<Vec<String>, sqlx::Error> = rows.iter().map(|row| row.try_get("queue")).collect();
        let mut queues = queues?;
        queues.sort_unstable();
        queues.dedup();
        let next_due = self.query(&sql.next_due).fetch_one(&mut *writer).await?.try_get("next_due")?;
        Ok(Promoted { now, queues, next_due })
    }
}
