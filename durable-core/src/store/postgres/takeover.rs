//! Takeovers in Postgres: heartbeats, fencing out dead executors, taking over their workflows, and
//! releasing workflows. All of it uses the connections for leases.

use std::time::Duration;

use sqlx::Row;

use crate::store::columns::{ExecutorRow, RunColumns, select};
use crate::store::decode::{self, decode};
use crate::store::postgres::claim::rows_by_key;
use crate::store::postgres::connections::no_answer;
use crate::store::postgres::connector::Connector;
use crate::store::postgres::dialect::{CLOCK, FENCE, FENCE_HOLDS, ORPHANED, is_known, name_and_version};
use crate::store::postgres::executors::names_of_known;
use crate::store::postgres::{LEASES_LOCK_TIMEOUT, PostgresStore};
use crate::store::rows_by_kind::{MAX_NOT_RUNNING, RELEASED_AT_ONCE, TOO_MANY_RECOVERIES, numbers};
use crate::store::sql::sql_statements;
use crate::store::{
    Fence, HeartbeatResult, ReleaseRequest, ReleasedWorkflows, RunningPart, StoreError, StoreErrorKind, Takeover,
    TakeoverRequest,
};
use crate::types::keys::ExecutorKey;
use crate::types::time::micros;

/// The shortest time that a heartbeat has.
const MIN_HEARTBEAT_TIME: Duration = Duration::from_millis(100);

