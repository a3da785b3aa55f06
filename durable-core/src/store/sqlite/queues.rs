//! Queues in SQLite: their limits, and what waits in them.

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_queues::{QueueInfoRow, column, columns};
use crate::store::rows_by_kind::PROMOTED_AT_ONCE;
use crate::store::sql::texts;
use crate::store::sqlite::claim::LIMITS;
use crate::store::sqlite::read::json;
use crate::store::sqlite::{LiteQuery, SqliteStore};
use crate::store::{
    ClaimRequest, Claimed, EnqueueOutcome, Fence, NewQueue, NewWorkflow, OutboxConnection, Promoted, QueueChange,
    QueueRow, Queues, StoreFuture, StoredLimits,
};
use crate::types::id::local_micros;

texts! {
    /// ?1 rows of a name and the limits; ?2 now. Limits that are as they were are not written.
    declare = format!(
        "insert into durable_queues (name, {COLUMNS}, created_at)
         select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
                value ->> 8, ?2
           from json_each(?1) where true
         on conflict (name) do update set ({COLUMNS}) = ({})
          where not changed and ({}) is not ({})",
        of("excluded"), of("durable_queues"), of("excluded")
    );
    /// ?1 name; ?2 paused.
    pause = "update durable_queues set paused = ?2 where name = ?1";
    /// ?1 name; ?2 to ?9 the limits; ?10 whether they are others than those of the code.
    change = format!(
        "update durable_queues set ({COLUMNS}) = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9), changed = ?10 where name = ?1"
    );
    /// Each of the three looks at an index that holds nothing else.
    all = format!(
        "with counts (queue, enqueued, delayed, running, oldest) as materialized (
             select w.queue, count(*), 0, 0, min(max(w.created_at, coalesce(w.due_at, 0)))
               from durable_workflows w where w.status = 'ENQUEUED' and w.queue is not null group by w.queue
             union all
             select w.queue, 0, count(*), 0, null
               from durable_workflows w where w.status = 'DELAYED' and w.queue is not null group by w.queue
             union all
             select w.queue, 0, 0, count(*), null
               from durable_workflows w where w.status = 'PENDING' and w.queue is not null group by w.queue)
         select names.name, {LIMITS}, q.changed, coalesce(sum(c.enqueued), 0) as enqueued,
                coalesce(sum(c.delayed), 0) as delayed, coalesce(sum(c.running), 0) as running, min(c.oldest) as oldest
           from (select name from durable_queues union select queue from counts) names
           left join durable_queues q on q.name = names.name
           left join counts c on c.queue = names.name
          group by names.name
          order by names.name"
    );
    next_due = "select min(due_at) as next_due from durable_workflows where status = 'DELAYED'";
    /// ?1 now; ?2 how many at once.
    promote =
        "update durable_workflows set status = 'ENQUEUED'
          where key in (select key from durable_workflows indexed by durable_workflows_delayed
                         where status = 'DELAYED' and due_at <= ?1 order by due_at limit ?2)
         returning queue";
    /// ?1 names. A look at the head of each line.
    waiting =
        "select it.value as name from json_each(?1) it
          where exists (select 1 from durable_workflows h indexed by durable_workflows_enqueued
                         where h.status = 'ENQUEUED' and h.queue = it.value)";
}

/// The columns of the limits, as they are bound.
const COLUMNS: &str = "concurrency, worker_concurrency, rate_starts, rate_period, partitioned, partition_concurrency, \
     partition_rate_starts, partition_rate_period";

/// The columns of the limits of a row.
fn of(row: &str) -> String {
    COLUMNS.split(", ").map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ")
}

fn bind_limits(query: LiteQuery, limits: &StoredLimits) -> LiteQuery {
    let ((starts, period), (key_starts, key_period)) =
        (columns(limits.rate_limit), columns(limits.partition_rate_limit));
    let query =
        query.bind(column(limits.concurrency)).bind(column(limits.worker_concurrency)).bind(starts).bind(period);
    let query = query.bind(limits.partitioned).bind(column(limits.partition_concurrency));
    query.bind(key_starts).bind(key_period)
}

