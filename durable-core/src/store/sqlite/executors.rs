//! Executors in SQLite: leases, takeovers and leaving.

use std::time::Duration;

use sqlx::Row;

use crate::store::decode::{self, ExecutorRow, TakeoverAs, TakeoverRow};
use crate::store::rows_by_kind::{TOO_MANY_RECOVERIES, oldest_first};
use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::commit::FENCE;
use crate::store::sqlite::read::json;
use crate::store::{
    ExecutorInfo, Executors, Fence, HeartbeatResult, KnownWorkflow, NewExecutor, ReleasedWorkflows, StoreError,
    StoreFuture, Takeover, TakeoverRequest, WorkFound, WorkQuery,
};
use crate::types::id::local_micros;
use crate::types::time::micros;

/// Owners of PENDING workflows whose row is gone or deposed, as a table `orphaned (executor)` for a
/// `with recursive`. It hops from owner to owner through the index of PENDING workflows.
const ORPHANED: &str = "
    owners (executor) as (
        select min(executor) from durable_workflows where status = 'PENDING' and executor is not null
        union all
        select (select min(w.executor) from durable_workflows w where w.status = 'PENDING' and w.executor > o.executor)
          from owners o where o.executor is not null),
    orphaned (executor) as (
        select o.executor from owners o
         where o.executor is not null
           and not exists (select 1 from durable_executors e where e.key = o.executor and e.state <> 'DEAD'))";