sql_statements! {
    /// Prolongs the lease and reads what the heartbeat reports, one row per result. $1, $2 fence; $3 lease;
    /// $4 running keys, of those behind $5 up to $6.
    heartbeat = format!(
        "with recursive {ORPHANED},
         clock as materialized {CLOCK},
         beat as (
             update durable.executors set lease_until = clock.now + $3::bigint from clock
              where key = $1::bigint and epoch = $2::bigint
             returning 1)
         select 'fence_holds' as what, null::bigint as key, null::bigint as epoch, null::text as name, null::text as host,
                null::text as lock_file, null::text as status, null::boolean as expired, null::boolean as leaving
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
          where w.status <> 'PENDING' or w.executor is distinct from $1::bigint
         union all
         select 'not_running', key, null, null, null, null, null, null, null
           from (select w.key from durable.workflows w
                  where w.status = 'PENDING' and w.executor = $1::bigint and w.key > $5::bigint and w.key <= $6::bigint
                 except select unnest($4::bigint[])
                 order by key limit {MAX_NOT_RUNNING}) w"
    );
    /// $1, $2 the key and the epoch of the dead executor. The lock waits for flushes that hold the row
    /// by their fence; an update alone would not, since it changes no key.
    fence_out =
        "with dead as (
             select key from durable.executors
              where key = $1::bigint and epoch = $2::bigint and state <> 'DEAD' for update)
         update durable.executors e set epoch = e.epoch + 1, state = 'DEAD' from dead where e.key = dead.key";
    /// Ends sessions that do nothing in a transaction in which they have locked rows of executors: the process of
    /// such a one is stopped or cut off, or a person forgot it. $1 how long they have done nothing, in
    /// milliseconds. A role may end its own sessions, and a superuser all.
    end_sessions =
        "select count(*) as ended from (
             select pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
              where a.datname = current_database() and a.pid <> pg_backend_pid()
                and a.state in ('idle in transaction', 'idle in transaction (aborted)')
                and a.state_change < statement_timestamp() - $1::bigint * interval '1 ms'
                and (a.usename = current_user
                     or exists (select 1 from pg_catalog.pg_roles r where r.rolname = current_user and r.rolsuper))
                and exists (select 1 from pg_catalog.pg_locks l
                             where l.pid = a.pid and l.mode = 'RowShareLock'
                               and l.relation = 'durable.executors'::regclass)) ended";
    /// Ends the users' transactions of an executor that was fenced out: nothing of them can be committed, and where its
    /// connections fell silent, each would keep its locks until the server finds it idle for too long, and those that
    /// wait for these locks on silent connections would follow one after the other. $1 a pattern for their names.
    end_transactions =
        "select count(*) as ended from (
             select pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
              where a.datname = current_database() and a.application_name like $1
                and (a.usename = current_user
                     or exists (select 1 from pg_catalog.pg_roles r where r.rolname = current_user and r.rolsuper))) ended";
    /// $1, $2 fence; $3 names and $4 how often each may be recovered; $5 limit; $6 running keys or NULL;
    /// $7 to $9 the reason. A workflow that was started here a moment ago has its
    /// first run and is not lost.
    /// Workflows without a living owner are read in the order of the index, up to the limit for each former owner, so that
    /// a batch costs the same whether a hundred or a million are left. Lost ones are found by one comparison of sets.
    take_over = format!(
        "with recursive {ORPHANED},
         known as materialized (select * from unnest($3::text[], $4::bigint[]) as known (name, most)),
         fence as materialized {FENCE},
         released as (
             select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed from durable.workflows w
              where w.status = 'PENDING' and w.executor is null and ({known} or w.queue is not null)
              order by w.executor, w.key limit $5::bigint for update skip locked),
         abandoned as (
             select w.key, w.name, w.version, w.queue, w.recoveries,
                    not exists (select 1 from durable.executors e where e.key = o.executor and e.was_alive) as crashed
               from orphaned o
              cross join lateral (
                    select i.key, i.name, i.version, i.queue, i.recoveries from durable.workflows i
                     where i.status = 'PENDING' and i.executor = o.executor
                       and ({known_of_owner} or i.queue is not null)
                     order by i.executor, i.key limit $5::bigint for update skip locked) w),
         lost as (
             select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed from durable.workflows w
              where $6::bigint[] is not null and w.status = 'PENDING' and w.executor = $1::bigint
                and w.attempt > 1 and w.queue is null and {known}
                and w.key = any(array(
                        select own.key from durable.workflows own where own.status = 'PENDING' and own.executor = $1::bigint
                        except select unnest($6::bigint[])))
              order by w.executor, w.key limit $5::bigint for update skip locked),
         chosen as (
             select free.*, marks.parked, case when not marks.parked then free.queue end as requeued
               from (select * from released union all select * from abandoned union all select * from lost) free
               left join known on known.name in (free.name, {name_and_version})
              cross join lateral (
                    select free.crashed and known.most is not null and free.recoveries >= known.most as parked) marks
              cross join fence
              order by free.key limit $5::bigint)
         update durable.workflows w
            set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
                reason = case when c.parked then $7::text || w.recoveries || $8::text || w.recoveries || $9::text || w.id || '`'
                              else w.reason end,
                executor = case when c.parked then w.executor when c.requeued is null then $1::bigint end,
                attempt = case when c.parked or c.requeued is not null then w.attempt else w.attempt + 1 end,
                recoveries = case when c.crashed and not c.parked then w.recoveries + 1 else w.recoveries end,
                started_at = case when c.parked then w.started_at when c.requeued is null then now.now end
           from chosen c, {CLOCK} now
          where w.key = c.key
         returning {}, c.parked",
        select("w", RunColumns::COLUMNS, &[
            ("input", "case when c.requeued is null then w.input else '' end"),
            ("queue", "case when c.parked then w.queue else c.requeued end")
        ]),
        known = is_known("w", 3),
        known_of_owner = is_known("i", 3),
        name_and_version = name_and_version("free")
    );
    /// $1, $2 fence; $3 keys; $4 whether these are released, or all others; $5 limit.
    /// The attempt stays, because a run with a later one reads the records of earlier runs.
    release = format!(
        "with chosen as materialized (
             select key from durable.workflows
              where status = 'PENDING' and executor = $1::bigint and (key = any($3::bigint[])) = $4::boolean and {FENCE_HOLDS}
              order by executor, key limit $5::bigint for update),
         freed as (
             update durable.workflows w
                set status = case when w.queue is null then 'PENDING' else 'ENQUEUED' end,
                    executor = null,
                    started_at = case when w.queue is null then w.started_at end
               from {}
              where w.key = it.key
             returning w.queue is null as direct)
         select count(*) filter (where direct) as direct, count(*) filter (where not direct) as queued from freed",
        rows_by_key("chosen", "$5::bigint")
    );
}

