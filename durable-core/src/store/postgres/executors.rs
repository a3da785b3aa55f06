//! Executors in Postgres: leases, takeovers and leaving. All of it runs on the control connections.

use std::time::Duration;

use sqlx::Row;

use crate::store::decode::{self, ExecutorRow, TakeoverAs, TakeoverRow};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::sql_text::{CLOCK, FENCE, ORPHANED};
use crate::store::rows_by_kind::{TOO_MANY_RECOVERIES, oldest_first};
use crate::store::sql::texts;
use crate::store::{
    ExecutorInfo, Executors, Fence, HeartbeatResult, KnownWorkflow, NewExecutor, ReleasedWorkflows, StoreError,
    StoreFuture, Takeover, TakeoverRequest, WorkFound, WorkQuery,
};
use crate::types::time::micros;

texts! {
    /// $1 the key … $6 the lease, $7 the first epoch.
    sign_on = format!(
        "insert into durable.executors
            (key, name, host, lock_file, version, lease_until, epoch, state, started_at)
         select $1::bigint, $2::text, $3::text, $4::text, $5::text, c.now + $6::bigint, $7::bigint, 'LIVE', c.now
           from {CLOCK} c
         on conflict (key) do nothing"
    );
    /// One look around in one statement: a row per finding. $1, $2 fence; $3 lease; $4 running keys.
    heartbeat = format!(
        "with recursive {ORPHANED},
         clock as materialized {CLOCK},
         beat as (
             update durable.executors set lease_until = clock.now + $3::bigint from clock
              where key = $1::bigint and epoch = $2::bigint
             returning 1)
         select 'ours' as what, null::bigint as key, null::bigint as epoch, null::text as name, null::text as host,
                null::text as lock_file, null::text as word, null::boolean as expired, null::boolean as leaving
           from beat
         union all
         select 'now', clock.now, null, null, null, null, null, null, null from clock
         union all
         select 'orphans', null, null, null, null, null, null, null, null
          where exists (select 1 from durable.workflows where status = 'PENDING' and executor is null)
             or exists (select 1 from orphaned)
         union all
         select 'expired', e.key, e.epoch, e.name, e.host, e.lock_file, null, true, e.state = 'LEAVING'
           from durable.executors e, clock
          where e.state <> 'DEAD' and e.lease_until < clock.now and e.key <> $1::bigint
         union all
         select 'gone', w.key, null, null, null, null, w.status, null, null
           from (select * from unnest($4::bigint[]) limit cardinality($4::bigint[])) as running (key)
           join durable.workflows w on w.key = running.key
          where w.status <> 'PENDING' or w.executor is distinct from $1::bigint"
    );
    announce_leaving =
        "update durable.executors set state = 'LEAVING' where key = $1 and epoch = $2 and state = 'LIVE'";
    all = format!(
        "select e.key, e.epoch, e.name, e.host, e.lock_file, e.lease_until < c.now as expired,
                e.state = 'LEAVING' as leaving
           from durable.executors e, {CLOCK} c
          where e.state <> 'DEAD' order by e.key"
    );
    /// $1, $2 the key and the epoch of the dead one. The lock waits for flushes that hold the row
    /// by their fence; an update alone would not, since it changes no key.
    depose =
        "with dead as (
             select key from durable.executors
              where key = $1::bigint and epoch = $2::bigint and state <> 'DEAD' for update)
         update durable.executors e set epoch = e.epoch + 1, state = 'DEAD' from dead where e.key = dead.key";
    /// $1, $2 fence; $3 names and $4 how often each may be recovered; $5 limit; $6 running keys or NULL;
    /// $7 to $9 the reason. What was begun here a moment ago has its first attempt and is not lost.
    /// Each owner's rows are read in the order of the index and up to the limit, so that a batch
    /// costs the same whether a hundred or a million are left.
    adopt = format!(
        "with recursive {ORPHANED},
         known as materialized (select * from unnest($3::text[], $4::bigint[]) as known (name, most)),
         fence as materialized {FENCE},
         released as (
             select w.key, w.name, w.queue, w.recoveries, false as crashed from durable.workflows w
              where w.status = 'PENDING' and w.executor is null and (w.name = any($3::text[]) or w.queue is not null)
              order by w.executor, w.key limit $5::bigint for update skip locked),
         abandoned as (
             select w.key, w.name, w.queue, w.recoveries, true as crashed
               from orphaned o
              cross join lateral (
                    select i.key, i.name, i.queue, i.recoveries from durable.workflows i
                     where i.status = 'PENDING' and i.executor = o.executor
                       and (i.name = any($3::text[]) or i.queue is not null)
                     order by i.executor, i.key limit $5::bigint for update skip locked) w),
         lost as (
             select w.key, w.name, w.queue, w.recoveries, false as crashed from durable.workflows w
              where $6::bigint[] is not null and w.status = 'PENDING' and w.executor = $1::bigint
                and w.attempt > 1 and w.queue is null and w.key <> all($6::bigint[]) and w.name = any($3::text[])
              order by w.executor, w.key limit $5::bigint for update skip locked),
         chosen as (
             select free.*, marks.parked, case when not marks.parked then free.queue end as requeued
               from (select * from released union all select * from abandoned union all select * from lost) free
               left join known on known.name = free.name
              cross join lateral (
                    select free.crashed and known.most is not null and free.recoveries >= known.most as parked) marks
              cross join fence
              order by free.key limit $5::bigint)
         update durable.workflows w
            set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
                reason = case when c.parked then $7::text || w.recoveries || $8::text || w.recoveries || $9::text
                              else w.reason end,
                executor = case when c.parked then w.executor when c.requeued is null then $1::bigint end,
                attempt = case when c.parked or c.requeued is not null then w.attempt else w.attempt + 1 end,
                recoveries = case when c.crashed and not c.parked then w.recoveries + 1 else w.recoveries end,
                started_at = case when c.parked then w.started_at when c.requeued is null then now.now end
           from chosen c, {CLOCK} now
          where w.key = c.key
         returning w.key, w.id, w.name, w.instance, case when c.requeued is null then w.input else '' end as input,
                   w.attempt, w.recoveries, w.fingerprint, w.deadline, w.parent, c.requeued as queue,
                   c.parked"
    );
    /// $1 known names.
    count_unknown = format!(
        "with recursive {ORPHANED}
         select count(*) from durable.workflows w
          where w.status = 'PENDING' and (w.executor is null or w.executor in (select executor from orphaned))
            and w.name <> all($1::text[]) and w.queue is null"
    );
    /// $1, $2 fence; $3 stuck keys.
    release = format!(
        "with freed as (
             update durable.workflows
                set status = case when queue is null then 'PENDING' else 'ENQUEUED' end,
                    executor = null,
                    started_at = case when queue is null then started_at end,
                    attempt = case when queue is null then attempt else greatest(attempt - 1, 0) end
              where status = 'PENDING' and executor = $1::bigint and key <> all($3::bigint[]) and {FENCE} = 1
             returning queue is null as direct)
         select count(*) filter (where direct) as direct, count(*) filter (where not direct) as queued from freed"
    );
    /// $1 the executor; $2 known names; $3 queues.
    work_left =
        "select exists (select 1 from durable.workflows where status = 'PENDING' and executor = $1::bigint) as own,
                exists (select 1 from durable.workflows
                         where status = 'PENDING' and executor is null
                           and (name = any($2::text[]) or queue is not null)) as released,
                exists (select 1 from durable.workflows w
                         where w.status in ('ENQUEUED', 'DELAYED') and w.queue = any($3::text[]) and w.name = any($2::text[])
                           and not exists (select 1 from durable.queues q where q.name = w.queue and q.paused)) as queued";
    /// $1, $2 fence. A stuck workflow still names the row: then the lease has to run out.
    sign_off =
        "delete from durable.executors
          where key = $1::bigint and epoch = $2::bigint
            and not exists (select 1 from durable.workflows where status = 'PENDING' and executor = $1::bigint)";
}

