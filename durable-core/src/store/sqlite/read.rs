//! Reading from SQLite. Lists go in as JSON arrays.

use crate::store::decode::{ExistingRow, RecordRow, StepRow, WorkflowRow, by_position, decode};
use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::{ExistingWorkflow, PollRequest, PollResult, Read, Record, StoreFuture};
use crate::types::id::local_micros;
use crate::types::listing::{DEFAULT_LIMIT, Filter, StepInfo, WorkflowInfo};
use crate::types::status::Status;

/// A workflow as people see it.
const INFO: &str = "
    select w.id, w.name, w.status, coalesce(w.input, i.input) as input, w.output, w.error, w.reason, w.queue,
           p.id as parent, e.name as executor, w.version, w.attempt, w.recoveries, w.priority, w.partition_key,
           w.deduplication_id, w.due_at, w.deadline, w.created_at, w.started_at, w.completed_at
      from durable_workflows w
      left join durable_inputs i on i.workflow = w.key
      left join durable_workflows p on p.key = w.parent
      left join durable_executors e on e.key = w.executor";

/// ?1 statuses, ?2 name, ?3 prefix, ?4 limit, ?5 offset.
const FILTER: &str = "
     where (?1 is null or w.status in (select value from json_each(?1)))
       and (?2 is null or w.name = ?2)
       and (?3 is null or substr(w.id, 1, length(?3)) = ?3)";

texts! {
    find = "select key, id, name, instance, status from durable_workflows where id = ?1";
    /// ?1 keys.
    records =
        "select workflow, branch, position, kind, name, child, output, error from durable_steps
          where workflow in (select value from json_each(?1)) order by workflow, branch, position";
    oldest_first = format!("{INFO} {FILTER} order by w.key limit ?4 offset ?5");
    newest_first = format!("{INFO} {FILTER} order by w.key desc limit ?4 offset ?5");
    show = format!("{INFO} where w.id = ?1");
    steps =
        "select s.branch, s.position, s.kind, s.name, s.output, s.error, s.child, s.attempts, s.failures, s.started_at,
                s.completed_at
           from durable_workflows w join durable_steps s on s.workflow = w.key
          where w.id = ?1";
}

impl Read for SqliteStore {
    /// The file is on this machine, so its clock is this machine's.
    fn now(&self) -> StoreFuture<'_, i64> {
        Box::pin(async move { self.check_open().map(|()| local_micros()) })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ExistingWorkflow>> {
        Box::pin(async move {
            let row = self.query(&self.texts.read.find).bind(id).fetch_optional(&mut *self.reading().await?).await?;
            row.as_ref().map(decode::<_, ExistingRow, _>).transpose()
        })
    }

    fn poll<'a>(&'a self, wanted: &'a PollRequest) -> StoreFuture<'a, PollResult> {
        Box::pin(self.look_at(wanted))
    }

    fn records<'a>(&'a self, keys: &'a [i64]) -> StoreFuture<'a, Vec<Record>> {
        Box::pin(async move {
            let rows =
                self.query(&self.texts.read.records).bind(json(keys)).fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, RecordRow, _>).collect()
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<WorkflowInfo>> {
        Box::pin(async move {
            let texts = &self.texts.read;
            let statuses: Vec<&str> = filter.statuses.iter().map(|it| Status::as_str(*it)).collect();
            let statuses = (!statuses.is_empty()).then(|| json(&statuses));
            let query = self.query(if filter.newest_first { &texts.newest_first } else { &texts.oldest_first });
            let query = query.bind(statuses).bind(&filter.name).bind(&filter.id_prefix);
            let query = query.bind(i64::from(filter.limit.unwrap_or(DEFAULT_LIMIT))).bind(i64::from(filter.offset));
            query.fetch_all(&mut *self.reading().await?).await?.iter().map(decode::<_, WorkflowRow, _>).collect()
        })
    }

    fn show<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<WorkflowInfo>> {
        Box::pin(async move {
            let row = self.query(&self.texts.read.show).bind(id).fetch_optional(&mut *self.reading().await?).await?;
            row.as_ref().map(decode::<_, WorkflowRow, _>).transpose()
        })
    }

    fn steps<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<StepInfo>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.read.steps).bind(id).fetch_all(&mut *self.reading().await?).await?;
            let mut steps: Vec<StepInfo> = rows.iter().map(decode::<_, StepRow, _>).collect::<Result<_, _>>()?;
            steps.sort_by(by_position);
            Ok(steps)
        })
    }
}

/// A list as SQLite takes it in.
pub(super) fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("texts and numbers can always be written as JSON")
}
