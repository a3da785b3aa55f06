//! Deletes what is no longer needed: ended workflows by a policy, and everything.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::Row;

use super::SqlStore;
use super::dialect::{
    AND_CLOCK, Connection, ESTIMATE, FROM_CLOCK, FURTHER_BELONGING, LOCK_ROWS, MIGRATIONS, belongs_to, empty_tables,
    is_in, list, now, planned_each_time,
};
use super::workflow_changes::BELONGING;
use crate::store::decode::status;
use crate::store::migrations::newest;
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::sql_statements;
use crate::store::{DeletedWorkflow, EndCursor, EndedWorkflow, Maintenance, StoreError, StoreFuture, WaitingWork};
use crate::types::keys::{ExecutorKey, WorkflowKey};
use crate::types::status::Status;
use crate::types::time::{Timestamp, micros};

/// The tables that a reset empties besides those of workflows.
const OTHERS: [&str; 5] = ["queue_starts", "queue_turns", "queues", "schedules", "maintenance"];

sql_statements! {
    /// $1 task; $2 executor; $3 length; $4 now.
    take_turn = format!(
        "insert into durable.maintenance as m (task, executor, held_until)
         select $1, $2, {} + $3 {FROM_CLOCK} where true
         on conflict (task) do update set executor = excluded.executor, held_until = excluded.held_until
          where m.executor = excluded.executor or m.held_until < excluded.held_until - $3
             or not exists (select 1 from durable.executors e where e.key = m.executor and e.state <> 'DEAD')",
        now(4)
    );
    /// $1, $2 the cursor; $3 the time; $4 limit.
    ended =
        "select w.key, w.completed_at, w.name, w.status,
                w.parent is not null and exists (select 1 from durable.workflows p where p.key = w.parent) as is_child
           from durable.workflows w
          where w.completed_at is not null and (w.completed_at, w.key) > ($1, $2) and w.completed_at < $3
          order by w.completed_at, w.key limit $4";
    /// $1 name; $2 how many are before it.
    nth_last = format!(
        "select w.key from durable.workflows w
          where w.name = $1 and w.parent is null and w.status in {TERMINAL}
          order by w.key desc limit 1 offset $2"
    );
    by_keys = members(&is_in("key", 1), "");
    by_keys_locked = members(&is_in("key", 1), LOCK_ROWS);
    children = members(&belongs_to("workflows", "key", "parent", 1), "");
    children_locked = members(&belongs_to("workflows", "key", "parent", 1), LOCK_ROWS);
    estimate = ESTIMATE;
    waiting_work =
        "select waiting.queue, waiting.name, waiting.version, count(*) as number from (
             select * from (select w.queue, w.name, w.version from durable.workflows w
                             where w.status = 'ENQUEUED'
                               and not exists (select 1 from durable.queues q where q.name = w.queue and q.paused)
                             limit 20000) enqueued
             union all
             select * from (select null as queue, w.name, w.version from durable.workflows w
                             where w.status = 'PENDING' and w.executor is null limit 20000) released) waiting
          group by waiting.queue, waiting.name, waiting.version order by waiting.queue, waiting.name, waiting.version";
    /// $1 now.
    taken_work = format!(
        "select e.takes from durable.executors e {AND_CLOCK} where e.state = 'LIVE' and e.lease_until >= {}",
        now(1)
    );
    /// $1 reason; $2 now.
    cancel_all = format!(
        "update durable.workflows set status = 'CANCELLED', reason = $1, completed_at = {} {FROM_CLOCK}
          where status not in {TERMINAL}",
        now(2)
    );
    /// $1 key.
    other_executors = "delete from durable.executors where key <> $1";
}

/// Members of families by the keys of themselves or their parents. $1 keys.
fn members(condition: &str, lock: &str) -> String {
    format!(
        "select key, parent, name, status, completed_at from durable.workflows w where {condition} order by key {lock}"
    )
}

/// A workflow or one of its descendants.
struct FamilyMember {
    root: i64,
    key: i64,
    name: String,
    status: Status,
    ended: Option<Timestamp>,
}

impl SqlStore {
    /// Workflows with their descendants. Each generation is a statement of its own: for a recursive one Postgres
    /// would read the whole table.
    async fn families(
        &self,
        connection: &mut Connection,
        roots: &[WorkflowKey],
        lock: bool,
    ) -> Result<Vec<FamilyMember>, StoreError> {
        let sql = &self.sql.maintenance;
        let (mut text, children) =
            if lock { (&sql.by_keys_locked, &sql.children_locked) } else { (&sql.by_keys, &sql.children) };
        let mut members: Vec<FamilyMember> = Vec::new();
        let mut root_of: HashMap<i64, i64> = HashMap::new();
        let mut generation: Vec<i64> = roots.iter().map(|it| it.get()).collect();
        while !generation.is_empty() {
            let query = planned_each_time(self.query(text).bind(list(&generation)));
            generation.clear();
            for row in &query.fetch_all(&mut *connection).await? {
                let (key, parent): (i64, Option<i64>) = (row.try_get("key")?, row.try_get("parent")?);
                let root = parent.and_then(|parent| root_of.get(&parent)).copied().unwrap_or(key);
                root_of.insert(key, root);
                generation.push(key);
                members.push(FamilyMember {
                    root,
                    key,
                    name: row.try_get("name")?,
                    status: status(row.try_get("status")?)?,
                    ended: row.try_get::<Option<i64>, _>("completed_at")?.map(Timestamp::from_micros),
                });
            }
            text = children;
        }
        Ok(members)
    }