impl PostgresStore {
    /// Fences an executor out. No session can prevent that for long: one that holds the executor's row and does
    /// nothing is ended. What it has left open is ended, too.
    pub(super) async fn fence_out_or_end_sessions(&self, fence: Fence) -> Result<bool, StoreError> {
        let mut raised = self.call(self.raise_epoch(fence)).await;
        if matches!(&raised, Err(error) if error.kind == StoreErrorKind::Contended) {
            let ended = self.call(self.end_idle_sessions()).await?;
            if ended > 0 {
                tracing::warn!(target: "durable", sessions = ended, "ended sessions that held an executor's row in an idle transaction, so that its workflows can be taken over");
            }
            raised = self.call(self.raise_epoch(fence)).await;
        }
        if matches!(raised, Ok(true)) {
            match self.call(self.end_transactions(fence.executor)).await {
                Ok(0) => {}
                Ok(ended) => {
                    tracing::warn!(target: "durable", sessions = ended, "ended transactions of an executor that was taken over: its connections fell silent, or its process was stopped");
                }
                // The server ends them later, when they have been idle for too long.
                Err(error) => {
                    tracing::warn!(target: "durable", %error, "the transactions of an executor that was taken over could not be ended");
                }
            }
        }
        raised
    }

    async fn end_transactions(&self, executor: ExecutorKey) -> Result<i64, StoreError> {
        let query = self.query(&self.sql.takeover.end_transactions).bind(Connector::sessions_of(executor));
        Ok(query.fetch_one(&mut *self.leases().await?).await?.try_get("ended")?)
    }

    async fn end_idle_sessions(&self) -> Result<i64, StoreError> {
        let query = self.query(&self.sql.takeover.end_sessions);
        let query = query.bind(i64::try_from(LEASES_LOCK_TIMEOUT.as_millis()).unwrap_or(i64::MAX));
        Ok(query.fetch_one(&mut *self.leases().await?).await?.try_get("ended")?)
    }

    pub(super) async fn prolong_lease(
        &self,
        fence: Fence,
        lease: Duration,
        running: RunningPart<'_>,
    ) -> Result<HeartbeatResult, StoreError> {
        let query = self.fenced(&self.sql.takeover.heartbeat, fence).bind(micros(lease));
        let query = query.bind(numbers(running.keys)).bind(running.after.get()).bind(running.through.get());
        // Two have time within the lease.
        let deadline = self.settings.statement_timeout.min((lease / 3).max(MIN_HEARTBEAT_TIME));
        let sent = async { Ok::<_, StoreError>(query.fetch_all(&mut *self.leases().await?).await?) };
        let rows = tokio::time::timeout(deadline, sent).await.unwrap_or_else(|_| Err(no_answer(deadline)))?;
        let mut result = HeartbeatResult::default();
        for row in &rows {
            match row.try_get::<&str, _>("what")? {
                "fence_holds" => result.fence_holds = true,
                "now" => result.now = row.try_get("key")?,
                "orphans" => result.orphans = true,
                "expired" => result.expired.push(decode::<_, ExecutorRow, _>(row)?),
                "not_running" => result.not_running.push(row.try_get::<i64, _>("key")?.into()),
                _ => result
                    .no_longer_owned
                    .push((row.try_get::<i64, _>("key")?.into(), decode::status(row.try_get("status")?)?)),
            }
        }
        self.counter.committed(u64::from(result.fence_holds));
        Ok(result)
    }

    pub(super) async fn take_over_for(&self, request: &TakeoverRequest) -> Result<Takeover, StoreError> {
        let most: Vec<i64> = request.known.iter().map(|it| i64::from(it.max_recoveries)).collect();
        let query = self.fenced(&self.sql.takeover.take_over, request.fence).bind(names_of_known(&request.known));
        let query = query.bind(most).bind(i64::from(request.limit)).bind(request.running.as_deref().map(numbers));
        let query = TOO_MANY_RECOVERIES.into_iter().fold(query, sqlx::query::Query::bind);
        let rows = query.fetch_all(&mut *self.leases().await?).await?;
        self.counter.committed(rows.len() as u64);
        Takeover::of(&rows)
    }

    pub(super) async fn release_some(
        &self,
        fence: Fence,
        which: ReleaseRequest<'_>,
    ) -> Result<ReleasedWorkflows, StoreError> {
        let (keys, are_released) = which.keys();
        let query = self.fenced(&self.sql.takeover.release, fence).bind(numbers(keys)).bind(are_released);
        let query = query.bind(RELEASED_AT_ONCE.cast_signed());
        let row = query.fetch_one(&mut *self.leases().await?).await?;
        let count = |column| Ok::<_, StoreError>(row.try_get::<i64, _>(column)?.unsigned_abs());
        let released = ReleasedWorkflows { direct: count("direct")?, queued: count("queued")? };
        self.counter.committed(released.direct + released.queued);
        Ok(released)
    }
}