impl Queues for SqliteStore {
    fn declare_queues<'a>(&'a self, queues: &'a [NewQueue]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if queues.is_empty() {
                return Ok(());
            }
            let rows = queues.iter().map(|NewQueue { name, limits }| {
                let ((starts, period), (key_starts, key_period)) =
                    (columns(limits.rate_limit), columns(limits.partition_rate_limit));
                let (here, at_once) = (column(limits.worker_concurrency), column(limits.partition_concurrency));
                let partitioned = i32::from(limits.partitioned);
                (name, column(limits.concurrency), here, starts, period, partitioned, at_once, key_starts, key_period)
            });
            let query = self.query(&self.texts.queues.declare).bind(json(&rows.collect::<Vec<_>>()));
            self.write(&mut *self.presence().await?, query.bind(local_micros())).await?;
            Ok(())
        })
    }

    fn claim<'a>(&'a self, request: &'a ClaimRequest) -> StoreFuture<'a, Claimed> {
        Box::pin(self.claim_for(request))
    }

    fn return_claims<'a>(&'a self, fence: Fence, keys: &'a [i64]) -> StoreFuture<'a, ()> {
        Box::pin(self.give_back_claimed(fence, keys))
    }

    fn release_unknown_claims<'a>(&'a self, fence: Fence, queue: &'a str, held: &'a [i64]) -> StoreFuture<'a, u64> {
        Box::pin(self.give_back_unheard(fence, queue, held))
    }

    /// It looks before it writes, so that nobody waits for a lock where nothing is due.
    fn promote(&self) -> StoreFuture<'_, Promoted> {
        Box::pin(async move {
            let texts = &self.texts.queues;
            let now = local_micros();
            let next_due = self.query(&texts.next_due).fetch_one(&mut *self.reading().await?).await?;
            let next_due: Option<i64> = next_due.try_get("next_due")?;
            if next_due.is_none_or(|it| it > now) {
                return Ok(Promoted { now, queues: Vec::new(), next_due });
            }
            let mut turn = self.work().await?;
            let rows = self.query(&texts.promote).bind(now).bind(PROMOTED_AT_ONCE).fetch_all(&mut *turn).await?;
            self.meter.committed(rows.len() as u64);
            let queues: Result<Vec<String>, sqlx::Error> = rows.iter().map(|row| row.try_get("queue")).collect();
            let mut queues = queues?;
            queues.sort_unstable();
            queues.dedup();
            let next_due = self.query(&texts.next_due).fetch_one(&mut *turn).await?.try_get("next_due")?;
            Ok(Promoted { now, queues, next_due })
        })
    }

    fn queues_with_work<'a>(&'a self, queues: &'a [String]) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            let query = self.query(&self.texts.queues.waiting).bind(json(queues));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            Ok(rows.iter().map(|row| row.try_get("name")).collect::<Result<_, _>>()?)
        })
    }

    fn queues(&self) -> StoreFuture<'_, Vec<QueueRow>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.queues.all).fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, QueueInfoRow, _>).collect()
        })
    }

    fn change_queue<'a>(&'a self, name: &'a str, change: QueueChange) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let texts = &self.texts.queues;
            let limits =
                |limits, changed: bool| bind_limits(self.query(&texts.change).bind(name), limits).bind(changed);
            let query = match &change {
                QueueChange::Pause => self.query(&texts.pause).bind(name).bind(true),
                QueueChange::Resume => self.query(&texts.pause).bind(name).bind(false),
                QueueChange::Limits(it) => limits(it, true),
                QueueChange::LimitsOfCode(it) => limits(it, false),
            };
            Ok(self.write(&mut *self.work().await?, query).await? > 0)
        })
    }

    fn enqueue_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        workflow: &'a NewWorkflow,
    ) -> StoreFuture<'a, EnqueueOutcome> {
        Box::pin(self.post_on_queue(connection, workflow))
    }
}
