//! Claims in Postgres, from queues without limits over the fleet and without partition keys: one statement
//! that waits for no other claim. Also returning claims, and making DELAYED workflows ENQUEUED.

use sqlx::Row;

use crate::store::columns::{CLAIM_ORDER, LimitsRow, RunColumns, limits_of, select};
use crate::store::decode::decode;
use crate::store::decode_queues::runs;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::{CLOCK, FENCE_HOLDS, is_known, is_known_kind, name_and_version};
use crate::store::rows_by_kind::{PROMOTED_AT_ONCE, add_saturating, numbers};
use crate::store::sql::sql_statements;
use crate::store::{ClaimRequest, Claimed, Fence, Promoted, StoreError};
use crate::types::keys::WorkflowKey;

/// What a claim returns of a workflow `w`.
pub(super) fn claimed_columns() -> String {
    let columns = [RunColumns::COLUMNS, CLAIM_ORDER, &["started_at"]].concat();
    select("w", &columns, &[])
}

/// What a claim does to a workflow `w`.
pub(super) fn set_claimed() -> String {
    format!(
        "status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, \
         deadline = coalesce(w.deadline, {})",
        add_saturating("c.now", "w.timeout")
    )
}

/// How many run: a count in an index that holds nothing else.
pub(super) const RUNNING: &str =
    "(select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text)";

/// Whether a workflow with a partition key is ENQUEUED: a lookup behind those without one.
const KEYED: &str = "(select h.partition_key from durable.workflows h
      where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key > ''
      order by h.queue, h.partition_key limit 1) is not null";

/// How many workflows at the head of a queue are looked at one by one. What the caller does not know and
/// is behind these is passed over by [`kinds`].
const LOOKED_AT: u32 = 64;

/// Whether something is ENQUEUED that the caller can run. It may say so wrongly for workflows with a
/// partition key behind the head of the queue.
pub(super) fn waits() -> String {
    format!(
        "((select 1 from (
             select h.name, h.version from durable.workflows h where h.status = 'ENQUEUED' and h.queue = $3::text
              order by h.priority, h.created_at, h.key limit {LOOKED_AT}) h
           where {} limit 1) is not null
          or (select h.key from durable.workflows h where h.status = 'ENQUEUED' and h.queue = $3::text
               order by h.priority, h.created_at, h.key offset {LOOKED_AT} limit 1) is not null
             and ({KEYED} or (with recursive {} select 1 from kinds where {} limit 1) is not null))",
        is_known("h", 4),
        kinds(),
        is_known_kind("kinds.kind", 4)
    )
}

/// The names, with the version, of the ENQUEUED workflows without a partition key, as a table `kinds (kind)` for a
/// `with recursive`. It hops from one to the next, so it costs one lookup for each and not one for each workflow.
pub(super) fn kinds() -> String {
    let kind = name_and_version("w");
    let waiting = "w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= ''";
    format!(
        "kinds (kind) as (
             (select {kind} from durable.workflows w where {waiting} order by w.queue, {kind} limit 1)
             union all
             select (select {kind} from durable.workflows w where {waiting} and {kind} > kinds.kind
                      order by w.queue, {kind} limit 1)
               from kinds where kinds.kind is not null)"
    )
}

/// The first workflows without a partition key of each of the `kinds` that the caller knows, as a table with these
/// columns: `most` of each. `lock` goes behind the select.
pub(super) fn of_known_kinds(columns: &str, most: &str, lock: &str) -> String {
    format!(
        "select i.* from kinds
          cross join lateral (
                select {columns} from durable.workflows w
                 where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= ''
                   and {kind} = kinds.kind
                 order by w.queue, {kind}, w.priority, w.created_at, w.key limit {most} {lock}) i
          where {}
          order by i.priority, i.created_at, i.key limit {most}",
        is_known_kind("kinds.kind", 4),
        kind = name_and_version("w")
    )
}

/// How many workflows at the head of the queue a claim of `most` looks at.
fn looked_at(most: &str) -> String {
    format!("{LOOKED_AT} + 2 * {most}")
}

/// Selects and locks the first `most` workflows that the caller knows and no other claim has locked, if the `condition`
/// holds. It looks only at the head of the queue. The rows are locked one by one, by their places in the table, so that
/// those which the caller does not know stay unlocked.
pub(super) fn at_the_head(most: &str, condition: &str) -> String {
    format!(
        "select l.key from (
                 select w.ctid as tuple, w.name, w.version, w.partition_key from durable.workflows w
                  where w.status = 'ENQUEUED' and w.queue = $3::text and {condition}
                  order by w.priority, w.created_at, w.key limit {}) f
              cross join lateral (
                 select w.key from durable.workflows w
                  where w.ctid = f.tuple and w.status = 'ENQUEUED' for update skip locked) l
              where {} and f.partition_key = '' limit {most}",
        looked_at(most),
        is_known("f", 4)
    )
}

