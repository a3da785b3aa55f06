//! Takeovers in SQLite: heartbeats, fencing out dead executors, taking over their workflows, and
//! releasing workflows.

use std::time::Duration;

use sqlx::Row;

use crate::store::columns::{ExecutorRow, RunColumns, select};
use crate::store::decode::{self, decode};
use crate::store::rows_by_kind::{MAX_NOT_RUNNING, RELEASED_AT_ONCE, TOO_MANY_RECOVERIES, numbers};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::claim::INPUT;
use crate::store::sqlite::dialect::{FENCE_HOLDS, ORPHANED, list, name_and_version};
use crate::store::{
    Fence, HeartbeatResult, ReleaseRequest, ReleasedWorkflows, RunningPart, StoreError, Takeover, TakeoverRequest,
};

/// A condition: the workflow `row` is `known`.
fn is_known_here(row: &str) -> String {
    format!("({row}.name in (select name from known) or {} in (select name from known))", name_and_version(row))
}

sql_statements! {
    /// $1, $2 fence; $3 until when.
    prolong_lease = "update durable.executors set lease_until = $3 where key = $1 and epoch = $2";
    /// Reads what the heartbeat reports, one row per result. $1 the executor; $2 now; $3 running keys,
    /// of those behind $4 up to $5.
    look_around = format!(
        "with recursive {ORPHANED}
         select 'orphans' as what, null as key, null as epoch, null as name, null as host, null as lock_file,
                null as status, null as expired, null as leaving
          where exists (select 1 from durable.workflows where status = 'PENDING' and executor is null)
             or exists (select 1 from orphaned)
         union all
         select 'expired', e.key, e.epoch, e.name, e.host, e.lock_file, null, true, e.state = 'LEAVING'
           from durable.executors e
          where e.state <> 'DEAD' and e.lease_until < $2 and e.key <> $1
         union all
         select 'gone', w.key, null, null, null, null, w.status, null, null
           from json_each($3) running join durable.workflows w on w.key = running.value
          where w.status <> 'PENDING' or w.executor is not $1
         union all
         select 'not_running', key, null, null, null, null, null, null, null
           from (select w.key from durable.workflows w indexed by durable_workflows_pending
                  where w.status = 'PENDING' and w.executor = $1 and w.key > $4 and w.key <= $5
                    and w.key not in (select value from json_each($3))
                  order by w.key limit {MAX_NOT_RUNNING}) w"
    );
    /// $1, $2 the key and the epoch of the dead executor. Its commits wait for the same write lock, so none
    /// is in flight here.
    fence_out =
        "update durable.executors set epoch = epoch + 1, state = 'DEAD'
          where key = $1 and epoch = $2 and state <> 'DEAD'";
    /// $1, $2 fence; $3 names and how often each may be recovered; $4 limit; $5 running keys or NULL;
    /// $6 to $8 the reason; $9 now. A workflow that was started here a moment ago has
    /// its first run and is not lost.
    /// Workflows without a living owner are read in the order of the index, up to the limit, so that a batch costs the same
    /// whether a hundred or a million are left. Those of several former owners are read one owner after the other.
    take_over = format!(
        "with recursive {ORPHANED},
         known (name, most) as materialized (select cast(value ->> 0 as text), value ->> 1 from json_each($3)),
         released as (
             select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed
               from durable.workflows w indexed by durable_workflows_pending
              where w.status = 'PENDING' and w.executor is null and ({known} or w.queue is not null)
              order by w.executor, w.key limit $4),
         abandoned as (
             select w.key, w.name, w.version, w.queue, w.recoveries,
                    w.executor not in (select key from durable.executors where was_alive) as crashed
               from orphaned o cross join durable.workflows w indexed by durable_workflows_pending
              where w.status = 'PENDING' and w.executor = o.executor and ({known} or w.queue is not null)
              limit $4),
         lost as (
             select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed
               from durable.workflows w indexed by durable_workflows_pending
              where $5 is not null and w.status = 'PENDING' and w.executor = $1 and w.attempt > 1 and w.queue is null
                and w.key not in (select value from json_each($5)) and {known}
              order by w.executor, w.key limit $4),
         chosen as (
             select free.key as chosen, free.crashed, free.queue,
                    free.crashed and coalesce(free.recoveries >= coalesce(by_name.most, by_version.most), 0) as parked
               from (select * from released union all select * from abandoned union all select * from lost) free
               left join known by_name on by_name.name = free.name
               left join known by_version on by_version.name = {name_and_version}
              where {FENCE_HOLDS}
              order by free.key limit $4)
         update durable.workflows
            set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
                reason = case when c.parked then $6 || recoveries || $7 || recoveries || $8 || id || '`' else reason end,
                executor = case when c.parked then executor when c.requeued is null then $1 end,
                attempt = case when c.parked or c.requeued is not null then attempt else attempt + 1 end,
                recoveries = case when c.crashed and not c.parked then recoveries + 1 else recoveries end,
                started_at = case when c.parked then started_at when c.requeued is null then $9 end
           from (select *, case when not parked then queue end as requeued from chosen) c
          where key = c.chosen
         returning {}, status = 'PARKED' as parked",
        select("durable.workflows", RunColumns::COLUMNS, &[
            ("input", &format!("case when status = 'ENQUEUED' then '' else {INPUT} end")),
            ("queue", "case when status in ('ENQUEUED', 'PARKED') then queue end")
        ]),
        known = is_known_here("w"),
        name_and_version = name_and_version("free")
    );
    /// $1, $2 fence; $3 keys; $4 whether these are released, or all others; $5 limit.
    /// The attempt stays, because a run with a later one reads the records of earlier runs.
    release = format!(
        "update durable.workflows
            set status = case when queue is null then 'PENDING' else 'ENQUEUED' end,
                executor = null,
                started_at = case when queue is null then started_at end
          where key in (
                select w.key from durable.workflows w indexed by durable_workflows_pending
                 where w.status = 'PENDING' and w.executor = $1
                   and (w.key in (select value from json_each($3))) = $4 and {FENCE_HOLDS}
                 order by w.executor, w.key limit $5)
         returning queue is null as direct"
    );
}

