//! Queues: their limits and counts. The claims are in `claim` and `claim_limited` of each store.

use sqlx::Row;

use super::SqlStore;
use super::dialect::{
    AND_CLOCK, Connection, GREATEST, bind_row, bind_rows, list, now, parameters, planned_each_time, rows_parameters,
    rows_table,
};
use crate::store::columns::{LIMITS, QUEUE, QueueInfoRow, limits_of, names, names_of};
use crate::store::decode::decode;
use crate::store::enqueue_rows::without_partition;
use crate::store::sql::sql_statements;
use crate::store::{
    BacklogRow, ClaimRequest, Claimed, EnqueueOutcome, Fence, NewQueue, NewWorkflow, OutboxConnection, Promoted,
    QueueChange, QueueRow, Queues, StoreError, StoreFuture, Verdict,
};
use crate::types::keys::WorkflowKey;
use crate::types::time::Timestamp;

sql_statements! {
    /// From $1 rows of a queue. Unchanged limits are not written.
    declare = format!(
        "insert into durable.queues as q ({}, created_at)
         select {}, {}
           from {} {AND_CLOCK} where true order by wanted.name
         on conflict (name) do update set ({limits}) = ({})
          where not q.changed and ({}) is distinct from ({})",
        names(QUEUE),
        names_of("wanted", QUEUE),
        now(1 + rows_parameters(QUEUE)),
        rows_table(QUEUE, 1),
        names_of("excluded", LIMITS),
        names_of("q", LIMITS),
        names_of("excluded", LIMITS),
        limits = names(LIMITS)
    );
    /// Whether a workflow needs a partition key there. $1 name.
    partitioned = "select partitioned from durable.queues where name = $1";
    /// All of them.
    names = "select name from durable.queues order by name";
    /// $1 name; $2 paused.
    pause = "update durable.queues set paused = $2 where name = $1";
    /// $1 name; from $2 the limits; then whether they differ from those in the code.
    change = format!(
        "update durable.queues set ({}) = ({}), changed = ${} where name = $1",
        names(LIMITS),
        parameters(LIMITS, 2),
        2 + LIMITS.len()
    );
    /// Each of the three counts reads an index that holds nothing else.
    all = format!(
        "with counts (queue, enqueued, delayed, running, oldest) as materialized (
             select w.queue, count(*), 0, 0, min({GREATEST}(w.created_at, coalesce(w.due_at, 0)))
               from durable.workflows w where w.status = 'ENQUEUED' and w.queue is not null group by w.queue
             union all
             select w.queue, 0, count(*), 0, null
               from durable.workflows w where w.status = 'DELAYED' and w.queue is not null group by w.queue
             union all
             select w.queue, 0, 0, count(*), null
               from durable.workflows w where w.status = 'PENDING' and w.queue is not null group by w.queue)
         select names.name, {}, q.changed, cast(coalesce(sum(c.enqueued), 0) as bigint) as enqueued,
                cast(coalesce(sum(c.delayed), 0) as bigint) as delayed,
                cast(coalesce(sum(c.running), 0) as bigint) as running, min(c.oldest) as oldest
           from (select name from durable.queues union select queue from counts) names
           left join durable.queues q on q.name = names.name
           left join counts c on c.queue = names.name
          group by names.name, q.name
          order by names.name",
        limits_of("q")
    );
    /// What a queue has to do. $1 queue; $2 limit of each count; $3 now. The first workflow of each priority is found
    /// without those behind it. The orders are those of the indexes that hold nothing else.
    backlog = format!(
        "with recursive heads (key) as (
             select * from (select w.key from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $1
                             order by w.priority, w.created_at, w.key limit 1) first
             union all
             select (select w.key from durable.workflows w
                      where w.status = 'ENQUEUED' and w.queue = $1 and w.priority > head.priority
                      order by w.priority, w.created_at, w.key limit 1)
               from heads h join durable.workflows head on head.key = h.key)
         select (select count(*) from (select 1 from durable.workflows w
                  where w.status = 'ENQUEUED' and w.queue = $1
                  order by w.priority, w.created_at, w.key limit $2) counted) as enqueued,
                (select count(*) from (select w.queue from durable.workflows w {AND_CLOCK}
                  where w.status = 'DELAYED' and w.due_at <= {} order by w.due_at limit $2) due
                  where due.queue = $1) as due,
                (select count(*) from (select 1 from durable.workflows w
                  where w.status = 'PENDING' and w.queue = $1 order by w.partition_key limit $2) counted) as running,
                (select min({GREATEST}(w.created_at, coalesce(w.due_at, 0)))
                   from (select key from heads limit 100) h join durable.workflows w on w.key = h.key) as oldest,
                exists (select 1 from durable.queues q where q.name = $1 and q.paused) as paused",
        now(3)
    );
}

/// What was found of a queue.
pub(super) enum FoundQueue {
    Queue {
        /// Whether workflows on it need partition keys.
        partitioned: bool,
    },
    /// There is none of this name; these are all names.
    Unknown(Vec<String>),
}