/// A condition: the fence holds, and the claim needs no lock of the queue.
const MAY_CLAIM: &str = "(select count(*) from fence) = 1";

/// Whether the `condition` holds, the queue goes on behind its head, and what was `chosen` there is too little.
pub(super) fn goes_on(most: &str, condition: &str) -> String {
    format!(
        "case when {condition} and (select count(*) from chosen) < {most} then (
              select w.key from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text
               order by w.priority, w.created_at, w.key offset {} limit 1) is not null
              else false end as goes_on",
        looked_at(most)
    )
}

sql_statements! {
    /// $1, $2 fence; $3 queue; $4 known names; $5 how many at most. The fence is locked only where
    /// there is something to claim, so that a claim that finds nothing writes nothing. `ready` says that
    /// there is, and that it has to be claimed under the lock of the queue.
    claim = format!(
        "with queue as materialized (
             select {LIMITED} as limited, {} from durable.queues q where q.name = $3::text),
         head as materialized (select waits, waits and {KEYED} as keyed from (select {waits} as waits offset 0) h),
         fence as materialized (
             select 1 from durable.executors e, head
              where e.key = $1::bigint and e.epoch = $2::bigint
                and not exists (select 1 from queue where limited or paused) and head.waits and not head.keyed
                for key share of e),
         chosen as materialized ({head}),
         taken as (
             update durable.workflows w set {} from {CLOCK} c, {}
              where w.key = it.key
             returning {})
         select q.*, t.*, head.keyed, {goes_on},
                case when head.waits and (head.keyed or coalesce(q.limited, false)) and not coalesce(q.paused, false)
                     then q.concurrency is null or {RUNNING} < q.concurrency
                     else false end as ready
           from head left join queue q on true left join taken t on true",
        limits_of("q"),
        set_claimed(),
        rows_by_key("chosen", "$5::bigint"),
        claimed_columns(),
        waits = waits(),
        head = at_the_head("$5::bigint", MAY_CLAIM),
        goes_on = goes_on("$5::bigint", MAY_CLAIM)
    );
    /// The same behind many workflows that the caller does not know: by what it knows.
    claim_by_kind = format!(
        "with recursive fence as materialized (
             select 1 from durable.executors e
              where e.key = $1::bigint and e.epoch = $2::bigint
                and not exists (select 1 from durable.queues q where q.name = $3::text and ({LIMITED} or q.paused))
                for key share of e),
         {},
         chosen as materialized (select key from ({}) i where (select count(*) from fence) = 1),
         taken as (
             update durable.workflows w set {} from {CLOCK} c, {}
              where w.key = it.key
             returning {})
         select * from taken",
        kinds(),
        of_known_kinds("w.key, w.priority, w.created_at", "$5::bigint", "for update skip locked"),
        set_claimed(),
        rows_by_key("chosen", "$5::bigint"),
        claimed_columns()
    );
    /// $1, $2 fence; $3 keys. A deadline that was set by the claim is removed.
    return_claims = returning_claims("w.key = any($3::bigint[])", FENCE_HOLDS);
    /// $1, $2 fence; $3 queue; $4 keys to keep. The fence is locked before, in a statement of its own.
    return_unknown = returning_claims("w.queue = $3::text and w.key <> all($4::bigint[])", "$2::bigint is not null");
    /// $1 how many at once. Rows that are locked are left for the next call.
    promote = format!(
        "with clock as materialized {CLOCK},
         due as materialized (
             select w.key from durable.workflows w, clock
              where w.status = 'DELAYED' and w.due_at <= clock.now
              order by w.due_at limit $1::bigint for update of w skip locked),
         promoted as (
             update durable.workflows w set status = 'ENQUEUED' from {}
              where w.key = it.key
             returning w.queue)
         select clock.now,
                (select array_agg(distinct queue) from promoted) as queues,
                (select count(*) from promoted) as promoted,
                (select w.due_at from durable.workflows w
                  where w.status = 'DELAYED' and w.key <> all(array(select key from due))
                  order by w.due_at limit 1) as next_due
           from clock",
        rows_by_key("due", "$1::bigint")
    );
    /// $1 names. A lookup at the head of each queue.
    with_work =
        "select it.name from unnest($1::text[]) as it (name)
          where (select h.key from durable.workflows h where h.status = 'ENQUEUED' and h.queue = it.name
                  order by h.queue, h.priority, h.created_at, h.key limit 1) is not null";
}