impl SqliteStore {
    /// Other sessions hold no locks on single rows here.
    pub(super) async fn fence_out_or_end_sessions(&self, fence: Fence) -> Result<bool, StoreError> {
        self.call(self.raise_epoch(fence)).await
    }

    pub(super) async fn prolong_lease(
        &self,
        fence: Fence,
        lease: Duration,
        running: RunningPart<'_>,
    ) -> Result<HeartbeatResult, StoreError> {
        let now = self.clock.now();
        let query = self.fenced(&self.sql.takeover.prolong_lease, fence).bind(now.saturating_add(lease));
        let fence_holds = self.write(&mut *self.leases().await?, query).await? > 0;
        let mut result = HeartbeatResult { fence_holds, now, ..HeartbeatResult::default() };
        let query = self.query(&self.sql.takeover.look_around).bind(fence.executor.get()).bind(now);
        let query = query.bind(list(&numbers(running.keys))).bind(running.after.get()).bind(running.through.get());
        for row in &query.fetch_all(&mut *self.leases().await?).await? {
            match row.try_get::<&str, _>("what")? {
                "orphans" => result.orphans = true,
                "expired" => result.expired.push(decode::<_, ExecutorRow, _>(row)?),
                "not_running" => result.not_running.push(row.try_get::<i64, _>("key")?.into()),
                _ => result
                    .no_longer_owned
                    .push((row.try_get::<i64, _>("key")?.into(), decode::status(row.try_get("status")?)?)),
            }
        }
        Ok(result)
    }

    pub(super) async fn take_over_for(&self, request: &TakeoverRequest) -> Result<Takeover, StoreError> {
        let known: Vec<_> = request.known.iter().map(|it| (&it.name, it.max_recoveries)).collect();
        let query = self.fenced(&self.sql.takeover.take_over, request.fence).bind(list(&known));
        let query = query.bind(i64::from(request.limit)).bind(request.running.as_deref().map(|it| list(&numbers(it))));
        let query = TOO_MANY_RECOVERIES.into_iter().fold(query, sqlx::query::Query::bind);
        let rows = query.bind(self.clock.now()).fetch_all(&mut *self.leases().await?).await?;
        self.counter.committed(rows.len() as u64);
        Takeover::of(&rows)
    }

    pub(super) async fn release_some(
        &self,
        fence: Fence,
        which: ReleaseRequest<'_>,
    ) -> Result<ReleasedWorkflows, StoreError> {
        let (keys, are_released) = which.keys();
        let query = self.fenced(&self.sql.takeover.release, fence).bind(list(&numbers(keys))).bind(are_released);
        let query = query.bind(RELEASED_AT_ONCE.cast_signed());
        let rows = query.fetch_all(&mut *self.leases().await?).await?;
        self.counter.committed(rows.len() as u64);
        let direct: Result<Vec<bool>, StoreError> = rows.iter().map(|row| Ok(row.try_get("direct")?)).collect();
        let direct = direct?.into_iter().filter(|it| *it).count() as u64;
        Ok(ReleasedWorkflows { direct, queued: rows.len() as u64 - direct })
    }
}