impl Executors for PostgresStore {
    fn register_executor<'a>(&'a self, executor: &'a NewExecutor) -> StoreFuture<'a, Fence> {
        Box::pin(async move {
            let fence = Fence { executor: executor.key, epoch: Fence::FIRST_EPOCH };
            let query = self.query(&self.texts.executors.sign_on).bind(executor.key).bind(&executor.name);
            let query = query.bind(&executor.host).bind(&executor.lock_file).bind(&executor.version);
            // The key is fresh, so a row that is there was left by this very call, sent before.
            self.write(&self.control, query.bind(micros(executor.lease)).bind(fence.epoch)).await?;
            Ok(fence)
        })
    }

    fn heartbeat<'a>(&'a self, fence: Fence, lease: Duration, running: &'a [i64]) -> StoreFuture<'a, HeartbeatResult> {
        Box::pin(async move {
            let query = self.fenced(&self.texts.executors.heartbeat, fence).bind(micros(lease)).bind(running);
            let rows = query.fetch_all(&self.control).await?;
            let mut presence = HeartbeatResult::default();
            for row in &rows {
                match row.try_get::<&str, _>("what")? {
                    "ours" => presence.fence_holds = true,
                    "now" => presence.now = row.try_get("key")?,
                    "orphans" => presence.orphans = true,
                    "expired" => presence.expired.push(decode::decode::<_, ExecutorRow, _>(row)?),
                    _ => presence.no_longer_owned.push((row.try_get("key")?, decode::status(row.try_get("word")?)?)),
                }
            }
            self.meter.committed(u64::from(presence.fence_holds));
            Ok(presence)
        })
    }

