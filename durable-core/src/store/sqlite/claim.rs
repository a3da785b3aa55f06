//! Who gets a turn in SQLite: claims from queues without limits over the fleet; and giving back what
//! was claimed.

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_queues::{LimitsRow, runs};
use crate::store::rows_by_kind::later;
use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::commit::FENCE;
use crate::store::sqlite::read::json;
use crate::store::{ClaimRequest, Claimed, Fence, StoreError};

/// The limits of a queue `q`.
pub(super) const LIMITS: &str = "q.concurrency, q.worker_concurrency, q.rate_starts, q.rate_period, q.partitioned, \
     q.partition_concurrency, q.partition_rate_starts, q.partition_rate_period, q.paused";

/// What is known of a claimed workflow.
pub(super) const TAKEN: &str = "key, id, name, instance, attempt, recoveries, fingerprint, deadline, parent, queue, priority, \
     created_at, coalesce(input, (select i.input from durable_inputs i where i.workflow = durable_workflows.key)) as input";

/// What a claim does. ?1 the executor; ?3 now.
pub(super) fn start() -> String {
    format!(
        "status = 'PENDING', executor = ?1, attempt = attempt + 1, started_at = ?3, deadline = coalesce(deadline, {})",
        later("?3", "timeout")
    )
}

/// How many run of the queue ?4: a look at an index that holds nothing else.
pub(super) const RUNNING: &str =
    "(select count(*) from durable_workflows p where p.status = 'PENDING' and p.queue = ?4)";

/// Whether something waits that the caller can run: a look at the head of the line.
pub(super) const WAITS: &str = "exists (select 1 from durable_workflows h indexed by durable_workflows_enqueued
      where h.status = 'ENQUEUED' and h.queue = ?4 and h.name in (select value from json_each(?5)))";

texts! {
    /// ?4 queue; ?5 known names. It is asked on a connection that reads, so that a claim in vain takes
    /// no lock that others wait for.
    look = format!(
        "select {LIMITS}, coalesce({LIMITED}, 0) as limited,
                not coalesce(q.paused, 0) and {WAITS} and coalesce({RUNNING} < q.concurrency, 1) as ready
           from (select 1) left join durable_queues q on q.name = ?4"
    );
    /// ?1, ?2 fence; ?3 now; ?4 queue; ?5 known names; ?6 how many at most.
    claim = format!(
        "update durable_workflows set {}
          where key in (
                select w.key from durable_workflows w indexed by durable_workflows_enqueued
                 where w.status = 'ENQUEUED' and w.queue = ?4 and w.name in (select value from json_each(?5))
                   and {FENCE}
                   and not exists (select 1 from durable_queues q where q.name = ?4 and ({LIMITED} or q.paused))
                 order by w.priority, w.created_at, w.key limit ?6)
         returning {TAKEN}",
        start()
    );
    /// ?1, ?2 fence; ?3 keys. The starts are uncounted before the rows forget when they began.
    uncount = uncounting("w.key in (select value from json_each(?3))");
    /// The same. A deadline that began with the claim has not begun.
    give_back = giving_back("w.key in (select value from json_each(?3))");
    /// ?1, ?2 fence; ?3 keys to keep; ?4 queue.
    uncount_lost = uncounting("w.queue = ?4 and w.key not in (select value from json_each(?3))");
    /// The same.
    give_back_lost = giving_back("w.queue = ?4 and w.key not in (select value from json_each(?3))");
}

/// Whether a queue `q` has limits over the fleet.
const LIMITED: &str = "(q.concurrency is not null or q.rate_starts is not null or q.partitioned
      or q.partition_concurrency is not null or q.partition_rate_starts is not null)";

fn claimed(which: &str) -> String {
    format!("w.status = 'PENDING' and w.executor = ?1 and w.queue is not null and {which} and {FENCE}")
}

fn uncounting(which: &str) -> String {
    format!(
        "delete from durable_queue_starts
          where (queue, partition_key, started_at, workflow) in (
                select w.queue, w.partition_key, w.started_at, w.key from durable_workflows w where {})",
        claimed(which)
    )
}

fn giving_back(which: &str) -> String {
    format!(
        "update durable_workflows as w
            set status = 'ENQUEUED', executor = null, attempt = max(attempt - 1, 0), started_at = null,
                deadline = case when deadline = {} then null else deadline end
          where {}",
        later("started_at", "timeout"),
        claimed(which)
    )
}

impl SqliteStore {
    pub(super) async fn claim_for(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let query = self.query(&self.texts.claim.look).bind(None::<i64>).bind(None::<i64>).bind(None::<i64>);
        let query = query.bind(&request.queue).bind(json(&request.known));
        let row = query.fetch_one(&mut *self.reading().await?).await?;
        if !row.try_get::<bool, _>("ready")? {
            return Ok(Claimed::of(&decode::<_, LimitsRow, _>(&row)?));
        }
        if row.try_get("limited")? {
            return self.claim_limited(request).await;
        }
        let mut turn = self.work().await?;
        let query = self.timed(&self.texts.claim.claim, request.fence).bind(&request.queue).bind(json(&request.known));
        let runs = runs(&query.bind(i64::from(request.limit)).fetch_all(&mut *turn).await?)?;
        self.meter.committed(runs.len() as u64);
        Ok(Claimed { runs, ..Claimed::of(&decode::<_, LimitsRow, _>(&row)?) })
    }

    pub(super) async fn give_back_claimed(&self, fence: Fence, keys: &[i64]) -> Result<(), StoreError> {
        let mut turn = self.work().await?;
        let mut transaction = self.begin(&mut turn).await?;
        for text in [&self.texts.claim.uncount, &self.texts.claim.give_back] {
            self.fenced(text, fence).bind(json(keys)).execute(&mut *transaction).await?;
        }
        self.end(transaction, keys.len() as u64).await?;
        Ok(())
    }

    /// A claim that was still at work stood in line for the same write lock.
    pub(super) async fn give_back_unheard(&self, fence: Fence, queue: &str, held: &[i64]) -> Result<u64, StoreError> {
        let mut turn = self.work().await?;
        let mut transaction = self.begin(&mut turn).await?;
        let mut rows = 0;
        for text in [&self.texts.claim.uncount_lost, &self.texts.claim.give_back_lost] {
            let query = self.fenced(text, fence).bind(json(held)).bind(queue);
            rows = query.execute(&mut *transaction).await?.rows_affected();
        }
        self.end(transaction, rows).await?;
        Ok(rows)
    }
}