/// Whether claims of a queue `q` have to be made one after the other.
const LIMITED: &str = "(q.concurrency is not null or q.rate_starts is not null)";

/// The keys of a CTE, as a table `it (key)` that the planner takes for one row, whatever it thinks of
/// the CTE: ten elements that it does not know, of which a limit that it does not know lets a tenth
/// through. So it looks them up in the primary key, also where the plan was made, and is kept, since
/// the table was small. The limit has to let all of them through.
pub(super) fn rows_by_key(cte: &str, limit: &str) -> String {
    values_of("key", cte, limit)
}

/// The same with the places of rows in their table, as `it (tuple)`.
pub(super) fn rows_by_place(cte: &str, limit: &str) -> String {
    values_of("tuple", cte, limit)
}

fn values_of(column: &str, cte: &str, limit: &str) -> String {
    format!("(select * from unnest(array(select {column} from {cte})) limit {limit}) as it ({column})")
}

fn returning_claims(which: &str, condition: &str) -> String {
    format!(
        "with before as materialized (
             select w.key, w.queue, w.partition_key, w.started_at from durable.workflows w
              where w.status = 'PENDING' and w.executor = $1::bigint and w.queue is not null and {which} and {condition}
              order by w.key for update),
         uncounted as (
             delete from durable.queue_starts s using before b
              where s.queue = b.queue and s.partition_key = b.partition_key and s.started_at = b.started_at
                and s.workflow = b.key)
         update durable.workflows w
            set status = 'ENQUEUED', executor = null, attempt = greatest(w.attempt - 1, 0), started_at = null,
                deadline = case when w.deadline = {} then null else w.deadline end
           from {}
          where w.key = it.key",
        add_saturating("w.started_at", "w.timeout"),
        rows_by_key("before", "(select count(*) from before)")
    )
}

impl PostgresStore {
    pub(super) async fn claim_for(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let claiming = |text, most| {
            let query = self.fenced(text, request.fence).bind(&request.queue).bind(&request.known);
            query.bind(most)
        };
        let most = i64::from(request.limit);
        let rows = claiming(&self.sql.claim.claim, most).fetch_all(&mut *self.writing().await?).await?;
        let first = &rows[0]; // there is one, also where nothing was claimed
        if first.try_get("ready")? {
            return self.claim_limited(request, first.try_get("keyed")?).await;
        }
        let mut all = runs(&rows)?;
        self.counter.committed(all.len() as u64);
        let left = most.saturating_sub_unsigned(all.len() as u64);
        if left > 0 && first.try_get("goes_on")? {
            let query = claiming(&self.sql.claim.claim_by_kind, left);
            let behind = runs(&query.fetch_all(&mut *self.writing().await?).await?)?;
            self.counter.committed(behind.len() as u64);
            all.extend(behind);
        }
        Ok(Claimed { runs: all, ..Claimed::of(&decode::<_, LimitsRow, _>(first)?) })
    }

    pub(super) async fn return_claimed(&self, fence: Fence, keys: &[WorkflowKey]) -> Result<(), StoreError> {
        let query = self.fenced(&self.sql.claim.return_claims, fence).bind(numbers(keys));
        self.write(&mut *self.writing().await?, query).await?;
        Ok(())
    }

    pub(super) async fn return_unknown(
        &self,
        fence: Fence,
        queue: &str,
        known: &[WorkflowKey],
    ) -> Result<u64, StoreError> {
        let mut connection = self.writing().await?;
        let mut transaction = self.begin(&mut connection).await?;
        // It waits for a claim that still runs and has locked the row by its own fence.
        if !self.lock_fence(&mut transaction, fence).await? {
            self.roll_back(transaction).await?;
            return Ok(0);
        }
        let query = self.fenced(&self.sql.claim.return_unknown, fence).bind(queue).bind(numbers(known));
        let rows = query.execute(&mut *transaction).await?.rows_affected();
        self.end(transaction, rows).await?;
        Ok(rows)
    }

    pub(super) async fn promote_due(&self) -> Result<Promoted, StoreError> {
        let query = self.query(&self.sql.claim.promote).bind(PROMOTED_AT_ONCE);
        let row = query.fetch_one(&mut *self.writing().await?).await?;
        self.counter.committed(row.try_get::<i64, _>("promoted")?.unsigned_abs());
        let queues: Option<Vec<String>> = row.try_get("queues")?;
        let (now, next_due) = (row.try_get("now")?, row.try_get("next_due")?);
        Ok(Promoted { now, queues: queues.unwrap_or_default(), next_due })
    }
}