impl SqlStore {
    /// Looks for the queue to which an operator sends a workflow: on one that no process has declared it would wait
    /// without an end.
    pub(super) async fn find_queue(&self, connection: &mut Connection, name: &str) -> Result<FoundQueue, StoreError> {
        let query = self.query(&self.sql.queues.partitioned).bind(name);
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            return Ok(FoundQueue::Queue { partitioned: row.try_get(0)? });
        }
        let rows = self.query(&self.sql.queues.names).fetch_all(connection).await?;
        Ok(FoundQueue::Unknown(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?))
    }
}

impl Queues for SqlStore {
    fn declare_queues<'a>(&'a self, queues: &'a [NewQueue]) -> StoreFuture<'a, ()> {
        self.call(async move {
            if queues.is_empty() {
                return Ok(());
            }
            let query = self.bind_now(bind_rows(self.query(&self.sql.queues.declare), QUEUE, queues.iter()));
            self.write(&mut *self.leases().await?, query).await?;
            Ok(())
        })
    }

    fn claim<'a>(&'a self, request: &'a ClaimRequest) -> StoreFuture<'a, Claimed> {
        self.call(self.claim_for(request))
    }

    fn return_claims<'a>(&'a self, fence: Fence, keys: &'a [WorkflowKey]) -> StoreFuture<'a, ()> {
        self.call(self.return_claimed(fence, keys))
    }

    fn release_unknown_claims<'a>(
        &'a self,
        fence: Fence,
        queue: &'a str,
        known: &'a [WorkflowKey],
    ) -> StoreFuture<'a, u64> {
        self.call(self.return_unknown(fence, queue, known))
    }

    fn promote(&self) -> StoreFuture<'_, Promoted> {
        self.call(self.promote_due())
    }

    fn queues_with_work<'a>(&'a self, queues: &'a [String]) -> StoreFuture<'a, Vec<String>> {
        self.call(async move {
            let query = self.query(&self.sql.claim.with_work).bind(list(queues));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            Ok(rows.iter().map(|row| row.try_get("name")).collect::<Result<_, _>>()?)
        })
    }

    fn queues(&self) -> StoreFuture<'_, Vec<QueueRow>> {
        self.call(async move {
            let rows = self.query(&self.sql.queues.all).fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, QueueInfoRow, _>).collect()
        })
    }

    fn queue_backlog<'a>(&'a self, queue: &'a str, most: u32) -> StoreFuture<'a, BacklogRow> {
        self.call(async move {
            let query = self.query(&self.sql.queues.backlog).bind(queue).bind(i64::from(most));
            let row = planned_each_time(self.bind_now(query)).fetch_one(&mut *self.reading().await?).await?;
            let count = |name: &str| Ok::<_, StoreError>(row.try_get::<i64, _>(name)?.unsigned_abs());
            let waiting = (count("enqueued")? + count("due")?).min(u64::from(most));
            let oldest = row.try_get::<Option<i64>, _>("oldest")?.map(Timestamp::from_micros);
            Ok(BacklogRow { waiting, running: count("running")?, oldest, paused: row.try_get("paused")? })
        })
    }

    fn change_queue<'a>(&'a self, name: &'a str, change: QueueChange) -> StoreFuture<'a, bool> {
        self.call(async move {
            let sql = &self.sql.queues;
            let limits = |limits, changed: bool| {
                let queue = NewQueue { name: name.to_owned(), limits };
                bind_row(self.query(&sql.change), QUEUE, &queue).bind(changed)
            };
            let query = match change {
                QueueChange::Pause => self.query(&sql.pause).bind(name).bind(true),
                QueueChange::Resume => self.query(&sql.pause).bind(name).bind(false),
                QueueChange::Limits(it) => limits(it, true),
                QueueChange::LimitsOfCode(it) => limits(it, false),
            };
            Ok(self.write(&mut *self.writing().await?, query).await? > 0)
        })
    }

    fn enqueue_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        workflow: &'a NewWorkflow,
    ) -> StoreFuture<'a, EnqueueOutcome> {
        self.call(async move {
            let Some(connection) = Self::own_connection(connection) else { return Ok(EnqueueOutcome::OtherDatabase) };
            let enqueued = self.enqueue_on(connection, workflow).await;
            Ok(enqueued.map_err(|error| self.explain_missing_tables(error))?.outcome())
        })
    }

    fn enqueue<'a>(&'a self, workflow: &'a NewWorkflow) -> StoreFuture<'a, Verdict> {
        self.call(async move {
            let mut connection = self.writing().await?;
            if let Some(place) = workflow.placement.as_ref().filter(|it| it.partition.is_none()) {
                let queue = self.query(&self.sql.queues.partitioned).bind(&place.queue);
                if let Some(row) = queue.fetch_optional(&mut *connection).await?
                    && row.try_get(0)?
                {
                    return Err(without_partition(workflow, &place.queue));
                }
            }
            let verdict = self.enqueue_on(&mut connection, workflow).await?.verdict();
            self.counter.committed(u64::from(verdict == Verdict::Stored));
            Ok(verdict)
        })
    }
}
