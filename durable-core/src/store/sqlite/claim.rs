//! Claims in SQLite, from queues without limits over the fleet and without partition keys. Also returning claims, and making DELAYED
//! workflows ENQUEUED.

use sqlx::Row;

use crate::store::columns::{CLAIM_ORDER, LimitsRow, RunColumns, limits_of, select};
use crate::store::decode::decode;
use crate::store::decode_queues::runs;
use crate::store::rows_by_kind::{PROMOTED_AT_ONCE, add_saturating, numbers};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::dialect::{FENCE_HOLDS, is_known, is_known_kind, list, name_and_version};
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
      where h.status = 'ENQUEUED' and h.queue = $4 and h.partition_key <> '')";

/// How many workflows at the head of a queue are looked at one by one. What the caller does not know and
/// is behind these is passed over by [`kinds`]. It is more than one claim takes.
const LOOKED_AT: u32 = 300;

/// Whether there is a workflow behind those that are looked at.
pub(super) fn goes_on() -> String {
    format!(
        "exists (select 1 from durable.workflows h indexed by durable_workflows_enqueued
      where h.status = 'ENQUEUED' and h.queue = $4 order by h.priority, h.created_at, h.key limit 1 offset {LOOKED_AT})"
    )
}

/// Whether something is ENQUEUED that the caller can run. It may say so wrongly for workflows with a
/// partition key behind the head of the queue.
pub(super) fn waits() -> String {
    format!(
        "(exists (
          select 1 from (
                 select h.name, h.version from durable.workflows h indexed by durable_workflows_enqueued
                  where h.status = 'ENQUEUED' and h.queue = $4
                  order by h.priority, h.created_at, h.key limit {LOOKED_AT}) h
           where {})
       or {} and ({KEYED} or exists (with recursive {} select 1 from kinds where {})))",
        is_known("h", 5),
        goes_on(),
        kinds(),
        is_known_kind("kinds.kind", 5)
    )
}

/// The names, with the version, of the ENQUEUED workflows without a partition key, as a table `kinds (kind)` for a
/// `with recursive`. It hops from one to the next, so it costs one lookup for each and not one for each workflow.
pub(super) fn kinds() -> String {
    let kind = name_and_version("w");
    let waiting = "durable.workflows w indexed by durable_workflows_keyless
                 where w.status = 'ENQUEUED' and w.queue = $4 and w.partition_key = ''";
    format!(
        "kinds (kind) as (
             select (select {kind} from {waiting} order by {kind} limit 1)
             union all
             select (select {kind} from {waiting} and {kind} > kinds.kind order by {kind} limit 1)
               from kinds where kinds.kind is not null)"
    )
}

/// The first workflows `i` without a partition key of each of the `kinds` that the caller knows: `most` of each, of
/// which the caller takes the first ones.
pub(super) fn of_known_kinds(most: &str) -> String {
    format!(
        "kinds cross join durable.workflows i on i.key in (
              select w.key from durable.workflows w indexed by durable_workflows_keyless
               where w.status = 'ENQUEUED' and w.queue = $4 and w.partition_key = '' and {kind} = kinds.kind
               order by w.priority, w.created_at, w.key limit {most})
          where {}
          order by i.priority, i.created_at, i.key limit {most}",
        is_known_kind("kinds.kind", 5),
        kind = name_and_version("w")
    )
}

/// The workflows `f` at the head of the queue without a partition key, in their order, of which the caller takes
/// those that it knows.
pub(super) fn at_the_head(condition: &str) -> String {
    format!(
        "(select w.key, w.name, w.version, w.partition_key from durable.workflows w indexed by durable_workflows_enqueued
           where w.status = 'ENQUEUED' and w.queue = $4 and w.partition_key = '' and {condition}
           order by w.priority, w.created_at, w.key limit {LOOKED_AT}) f"
    )
}

sql_statements! {
    /// $4 queue; $5 known names. It is sent on a connection that only reads, so that a claim that finds
    /// nothing takes no lock.
    look = format!(
        "select {}, coalesce({LIMITED}, 0) as limited, {KEYED} as keyed, {} as goes_on,
                not coalesce(q.paused, 0) and {waits} and coalesce({RUNNING} < q.concurrency, 1) as ready
           from (select 1) left join durable.queues q on q.name = $4",
        limits_of("q"),
        goes_on(),
        waits = waits()
    );
    /// $1, $2 fence; $3 now; $4 queue; $5 known names; $6 how many at most.
    claim = format!(
        "update durable.workflows set {}
          where key in (select f.key from {head} where {known} limit $6)
         returning {}",
        set_claimed(),
        claimed_columns(),
        head = at_the_head(&may_claim()),
        known = is_known("f", 5)
    );
    /// The same behind many workflows that the caller does not know: by what it knows.
    claim_by_kind = format!(
        "update durable.workflows set {}
          where {} and key in (with recursive {} select i.key from {})
         returning {}",
        set_claimed(),
        may_claim(),
        kinds(),
        of_known_kinds("$6"),
        claimed_columns()
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

/// A condition: the fence holds, and the queue is neither limited nor paused.
fn may_claim() -> String {
    format!(
        "{FENCE_HOLDS}
             and not exists (select 1 from durable.queues q where q.name = $4 and ({LIMITED} or q.paused))"
    )
}

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
            return self.claim_limited(request, keyed, row.try_get("goes_on")?).await;
        }
        let mut writer = self.writing().await?;
        let claiming = |text, most| {
            let query = self.fenced(text, request.fence).bind(self.clock.now()).bind(&request.queue);
            query.bind(list(&request.known)).bind(most)
        };
        let most = i64::from(request.limit);
        let mut all = runs(&claiming(&self.sql.claim.claim, most).fetch_all(&mut *writer).await?)?;
        self.counter.committed(all.len() as u64);
        let left = most.saturating_sub_unsigned(all.len() as u64);
        if left > 0 && row.try_get("goes_on")? {
            let query = claiming(&self.sql.claim.claim_by_kind, left);
            let behind = runs(&query.fetch_all(&mut *writer).await?)?;
            self.counter.committed(behind.len() as u64);
            all.extend(behind);
        }
        Ok(Claimed { runs: all, ..Claimed::of(&decode::<_, LimitsRow, _>(&row)?) })
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