    /// Deletes, or only finds, the families of these workflows that have ended before a time.
    async fn delete_families(
        &self,
        roots: &[WorkflowKey],
        before: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<DeletedWorkflow>, StoreError> {
        if dry_run {
            let members = self.families(&mut *self.reading().await?, roots, false).await?;
            return Ok(ended_families(members, before).into_iter().map(|(_, it)| it).collect());
        }
        let mut connection = self.writing().await?;
        let mut transaction = self.begin(&mut connection).await?;
        let members = self.families(&mut transaction, roots, true).await?;
        let (keys, deleted): (Vec<i64>, Vec<_>) = ended_families(members, before).into_iter().unzip();
        if keys.is_empty() {
            self.roll_back(transaction).await?;
            return Ok(deleted);
        }
        let rows = self.delete_rows(&mut transaction, &keys).await?;
        self.end(transaction, rows).await?;
        Ok(deleted)
    }
}

/// The workflows, with their keys, of those families that have ended before a time.
fn ended_families(members: Vec<FamilyMember>, before: Timestamp) -> Vec<(i64, DeletedWorkflow)> {
    let ended = |it: &FamilyMember| it.ended.filter(|ended| it.status.is_terminal() && *ended < before);
    let kept: HashSet<i64> = members.iter().filter(|it| ended(it).is_none()).map(|it| it.root).collect();
    let deleted = |it: FamilyMember| {
        let ended = ended(&it).filter(|_| !kept.contains(&it.root))?;
        Some((it.key, DeletedWorkflow { name: it.name, status: it.status, ended }))
    };
    members.into_iter().filter_map(deleted).collect()
}

impl Maintenance for SqlStore {
    fn take_turn<'a>(&'a self, executor: ExecutorKey, task: &'a str, length: Duration) -> StoreFuture<'a, bool> {
        self.call(async move {
            let query = self.query(&self.sql.maintenance.take_turn).bind(task).bind(executor.get());
            let query = self.bind_now(query.bind(micros(length)));
            Ok(self.write(&mut *self.writing().await?, query).await? > 0)
        })
    }

    fn ended(&self, after: EndCursor, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<EndedWorkflow>> {
        self.call(async move {
            let query = self.query(&self.sql.maintenance.ended).bind(after.ended.as_micros()).bind(after.key);
            let query = planned_each_time(query.bind(before.as_micros()).bind(i64::from(limit)));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            let mut ended = Vec::with_capacity(rows.len());
            for row in &rows {
                let at = Timestamp::from_micros(row.try_get("completed_at")?);
                ended.push(EndedWorkflow {
                    place: EndCursor { ended: at, key: row.try_get("key")? },
                    name: row.try_get("name")?,
                    status: status(row.try_get("status")?)?,
                    is_child: row.try_get("is_child")?,
                });
            }
            Ok(ended)
        })
    }

    fn nth_last_ended<'a>(&'a self, name: &'a str, number: u32) -> StoreFuture<'a, Option<WorkflowKey>> {
        self.call(async move {
            let before = i64::from(number.saturating_sub(1));
            let query = planned_each_time(self.query(&self.sql.maintenance.nth_last).bind(name).bind(before));
            let row = query.fetch_optional(&mut *self.reading().await?).await?;
            Ok(row.map(|row| row.try_get::<i64, _>("key")).transpose()?.map(WorkflowKey::from))
        })
    }

    fn delete_ended<'a>(
        &'a self,
        roots: &'a [WorkflowKey],
        before: Timestamp,
        dry_run: bool,
    ) -> StoreFuture<'a, Vec<DeletedWorkflow>> {
        self.call(self.delete_families(roots, before, dry_run))
    }

    fn estimate_workflows(&self, most: u32) -> StoreFuture<'_, u64> {
        self.call(async move {
            let query = self.query(&self.sql.maintenance.estimate).bind(i64::from(most));
            let row = query.fetch_one(&mut *self.reading().await?).await?;
            Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
        })
    }

    fn waiting_work(&self) -> StoreFuture<'_, Vec<WaitingWork>> {
        self.call(async move {
            let rows = self.query(&self.sql.maintenance.waiting_work).fetch_all(&mut *self.reading().await?).await?;
            let waiting = |row| {
                Ok(WaitingWork {
                    queue: Row::try_get(row, "queue")?,
                    name: Row::try_get(row, "name")?,
                    version: Row::try_get(row, "version")?,
                    workflows: Row::try_get::<i64, _>(row, "number")?.unsigned_abs(),
                })
            };
            rows.iter().map(waiting).collect()
        })
    }

    fn schema_version(&self) -> i64 {
        newest(&MIGRATIONS)
    }

    fn taken_work(&self) -> StoreFuture<'_, Vec<Option<String>>> {
        self.call(async move {
            let query = self.bind_now(self.query(&self.sql.maintenance.taken_work));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(|row| Ok(Row::try_get(row, "takes")?)).collect()
        })
    }

    fn cancel_all<'a>(&'a self, reason: &'a str) -> StoreFuture<'a, u64> {
        self.call(async move {
            let query = self.bind_now(self.query(&self.sql.maintenance.cancel_all).bind(reason));
            Ok(self.write(&mut *self.writing().await?, query).await?)
        })
    }

    fn reset(&self, keep: ExecutorKey) -> StoreFuture<'_, ()> {
        self.call(async move {
            let mut connection = self.writing().await?;
            let mut transaction = self.begin(&mut connection).await?;
            let tables: Vec<_> =
                ["workflows"].iter().chain(&BELONGING).chain(FURTHER_BELONGING).chain(&OTHERS).copied().collect();
            for text in empty_tables(&tables) {
                self.query(&self.render(&text)).execute(&mut *transaction).await?;
            }
            let query = self.query(&self.sql.maintenance.other_executors).bind(keep.get());
            query.execute(&mut *transaction).await?;
            Ok(self.end(transaction, 1).await?)
        })
    }
}
