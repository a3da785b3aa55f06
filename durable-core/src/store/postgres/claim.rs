//! Who gets a turn in Postgres: claims from queues without limits over the fleet, in one statement
//! that waits for nobody; and giving back what was claimed.

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_queues::{LimitsRow, runs};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::sql_text::{CLOCK, FENCE};
use crate::store::rows_by_kind::later;
use crate::store::sql::texts;
use crate::store::{ClaimRequest, Claimed, Fence, StoreError};

/// The limits of a queue `q`.
pub(super) const LIMITS: &str = "q.concurrency, q.worker_concurrency, q.rate_starts, q.rate_period, q.partitioned, \
     q.partition_concurrency, q.partition_rate_starts, q.partition_rate_period, q.paused";

/// What is known of a claimed workflow `w`.
pub(super) const TAKEN: &str = "w.key, w.id, w.name, w.instance, w.input, w.attempt, w.recoveries, w.fingerprint, \
     w.deadline, w.parent, w.queue, w.priority, w.created_at, w.partition_key, w.started_at";

/// What a claim does to a workflow `w`.
pub(super) fn start() -> String {
    format!(
        "status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, \
         deadline = coalesce(w.deadline, {})",
        later("c.now", "w.timeout")
    )
}

/// How many run: a look at an index that holds nothing else.
pub(super) const RUNNING: &str =
    "(select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text)";

/// Whether something waits that the caller can run: a look at the head of the line.
pub(super) const WAITS: &str = "(select h.key from durable.workflows h
      where h.status = 'ENQUEUED' and h.queue = $3::text and h.name = any($4::text[])
      order by h.priority, h.created_at, h.key limit 1) is not null";

texts! {
    /// $1, $2 fence; $3 queue; $4 known names; $5 how many at most. The fence is locked only where
    /// there is something to claim, so that a claim in vain writes nothing.
    claim = format!(
        "with queue as materialized (
             select {LIMITED} as limited, {LIMITS} from durable.queues q where q.name = $3::text),
         fence as materialized (
             select 1 from durable.executors
              where key = $1::bigint and epoch = $2::bigint
                and not exists (select 1 from queue where limited or paused) and {WAITS}
                for key share),
         chosen as materialized (
             select w.key from durable.workflows w
              where w.status = 'ENQUEUED' and w.queue = $3::text and w.name = any($4::text[])
                and (select count(*) from fence) = 1
              order by w.priority, w.created_at, w.key limit $5::bigint for update skip locked),
         taken as (
             update durable.workflows w set {} from {CLOCK} c, {}
              where w.key = it.key
             returning {TAKEN})
         select q.*, t.*,
                coalesce(q.limited and not q.paused, false)
                and case when q.limited then {WAITS} and coalesce({RUNNING} < q.concurrency, true) end as ready
           from (select 1) one left join queue q on true left join taken t on true",
        start(),
        each_of("chosen", "$5::bigint")
    );
    /// $1, $2 fence; $3 keys. A deadline that began with the claim has not begun.
    give_back = giving_back("w.key = any($3::bigint[])", &format!("{FENCE} = 1"));
    /// $1, $2 fence; $3 queue; $4 keys to keep. The fence is locked before, in a statement of its own.
    give_back_lost = giving_back("w.queue = $3::text and w.key <> all($4::bigint[])", "$2::bigint is not null");
}

/// Whether claims of a queue `q` have to be made one after the other.
const LIMITED: &str = "(q.concurrency is not null or q.rate_starts is not null or q.partitioned
      or q.partition_concurrency is not null or q.partition_rate_starts is not null)";

/// The keys of a CTE, as a table `it (key)` that the planner takes for one row, whatever it thinks of
/// the CTE: ten elements that it does not know, of which a limit that it does not know lets a tenth
/// through. So it looks them up in the primary key, also where the plan was made, and is kept, since
/// the table was small. The limit has to let all of them through.
pub(super) fn each_of(cte: &str, limit: &str) -> String {
    format!("(select * from unnest(array(select key from {cte})) limit {limit}) as it (key)")
}

fn giving_back(which: &str, condition: &str) -> String {
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
        later("w.started_at", "w.timeout"),
        each_of("before", "(select count(*) from before)")
    )
}

impl PostgresStore {
    pub(super) async fn claim_for(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let query = self.fenced(&self.texts.claim.claim, request.fence).bind(&request.queue).bind(&request.known);
        let rows = query.bind(i64::from(request.limit)).fetch_all(self.work()?).await?;
        let first = &rows[0]; // there is one, also where nothing was claimed
        if first.try_get("ready")? {
            return self.claim_limited(request).await;
        }
        let runs = runs(&rows)?;
        self.meter.committed(runs.len() as u64);
        Ok(Claimed { runs, ..Claimed::of(&decode::<_, LimitsRow, _>(first)?) })
    }

    pub(super) async fn give_back_claimed(&self, fence: Fence, keys: &[i64]) -> Result<(), StoreError> {
        let query = self.fenced(&self.texts.claim.give_back, fence).bind(keys);
        self.write(self.work()?, query).await?;
        Ok(())
    }

    pub(super) async fn give_back_unheard(&self, fence: Fence, queue: &str, held: &[i64]) -> Result<u64, StoreError> {
        let mut connection = self.work()?.acquire().await?;
        let mut transaction = self.begin(&mut connection).await?;
        // It waits for a claim that still has the row by its own fence, and only then is looked around.
        if self.fenced(&self.texts.careful.fence, fence).fetch_optional(&mut *transaction).await?.is_none() {
            self.undo(transaction).await?;
            return Ok(0);
        }
        let query = self.fenced(&self.texts.claim.give_back_lost, fence).bind(queue).bind(held);
        let rows = query.execute(&mut *transaction).await?.rows_affected();
        self.end(transaction, rows).await?;
        Ok(rows)
    }
}
