//! Changes of workflows by an operator: resume, delete, labels, and their place on a queue.

use std::collections::HashMap;

use sqlx::Row;

use super::SqlStore;
use super::dialect::{
    Connection, FROM_CLOCK, FURTHER_BELONGING, LOCK_ROWS, belongs_to, is_in, list, merged_labels, now,
    planned_each_time,
};
use super::queues::FoundQueue;
use crate::store::failed_tail::{RecordEnd, failed_tail};
use crate::store::rows_by_kind::add_saturating;
use crate::store::sql::sql_statements;
use crate::store::store_error::is_clash;
use crate::store::{ChangeOutcome, StoreError, StoreErrorKind, WorkflowChange};
use crate::types::position::Position;
use crate::types::status::Status;
use crate::types::time::micros;

/// How often a change is tried.
const TRIES: usize = 5;

/// The tables whose rows belong to a workflow.
pub(super) const BELONGING: [&str; 5] = ["steps", "labels", "messages", "events", "streams"];

/// How long a workflow may take.
pub(super) const TIME_LIMIT: &str = "coalesce(timeout, deadline - created_at)";

sql_statements! {
    /// Locks the workflows. $1 ids.
    lock = format!(
        "select w.id, w.key, w.status, w.queue, w.partition_key <> '' as keyed, w.deduplication_id
           from durable.workflows w where {} order by w.key {LOCK_ROWS}",
        is_in("w.id", 1)
    );
    /// The records of workflows that ended with an error. $1 keys.
    records = format!(
        "select workflow, branch, position, error is not null as failed from durable.steps where {}",
        belongs_to("steps", "ctid", "workflow", 1)
    );
    /// $1 workflow, $2 branch, $3 position.
    forget = "delete from durable.steps where workflow = $1 and branch = $2 and position = $3";
    /// Others that have the deduplication id of one of these workflows on a queue: NULL is its own one. $1 keys, $2 queue.
    duplicates = format!(
        "select w.key, o.id from durable.workflows w
           join durable.workflows o
             on o.queue = coalesce($2, w.queue) and o.deduplication_id = w.deduplication_id and o.key <> w.key
            and o.deduplication_id is not null and o.status in ('ENQUEUED', 'DELAYED', 'PENDING')
          where {}",
        is_in("w.key", 1)
    );
    /// $1 keys; $2 now. Where no timeout is stored, the time limit was counted from the creation: it is stored
    /// now, because a later resume cannot see it any more.
    resume = format!(
        "update durable.workflows
            set status = case when queue is null then 'PENDING' else 'ENQUEUED' end,
                reason = null, error = null, executor = null, recoveries = 0, completed_at = null, due_at = null,
                timeout = {TIME_LIMIT}, deadline = case when queue is null then {} end {FROM_CLOCK}
          where {} and status in ('PARKED', 'CANCELLED', 'ERROR')",
        add_saturating(&now(2), TIME_LIMIT),
        is_in("key", 1)
    );
    /// $1 keys; $2 priority.
    set_priority = format!("update durable.workflows set priority = $2 where {}", is_in("key", 1));
    /// $1 keys; $2 delay; $3 now.
    set_delay = format!(
        "update durable.workflows
            set status = case when $2 > 0 then 'DELAYED' else 'ENQUEUED' end,
                due_at = case when $2 > 0 then {} end, debounce_key = null, debounce_until = null {FROM_CLOCK}
          where {}",
        add_saturating(&now(3), "$2"),
        is_in("key", 1)
    );
    /// $1 keys; $2 queue.
    move_to = format!("update durable.workflows set queue = $2 where {}", is_in("key", 1));
    /// $1 keys; $2 labels.
    label = format!("update durable.workflows set labels = {} where {}", merged_labels("labels", 2), is_in("key", 1));
    /// Locks the workflows that these have started. $1 keys.
    children = format!(
        "select w.key, w.id, w.status from durable.workflows w where {} order by w.key {LOCK_ROWS}",
        is_in("w.parent", 1)
    );
    /// $1 keys.
    delete_workflows = format!("delete from durable.workflows where {}", is_in("key", 1));
}

/// Deletes what belongs to workflows from a table. $1 keys.
fn delete_belonging(table: &str) -> String {
    format!("delete from durable.{table} where {}", belongs_to(table, "ctid", "workflow", 1))
}

/// A workflow that is to be changed, locked.
struct Locked {
    key: i64,
    status: Status,
    queue: Option<String>,
    keyed: bool,
    deduplication_id: Option<String>,
}

impl SqlStore {
    /// Makes a change, and tries again when it has lost a race: other writers may take locks in another order.
    pub(super) async fn change_persistently(
        &self,
        ids: &[String],
        change: &WorkflowChange,
    ) -> Result<Vec<ChangeOutcome>, StoreError> {
        let mut left = TRIES;
        loop {
            left -= 1;
            match self.call(self.change_workflows(ids, change)).await {
                Err(error) if error.kind == StoreErrorKind::Contended && left > 0 => {}
                other => return other,
            }
        }
    }

