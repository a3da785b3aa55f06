//! Executors: leases, and leaving. The statements of a takeover are in `takeover` of each store.

use std::time::Duration;

use sqlx::Row;

use super::SqlStore;
use super::dialect::{AND_CLOCK, FROM_CLOCK, ORPHANED, bind_row, is_in, is_known, list, now, parameters};
use crate::store::columns::{EXECUTOR, ExecutorRow, ListedExecutorRow, names, select};
use crate::store::decode::decode;
use crate::store::rows_by_kind::RELEASED_AT_ONCE;
use crate::store::sql::sql_statements;
use crate::store::{
    ExecutorInfo, Executors, Fence, HeartbeatResult, KnownWorkflow, NewExecutor, ReleaseRequest, ReleasedWorkflows,
    RunningPart, StoreError, StoreFuture, Takeover, TakeoverRequest, WorkFound, WorkQuery,
};
use crate::types::executor_listing::ListedExecutor;
use crate::types::keys::{Epoch, ExecutorKey};
use crate::types::time::micros;

sql_statements! {
    /// $1 to $6 the executor; $7 the lease; $8 the first epoch; $9 now.
    register = format!(
        "insert into durable.executors ({}, lease_until, epoch, state, started_at)
         select {}, {now} + $7, $8, 'LIVE', {now} {FROM_CLOCK} where true
         on conflict (key) do nothing",
        names(EXECUTOR),
        parameters(EXECUTOR, 1),
        now = now(9)
    );
    /// $1, $2 fence.
    mark_leaving =
        "update durable.executors set state = 'LEAVING' where key = $1 and epoch = $2 and state = 'LIVE'";
    /// $1 now.
    all = format!(
        "select {} from durable.executors e {AND_CLOCK} where e.state <> 'DEAD' order by e.key",
        select("e", ExecutorRow::COLUMNS, &[
            ("expired", &format!("e.lease_until < {}", now(1))),
            ("leaving", "e.state = 'LEAVING'")
        ])
    );
    /// $1 now.
    listed = format!(
        "select {} from durable.executors e {AND_CLOCK} where true order by e.started_at, e.key",
        select("e", ListedExecutorRow::COLUMNS, &[
            ("expired", &format!("e.lease_until < {}", now(1))),
            (
                "running",
                "(select count(*) from durable.workflows w where w.status = 'PENDING' and w.executor = e.key)"
            )
        ])
    );
    /// $1 known names.
    count_unknown = format!(
        "with recursive {ORPHANED}
         select it.name, count(*) from (
             select w.name from durable.workflows w
              where w.status = 'PENDING' and (w.executor is null or w.executor in (select executor from orphaned))
                and not {} and w.queue is null
              limit 20000) it
          group by it.name order by it.name",
        is_known("w", 1)
    );
    /// $1 the executor; $2 known names; $3 queues; $4 whether delayed ones count.
    work_left = format!(
        "select exists (select 1 from durable.workflows where status = 'PENDING' and executor = $1) as own,
                exists (select 1 from durable.workflows w
                         where w.status = 'PENDING' and w.executor is null
                           and ({known} or w.queue is not null)) as released,
                exists (select 1 from durable.workflows w
                         where (w.status = 'ENQUEUED' or (w.status = 'DELAYED' and $4)) and {} and {known}
                           and not exists (select 1 from durable.queues q where q.name = w.queue and q.paused)) as queued",
        is_in("w.queue", 3),
        known = is_known("w", 2)
    );
    /// $1 the executor.
    note_alive = "update durable.executors set was_alive = true where key = $1 and state = 'DEAD'";
    remove_dead =
        "delete from durable.executors as e
          where e.state = 'DEAD' and not exists (
                select 1 from durable.workflows w where w.status = 'PENDING' and w.executor = e.key)";
    /// $1, $2 fence. A stuck workflow still refers to the row: then the lease has to expire.
    remove =
        "delete from durable.executors
          where key = $1 and epoch = $2
            and not exists (select 1 from durable.workflows where status = 'PENDING' and executor = $1)";
}

impl SqlStore {
    /// Raises the epoch of an executor, if it is still that of the fence.
    pub(super) async fn raise_epoch(&self, fence: Fence) -> Result<bool, StoreError> {
        let query = self.fenced(&self.sql.takeover.fence_out, fence);
        Ok(self.write(&mut *self.leases().await?, query).await? > 0)
    }
}

