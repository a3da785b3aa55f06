//! Queues in Postgres: their limits, and what waits in them.

use sqlx::Row;

use crate::store::decode::decode;
use crate::store::decode_queues::{QueueInfoRow, column, columns};
use crate::store::postgres::claim::{LIMITS, each_of};
use crate::store::postgres::sql_text::CLOCK;
use crate::store::postgres::{PgQuery, PostgresStore};
use crate::store::rows_by_kind::PROMOTED_AT_ONCE;
use crate::store::sql::texts;
use crate::store::{
    ClaimRequest, Claimed, EnqueueOutcome, Fence, NewQueue, NewWorkflow, OutboxConnection, Promoted, QueueChange,
    QueueRow, Queues, StoreFuture, StoredLimits,
};

texts! {
    /// $1 names; $2 to $9 the limits. Limits that are as they were are not written.
    declare = format!(
        "insert into durable.queues as q (name, {COLUMNS}, created_at)
         select new.*, c.now
           from unnest($1::text[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::boolean[],
                       $7::integer[], $8::integer[], $9::bigint[]) as new (name, {COLUMNS}), {CLOCK} c
          order by new.name
         on conflict (name) do update set ({COLUMNS}) = ({})
          where not q.changed and ({}) is distinct from ({})",
        of("excluded"), of("q"), of("excluded")
    );
    /// $1 name; $2 paused.
    pause = "update durable.queues set paused = $2::boolean where name = $1::text";
    /// $1 name; $2 to $9 the limits; $10 whether they are others than those of the code.
    change = format!(
        "update durable.queues
            set ({COLUMNS}) = ($2::integer, $3::integer, $4::integer, $5::bigint, $6::boolean, $7::integer, $8::integer, $9::bigint),
                changed = $10::boolean
          where name = $1::text"
    );
    /// Each of the three looks at an index that holds nothing else.
    all = format!(
        "with counts as materialized (
             select w.queue, count(*) as enqueued, 0 as delayed, 0 as running,
                    min(greatest(w.created_at, coalesce(w.due_at, 0))) as oldest
               from durable.workflows w where w.status = 'ENQUEUED' and w.queue is not null group by w.queue
             union all
             select w.queue, 0, count(*), 0, null
               from durable.workflows w where w.status = 'DELAYED' and w.queue is not null group by w.queue
             union all
             select w.queue, 0, 0, count(*), null
               from durable.workflows w where w.status = 'PENDING' and w.queue is not null group by w.queue)
         select names.name, {LIMITS}, q.changed,
                coalesce(sum(c.enqueued), 0)::bigint as enqueued, coalesce(sum(c.delayed), 0)::bigint as delayed,
                coalesce(sum(c.running), 0)::bigint as running, min(c.oldest) as oldest
           from (select name from durable.queues union select queue from counts) names
           left join durable.queues q on q.name = names.name
           left join counts c on c.queue = names.name
          group by names.name, q.name
          order by names.name"
    );
    /// $1 how many at once. What somebody has locked is looked at again in a moment.
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
        each_of("due", "$1::bigint")
    );
    /// $1 names. A look at the head of each line.
    waiting =
        "select it.name from unnest($1::text[]) as it (name)
          where (select h.key from durable.workflows h where h.status = 'ENQUEUED' and h.queue = it.name
                  order by h.queue, h.priority, h.created_at, h.key limit 1) is not null";
}

/// The columns of the limits, as they are bound.
const COLUMNS: &str = "concurrency, worker_concurrency, rate_starts, rate_period, partitioned, partition_concurrency, \
     partition_rate_starts, partition_rate_period";

/// The columns of the limits of a row.
fn of(row: &str) -> String {
    COLUMNS.split(", ").map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ")
}

fn bind_limits(query: PgQuery, limits: &StoredLimits) -> PgQuery {
    let ((starts, period), (key_starts, key_period)) =
        (columns(limits.rate_limit), columns(limits.partition_rate_limit));
    let query =
        query.bind(column(limits.concurrency)).bind(column(limits.worker_concurrency)).bind(starts).bind(period);
    let query = query.bind(limits.partitioned).bind(column(limits.partition_concurrency));
    query.bind(key_starts).bind(key_period)
}

impl Queues for PostgresStore {
    fn declare_queues<'a>(&'a self, queues: &'a [NewQueue]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            /// One array of a column's values.
            macro_rules! column {
                ($it:ident => $value:expr) => {
                    queues.iter().map(|$it| $value).collect::<Vec<_>>()
                };
            }
            if queues.is_empty() {
                return Ok(());
            }
            let query = self.query(&self.texts.queues.declare).bind(column!(it => it.name.as_str()));
            let query = query.bind(column!(it => column(it.limits.concurrency)));
            let query = query.bind(column!(it => column(it.limits.worker_concurrency)));
            let query = query.bind(column!(it => columns(it.limits.rate_limit).0));
            let query = query.bind(column!(it => columns(it.limits.rate_limit).1));
            let query = query.bind(column!(it => it.limits.partitioned));
            let query = query.bind(column!(it => column(it.limits.partition_concurrency)));
            let query = query.bind(column!(it => columns(it.limits.partition_rate_limit).0));
            let query = query.bind(column!(it => columns(it.limits.partition_rate_limit).1));
            self.write(&self.control, query).await?;
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

    fn promote(&self) -> StoreFuture<'_, Promoted> {
        Box::pin(async move {
            let query = self.query(&self.texts.queues.promote).bind(PROMOTED_AT_ONCE);
            let row = query.fetch_one(self.work()?).await?;
            self.meter.committed(row.try_get::<i64, _>("promoted")?.unsigned_abs());
            let queues: Option<Vec<String>> = row.try_get("queues")?;
            Ok(Promoted {
                now: row.try_get("now")?,
                queues: queues.unwrap_or_default(),
                next_due: row.try_get("next_due")?,
            })
        })
    }

    fn queues_with_work<'a>(&'a self, queues: &'a [String]) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.queues.waiting).bind(queues).fetch_all(self.work()?).await?;
            Ok(rows.iter().map(|row| row.try_get("name")).collect::<Result<_, _>>()?)
        })
    }

    fn queues(&self) -> StoreFuture<'_, Vec<QueueRow>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.queues.all).fetch_all(self.work()?).await?;
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
            Ok(self.write(self.work()?, query).await? > 0)
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