texts! {
    sign_on =
        "insert into durable_executors
            (key, name, host, lock_file, version, lease_until, epoch, state, started_at)
         values (?1, ?2, ?3, ?4, ?5, ?8 + ?6, ?7, 'LIVE', ?8)
         on conflict (key) do nothing";
    /// ?1, ?2 fence; ?3 until when.
    beat = "update durable_executors set lease_until = ?3 where key = ?1 and epoch = ?2";
    /// One look around: a row per finding. ?1 the executor; ?2 now; ?3 running keys.
    look_around = format!(
        "with recursive {ORPHANED}
         select 'orphans' as what, null as key, null as epoch, null as name, null as host, null as lock_file,
                null as word, null as expired, null as leaving
          where exists (select 1 from durable_workflows where status = 'PENDING' and executor is null)
             or exists (select 1 from orphaned)
         union all
         select 'expired', e.key, e.epoch, e.name, e.host, e.lock_file, null, true, e.state = 'LEAVING'
           from durable_executors e
          where e.state <> 'DEAD' and e.lease_until < ?2 and e.key <> ?1
         union all
         select 'gone', w.key, null, null, null, null, w.status, null, null
           from json_each(?3) running join durable_workflows w on w.key = running.value
          where w.status <> 'PENDING' or w.executor is not ?1"
    );
    announce_leaving =
        "update durable_executors set state = 'LEAVING' where key = ?1 and epoch = ?2 and state = 'LIVE'";
    /// ?1 now.
    all =
        "select key, epoch, name, host, lock_file, lease_until < ?1 as expired, state = 'LEAVING' as leaving
           from durable_executors where state <> 'DEAD' order by key";
    /// Flushes of the dead one stand in line for the same write lock, so none is in flight here.
    depose =
        "update durable_executors set epoch = epoch + 1, state = 'DEAD'
          where key = ?1 and epoch = ?2 and state <> 'DEAD'";
    /// ?1, ?2 fence; ?3 names and how often each may be recovered; ?4 limit; ?5 running keys or NULL;
    /// ?6 to ?8 the reason; ?9 now. What was begun here a moment ago has its first attempt and is not lost.
    /// The index is named because the order by key makes SQLite think of reading the whole table.
    adopt = format!(
        "with recursive {ORPHANED},
         known (name, most) as (select value ->> 0, value ->> 1 from json_each(?3))
         update durable_workflows
            set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
                reason = case when c.parked then ?6 || recoveries || ?7 || recoveries || ?8 else reason end,
                executor = case when c.parked then executor when c.requeued is null then ?1 end,
                attempt = case when c.parked or c.requeued is not null then attempt else attempt + 1 end,
                recoveries = case when executor <> ?1 and not c.parked then recoveries + 1 else recoveries end,
                started_at = case when c.parked then started_at when c.requeued is null then ?9 end
           from (select m.chosen, m.parked, case when not m.parked then m.queue end as requeued
                   from (select w.key as chosen, w.queue,
                                coalesce(w.executor <> ?1, 0) and coalesce(w.recoveries >= known.most, 0) as parked
                           from durable_workflows w indexed by durable_workflows_pending
                           left join known on known.name = w.name
                          where w.status = 'PENDING' and (known.name is not null or w.queue is not null)
                            and (w.executor is null or w.executor in (select executor from orphaned)
                                 or (?5 is not null and w.executor = ?1 and w.attempt > 1 and w.queue is null
                                     and w.key not in (select value from json_each(?5))))
                            and {FENCE}
                          order by w.key limit ?4) m) c
          where key = c.chosen
         returning key, id, name, instance, attempt, recoveries, fingerprint, deadline, parent, status = 'PARKED' as parked,
                   case when status = 'ENQUEUED' then queue end as queue,
                   case when status = 'ENQUEUED' then '' else coalesce(input, (
                        select i.input from durable_inputs i where i.workflow = durable_workflows.key)) end as input"
    );
    /// ?1 known names.
    count_unknown = format!(
        "with recursive {ORPHANED}
         select count(*) from durable_workflows w
          where w.status = 'PENDING' and (w.executor is null or w.executor in (select executor from orphaned))
            and w.name not in (select value from json_each(?1)) and w.queue is null"
    );
    /// ?1, ?2 fence; ?3 stuck keys.
    release = format!(
        "update durable_workflows
            set status = case when queue is null then 'PENDING' else 'ENQUEUED' end,
                executor = null,
                started_at = case when queue is null then started_at end,
                attempt = case when queue is null then attempt else max(attempt - 1, 0) end
          where status = 'PENDING' and executor = ?1 and key not in (select value from json_each(?3)) and {FENCE}
         returning queue is null as direct"
    );
    /// ?1 the executor; ?2 known names; ?3 queues.
    work_left =
        "select exists (select 1 from durable_workflows where status = 'PENDING' and executor = ?1) as own,
                exists (select 1 from durable_workflows
                         where status = 'PENDING' and executor is null
                           and (name in (select value from json_each(?2)) or queue is not null)) as released,
                exists (select 1 from durable_workflows w
                         where w.status in ('ENQUEUED', 'DELAYED') and w.queue in (select value from json_each(?3))
                           and w.name in (select value from json_each(?2))
                           and not exists (select 1 from durable_queues q where q.name = w.queue and q.paused)) as queued";
    /// ?1, ?2 fence. A stuck workflow still names the row: then the lease has to run out.
    sign_off =
        "delete from durable_executors
          where key = ?1 and epoch = ?2
            and not exists (select 1 from durable_workflows where status = 'PENDING' and executor = ?1)";
}

impl Executors for SqliteStore {
    fn register_executor<'a>(&'a self, executor: &'a NewExecutor) -> StoreFuture<'a, Fence> {
        Box::pin(async move {
            let fence = Fence { executor: executor.key, epoch: Fence::FIRST_EPOCH };
            let query = self.query(&self.texts.executors.sign_on).bind(executor.key).bind(&executor.name);
            let query = query.bind(&executor.host).bind(&executor.lock_file).bind(&executor.version);
            let query = query.bind(micros(executor.lease)).bind(fence.epoch).bind(local_micros());
            // The key is fresh, so a row that is there was left by this very call, sent before.
            self.write(&mut *self.presence().await?, query).await?;
            Ok(fence)
        })
    }