impl Executors for SqlStore {
    fn register_executor<'a>(&'a self, executor: &'a NewExecutor) -> StoreFuture<'a, Fence> {
        self.call(async move {
            let fence = Fence { executor: executor.key, epoch: Fence::FIRST_EPOCH };
            let query = bind_row(self.query(&self.sql.executors.register), EXECUTOR, executor);
            let query = self.bind_now(query.bind(micros(executor.lease)).bind(fence.epoch.get()));
            // The key is fresh, so a row that is there was left by this very call, sent before.
            self.write(&mut *self.leases().await?, query).await?;
            Ok(fence)
        })
    }

    fn heartbeat<'a>(
        &'a self,
        fence: Fence,
        lease: Duration,
        running: RunningPart<'a>,
    ) -> StoreFuture<'a, HeartbeatResult> {
        self.call(self.prolong_lease(fence, lease, running))
    }

    fn mark_leaving(&self, fence: Fence) -> StoreFuture<'_, ()> {
        self.call(async move {
            let query = self.fenced(&self.sql.executors.mark_leaving, fence);
            self.write(&mut *self.leases().await?, query).await?;
            Ok(())
        })
    }

    fn executors(&self) -> StoreFuture<'_, Vec<ExecutorInfo>> {
        self.call(async move {
            let query = self.bind_now(self.query(&self.sql.executors.all));
            query.fetch_all(&mut *self.leases().await?).await?.iter().map(decode::<_, ExecutorRow, _>).collect()
        })
    }

    fn list_executors(&self) -> StoreFuture<'_, Vec<ListedExecutor>> {
        self.call(async move {
            let rows =
                self.bind_now(self.query(&self.sql.executors.listed)).fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, ListedExecutorRow, _>).collect()
        })
    }

    fn fence_out(&self, executor: ExecutorKey, epoch: Epoch) -> StoreFuture<'_, bool> {
        Box::pin(self.fence_out_or_end_sessions(Fence { executor, epoch }))
    }

    fn note_alive(&self, executor: ExecutorKey) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let query = self.query(&self.sql.executors.note_alive).bind(executor.get());
            self.write(&mut *self.leases().await?, query).await?;
            Ok(())
        })
    }

    fn remove_dead_executors(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let query = self.query(&self.sql.executors.remove_dead);
            Ok(self.write(&mut *self.leases().await?, query).await?)
        })
    }

    fn take_over<'a>(&'a self, request: &'a TakeoverRequest) -> StoreFuture<'a, Takeover> {
        self.call(self.take_over_for(request))
    }

    fn count_unknown<'a>(&'a self, known: &'a [KnownWorkflow]) -> StoreFuture<'a, Vec<(String, u64)>> {
        self.call(async move {
            let query = self.query(&self.sql.executors.count_unknown).bind(list(&names_of_known(known)));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            let mut counted = Vec::with_capacity(rows.len());
            for row in &rows {
                counted.push((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()));
            }
            Ok(counted)
        })
    }

    fn release<'a>(&'a self, fence: Fence, which: ReleaseRequest<'a>) -> StoreFuture<'a, ReleasedWorkflows> {
        Box::pin(async move {
            let mut all = ReleasedWorkflows::default();
            loop {
                let released = self.call(self.release_some(fence, which)).await?;
                all.direct += released.direct;
                all.queued += released.queued;
                if released.direct + released.queued < RELEASED_AT_ONCE {
                    return Ok(all);
                }
            }
        })
    }

    fn work_left<'a>(&'a self, query: &'a WorkQuery) -> StoreFuture<'a, WorkFound> {
        self.call(async move {
            let names = list(&names_of_known(&query.known));
            let statement = self.query(&self.sql.executors.work_left).bind(query.executor.get()).bind(names);
            let row = statement
                .bind(list(&query.queues))
                .bind(query.delayed)
                .fetch_one(&mut *self.reading_leases().await?)
                .await?;
            let (own, released, queued) = (row.try_get("own")?, row.try_get("released")?, row.try_get("queued")?);
            Ok(WorkFound { own, released, queued })
        })
    }

    fn remove_executor(&self, fence: Fence) -> StoreFuture<'_, ()> {
        self.call(async move {
            let query = self.fenced(&self.sql.executors.remove, fence);
            self.write(&mut *self.leases().await?, query).await?;
            Ok(())
        })
    }
}

/// The names of known workflows.
pub(super) fn names_of_known(known: &[KnownWorkflow]) -> Vec<&str> {
    known.iter().map(|it| it.name.as_str()).collect()
}