    async fn change_workflows(
        &self,
        ids: &[String],
        change: &WorkflowChange,
    ) -> Result<Vec<ChangeOutcome>, StoreError> {
        let mut connection = self.writing().await?;
        let mut transaction = self.begin(&mut connection).await?;
        let mut locked = self.lock_workflows(&mut transaction, ids).await?;
        let mut outcomes: HashMap<&str, ChangeOutcome> = HashMap::new();
        for id in ids {
            let outcome = match locked.get(id) {
                None => Some(ChangeOutcome::NotFound),
                Some(it) if !allows(change, it.status) => Some(ChangeOutcome::WrongStatus(it.status)),
                Some(_) => None,
            };
            outcomes.extend(outcome.map(|outcome| (&**id, outcome)));
        }
        locked.retain(|id, _| !outcomes.contains_key(&**id));
        self.refuse_on_queues(&mut transaction, ids, change, &mut locked, &mut outcomes).await?;

        let keys: Vec<i64> = locked.values().map(|it| it.key).collect();
        let mut rows = 0;
        if *change == WorkflowChange::Delete {
            for id in ids {
                // An earlier one of these ids may be its ancestor, which was deleted with it.
                let Some(it) = locked.get(id) else { continue };
                let outcome = self.delete_family(&mut transaction, it.key).await?;
                if let ChangeOutcome::Changed { workflows, .. } = outcome {
                    rows += workflows;
                }
                outcomes.insert(id, outcome);
            }
        } else if !keys.is_empty() {
            if *change == WorkflowChange::Resume {
                let ended = locked.values().filter(|it| it.status == Status::Error).map(|it| it.key).collect();
                self.forget_failures(&mut transaction, ended).await?;
            }
            rows = self.apply(&mut transaction, &keys, change).await?;
        }
        self.end(transaction, rows).await?;
        let outcome = |id: &String| {
            let queue = match (change, locked.get(id)) {
                (WorkflowChange::Queue(queue), _) => Some(queue.clone()),
                (_, it) => it.and_then(|it| it.queue.clone()),
            };
            outcomes.get(&**id).cloned().unwrap_or(ChangeOutcome::Changed { queue, workflows: 1 })
        };
        Ok(ids.iter().map(outcome).collect())
    }

    async fn lock_workflows(
        &self,
        connection: &mut Connection,
        ids: &[String],
    ) -> Result<HashMap<String, Locked>, StoreError> {
        let query = planned_each_time(self.query(&self.sql.workflow_changes.lock).bind(list(ids)));
        let locked = |row| {
            let status = crate::store::decode::status(Row::try_get(row, "status")?)?;
            let locked = Locked {
                key: Row::try_get(row, "key")?,
                status,
                queue: Row::try_get(row, "queue")?,
                keyed: Row::try_get(row, "keyed")?,
                deduplication_id: Row::try_get(row, "deduplication_id")?,
            };
            Ok((Row::try_get(row, "id")?, locked))
        };
        query.fetch_all(connection).await?.iter().map(locked).collect()
    }