    fn heartbeat<'a>(&'a self, fence: Fence, lease: Duration, running: &'a [i64]) -> StoreFuture<'a, HeartbeatResult> {
        Box::pin(async move {
            let now = local_micros();
            let query = self.fenced(&self.texts.executors.beat, fence).bind(now.saturating_add(micros(lease)));
            let ours = self.write(&mut *self.presence().await?, query).await? > 0;
            let mut presence = HeartbeatResult { fence_holds: ours, now, ..HeartbeatResult::default() };
            let query = self.query(&self.texts.executors.look_around).bind(fence.executor).bind(now);
            for row in &query.bind(json(running)).fetch_all(&mut *self.presence().await?).await? {
                match row.try_get::<&str, _>("what")? {
                    "orphans" => presence.orphans = true,
                    "expired" => presence.expired.push(decode::decode::<_, ExecutorRow, _>(row)?),
                    _ => presence.no_longer_owned.push((row.try_get("key")?, decode::status(row.try_get("word")?)?)),
                }
            }
            Ok(presence)
        })
    }

    fn mark_leaving(&self, fence: Fence) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(&mut *self.presence().await?, self.fenced(&self.texts.executors.announce_leaving, fence))
                .await?;
            Ok(())
        })
    }

    fn executors(&self) -> StoreFuture<'_, Vec<ExecutorInfo>> {
        Box::pin(async move {
            let rows = self
                .query(&self.texts.executors.all)
                .bind(local_micros())
                .fetch_all(&mut *self.presence().await?)
                .await?;
            rows.iter().map(decode::decode::<_, ExecutorRow, _>).collect()
        })
    }

    fn fence_out(&self, executor: i64, epoch: i64) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let query = self.query(&self.texts.executors.depose).bind(executor).bind(epoch);
            Ok(self.write(&mut *self.presence().await?, query).await? > 0)
        })
    }

    fn take_over<'a>(&'a self, adopt: &'a TakeoverRequest) -> StoreFuture<'a, Takeover> {
        Box::pin(async move {
            let known: Vec<_> = adopt.known.iter().map(|it| (&it.name, it.max_recoveries)).collect();
            let query = self.fenced(&self.texts.executors.adopt, adopt.fence).bind(json(&known));
            let query = query.bind(i64::from(adopt.limit)).bind(adopt.running.as_ref().map(|it| json(it)));
            let query = TOO_MANY_RECOVERIES.into_iter().fold(query, sqlx::query::Query::bind);
            let rows = query.bind(local_micros()).fetch_all(&mut *self.presence().await?).await?;
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
            let names: Vec<&str> = known.iter().map(|it| it.name.as_str()).collect();
            let query = self.query(&self.texts.executors.count_unknown).bind(json(&names));
            Ok(query.fetch_one(&mut *self.presence().await?).await?.try_get::<i64, _>(0)?.unsigned_abs())
        })
    }

    fn release<'a>(&'a self, fence: Fence, stuck: &'a [i64]) -> StoreFuture<'a, ReleasedWorkflows> {
        Box::pin(async move {
            let query = self.fenced(&self.texts.executors.release, fence).bind(json(stuck));
            let rows = query.fetch_all(&mut *self.presence().await?).await?;
            self.meter.committed(rows.len() as u64);
            let direct: Result<Vec<bool>, StoreError> = rows.iter().map(|row| Ok(row.try_get("direct")?)).collect();
            let direct = direct?.into_iter().filter(|it| *it).count() as u64;
            Ok(ReleasedWorkflows { direct, queued: rows.len() as u64 - direct })
        })
    }

    fn work_left<'a>(&'a self, asked: &'a WorkQuery) -> StoreFuture<'a, WorkFound> {
        Box::pin(async move {
            let names: Vec<&str> = asked.known.iter().map(|it| it.name.as_str()).collect();
            let query = self.query(&self.texts.executors.work_left).bind(asked.executor).bind(json(&names));
            let row = query.bind(json(&asked.queues)).fetch_one(&mut *self.reading().await?).await?;
            Ok(WorkFound {
                own: row.try_get("own")?,
                released: row.try_get("released")?,
                queued: row.try_get("queued")?,
            })
        })
    }

    fn remove_executor(&self, fence: Fence) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(&mut *self.presence().await?, self.fenced(&self.texts.executors.sign_off, fence)).await?;
            Ok(())
        })
    }
}