    fn mark_leaving(&self, fence: Fence) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(&self.control, self.fenced(&self.texts.executors.announce_leaving, fence)).await?;
            Ok(())
        })
    }

    fn executors(&self) -> StoreFuture<'_, Vec<ExecutorInfo>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.executors.all).fetch_all(&self.control).await?;
            rows.iter().map(decode::decode::<_, ExecutorRow, _>).collect()
        })
    }

    fn fence_out(&self, executor: i64, epoch: i64) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let query = self.query(&self.texts.executors.depose).bind(executor).bind(epoch);
            Ok(self.write(&self.control, query).await? > 0)
        })
    }

    fn take_over<'a>(&'a self, adopt: &'a TakeoverRequest) -> StoreFuture<'a, Takeover> {
        Box::pin(async move {
            let names: Vec<&str> = names(&adopt.known);
            let most: Vec<i64> = adopt.known.iter().map(|it| i64::from(it.max_recoveries)).collect();
            let query = self.fenced(&self.texts.executors.adopt, adopt.fence).bind(names).bind(most);
            let query = query.bind(i64::from(adopt.limit)).bind(adopt.running.as_deref());
            let query = TOO_MANY_RECOVERIES.into_iter().fold(query, sqlx::query::Query::bind);
            let rows = query.fetch_all(&self.control).await?;
            self.meter.committed(rows.len() as u64);
            let mut adopted = Takeover::default();
            for row in &rows {
                match decode::decode::<_, TakeoverRow, _>(row)? {
                    TakeoverAs::Run(run) => adopted.runs.push(run),
                    TakeoverAs::Parked(id) => adopted.parked.push(id),
                    TakeoverAs::Requeued(queue) => adopted.requeued.push(queue),
                }
            }
            adopted.requeued.sort_unstable();
            adopted.requeued.dedup();
            adopted.runs = oldest_first(adopted.runs);
            Ok(adopted)
        })
    }

    fn count_unknown<'a>(&'a self, known: &'a [KnownWorkflow]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let query = self.query(&self.texts.executors.count_unknown).bind(names(known));
            count(&query.fetch_one(&self.control).await?, 0)
        })
    }

    fn release<'a>(&'a self, fence: Fence, stuck: &'a [i64]) -> StoreFuture<'a, ReleasedWorkflows> {
        Box::pin(async move {
            let query = self.fenced(&self.texts.executors.release, fence).bind(stuck);
            let row = query.fetch_one(&self.control).await?;
            let released = ReleasedWorkflows { direct: count(&row, "direct")?, queued: count(&row, "queued")? };
            self.meter.committed(released.direct + released.queued);
            Ok(released)
        })
    }

    fn work_left<'a>(&'a self, asked: &'a WorkQuery) -> StoreFuture<'a, WorkFound> {
        Box::pin(async move {
            let query = self.query(&self.texts.executors.work_left).bind(asked.executor).bind(names(&asked.known));
            let row = query.bind(&asked.queues).fetch_one(&self.control).await?;
            Ok(WorkFound {
                own: row.try_get("own")?,
                released: row.try_get("released")?,
                queued: row.try_get("queued")?,
            })
        })
    }

    fn remove_executor(&self, fence: Fence) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(&self.control, self.fenced(&self.texts.executors.sign_off, fence)).await?;
            Ok(())
        })
    }
}

fn names(known: &[KnownWorkflow]) -> Vec<&str> {
    known.iter().map(|it| it.name.as_str()).collect()
}

/// A `count(*)`, which is never negative.
fn count<I: sqlx::ColumnIndex<sqlx::postgres::PgRow>>(
    row: &sqlx::postgres::PgRow,
    column: I,
) -> Result<u64, StoreError> {
    Ok(row.try_get::<i64, _>(column)?.unsigned_abs())
}