    /// Refuses changes that the rules of queues forbid.
    async fn refuse_on_queues<'i>(
        &self,
        connection: &mut Connection,
        ids: &'i [String],
        change: &WorkflowChange,
        locked: &mut HashMap<String, Locked>,
        outcomes: &mut HashMap<&'i str, ChangeOutcome>,
    ) -> Result<(), StoreError> {
        let queue = match change {
            WorkflowChange::Resume => None,
            WorkflowChange::Queue(queue) => Some(queue),
            _ => return Ok(()),
        };
        if let Some(queue) = queue {
            match self.find_queue(connection, queue).await? {
                FoundQueue::Queue { partitioned: false } => {}
                FoundQueue::Queue { partitioned: true } => {
                    let unkeyed = ids.iter().filter(|id| locked.get(*id).is_some_and(|it| !it.keyed));
                    outcomes.extend(unkeyed.map(|id| (&**id, ChangeOutcome::NoPartitionKey)));
                    locked.retain(|_, it| it.keyed);
                }
                FoundQueue::Unknown(known) => {
                    let waiting = ids.iter().filter(|id| locked.contains_key(*id));
                    outcomes.extend(waiting.map(|id| (&**id, ChangeOutcome::UnknownQueue(known.clone()))));
                    locked.clear();
                }
            }
        }
        let keys: Vec<i64> = locked.values().filter(|it| it.deduplication_id.is_some()).map(|it| it.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let query = self.query(&self.sql.workflow_changes.duplicates).bind(list(&keys)).bind(queue);
        for row in planned_each_time(query).fetch_all(connection).await? {
            let key: i64 = row.try_get("key")?;
            let id = ids.iter().find(|id| locked.get(*id).is_some_and(|it| it.key == key));
            outcomes.extend(
                id.map(|id| Ok::<_, StoreError>((&**id, ChangeOutcome::Duplicate(row.try_get("id")?)))).transpose()?,
            );
            locked.retain(|_, it| it.key != key);
        }
        // Of several of these workflows the first one gets the place.
        let mut places: HashMap<(Option<String>, String), &str> = HashMap::new();
        for id in ids {
            let Some(it) = locked.get(id) else { continue };
            let Some(deduplication_id) = it.deduplication_id.clone() else { continue };
            let place = (queue.or(it.queue.as_ref()).cloned(), deduplication_id);
            let first = *places.entry(place).or_insert(id);
            if first != id {
                outcomes.insert(id, ChangeOutcome::Duplicate(first.to_owned()));
                locked.remove(id);
            }
        }
        Ok(())
    }

    async fn apply(
        &self,
        connection: &mut Connection,
        keys: &[i64],
        change: &WorkflowChange,
    ) -> Result<u64, StoreError> {
        let sql = &self.sql.workflow_changes;
        let on = |text| self.query(text).bind(list(keys));
        let query = match change {
            WorkflowChange::Resume => self.bind_now(on(&sql.resume)),
            WorkflowChange::Priority(priority) => on(&sql.set_priority).bind(*priority),
            WorkflowChange::Delay(delay) => self.bind_now(on(&sql.set_delay).bind(micros(*delay))),
            WorkflowChange::Queue(queue) => on(&sql.move_to).bind(queue.clone()),
            WorkflowChange::Labels(labels) => on(&sql.label).bind(labels.clone()),
            WorkflowChange::Delete => return Ok(0),
        };
        match planned_each_time(query).execute(connection).await {
            // A workflow with the same deduplication id was enqueued meanwhile: trying again finds it.
            Err(error) if is_clash(&error) => Err(StoreError::new(StoreErrorKind::Contended, &error)),
            done => Ok(done?.rows_affected()),
        }
    }

    /// Deletes the failed records at the end of these workflows.
    async fn forget_failures(&self, connection: &mut Connection, keys: Vec<i64>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        for (key, records) in self.record_ends(&mut *connection, &keys).await? {
            for Position { branch, number } in failed_tail(&records) {
                let query = self.query(&self.sql.workflow_changes.forget).bind(key).bind(&*branch).bind(number);
                query.execute(&mut *connection).await?;
            }
        }
        Ok(())
    }

    /// The records of these workflows, as far as [`failed_tail`] needs them.
    pub(super) async fn record_ends(
        &self,
        connection: &mut Connection,
        keys: &[i64],
    ) -> Result<HashMap<i64, Vec<RecordEnd>>, StoreError> {
        let query = planned_each_time(self.query(&self.sql.workflow_changes.records).bind(list(keys)));
        let mut records: HashMap<i64, Vec<RecordEnd>> = HashMap::new();
        for row in query.fetch_all(connection).await? {
            let branch: String = row.try_get("branch")?;
            let position = Position::new(branch, row.try_get("position")?);
            let record = RecordEnd { position, failed: row.try_get("failed")? };
            records.entry(row.try_get("workflow")?).or_default().push(record);
        }
        Ok(records)
    }

    /// Deletes a workflow, which is locked, and its descendants, if all of them have ended or are PARKED. Each
    /// generation is locked before its children are read, and then starts no more of them.
    async fn delete_family(&self, connection: &mut Connection, key: i64) -> Result<ChangeOutcome, StoreError> {
        let (mut keys, mut begin) = (vec![key], 0);
        while begin < keys.len() {
            let query = self.query(&self.sql.workflow_changes.children).bind(list(&keys[begin..]));
            begin = keys.len();
            for row in &planned_each_time(query).fetch_all(&mut *connection).await? {
                let status = crate::store::decode::status(row.try_get("status")?)?;
                if !allows(&WorkflowChange::Delete, status) {
                    return Ok(ChangeOutcome::LivingDescendant(row.try_get("id")?));
                }
                keys.push(row.try_get::<i64, _>("key")?);
            }
        }
        let workflows = self.delete_rows(connection, &keys).await?;
        Ok(ChangeOutcome::Changed { queue: None, workflows })
    }

    /// Deletes workflows and what belongs to them.
    pub(super) async fn delete_rows(&self, connection: &mut Connection, keys: &[i64]) -> Result<u64, StoreError> {
        for table in BELONGING.iter().chain(FURTHER_BELONGING) {
            let query = self.query(&self.render(&delete_belonging(table))).bind(list(keys));
            planned_each_time(query).execute(&mut *connection).await?;
        }
        let query = self.query(&self.sql.workflow_changes.delete_workflows).bind(list(keys));
        Ok(planned_each_time(query).execute(connection).await?.rows_affected())
    }
}

/// Whether a workflow of this status can be changed so.
fn allows(change: &WorkflowChange, status: Status) -> bool {
    let waits = matches!(status, Status::Enqueued | Status::Delayed);
    match change {
        WorkflowChange::Resume => matches!(status, Status::Parked | Status::Cancelled | Status::Error),
        WorkflowChange::Priority(_) | WorkflowChange::Delay(_) | WorkflowChange::Queue(_) => waits,
        WorkflowChange::Labels(_) => true,
        WorkflowChange::Delete => status.is_terminal() || status == Status::Parked,
    }
}
