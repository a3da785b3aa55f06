//! Reading from Postgres.

use sqlx::Row;

use crate::store::decode::{ExistingRow, RecordRow, StepRow, WorkflowRow, by_position, decode};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::sql_text::CLOCK;
use crate::store::sql::texts;
use crate::store::{ExistingWorkflow, PollRequest, PollResult, Read, Record, StoreFuture};
use crate::types::listing::{DEFAULT_LIMIT, Filter, StepInfo, WorkflowInfo};
use crate::types::status::Status;

/// A workflow as people see it.
const INFO: &str = "
    select w.id, w.name, w.status, w.input, w.output, w.error, w.reason, w.queue, p.id as parent,
           e.name as executor, w.version, w.attempt, w.recoveries, w.priority, w.partition_key, w.deduplication_id,
           w.due_at, w.deadline, w.created_at, w.started_at, w.completed_at
      from durable.workflows w
      left join durable.workflows p on p.key = w.parent
      left join durable.executors e on e.key = w.executor";

/// $1 statuses, $2 name, $3 prefix, $4 limit, $5 offset.
const FILTER: &str = "
     where ($1::text[] is null or w.status = any($1::text[]))
       and ($2::text is null or w.name = $2::text)
       and ($3::text is null or starts_with(w.id, $3::text))";

texts! {
    now = format!("select now from {CLOCK} c");
    find = "select key, id, name, instance, status from durable.workflows where id = $1";
    /// $1 keys. The limit keeps every row; it is there for the planner, see `batch`.
    records =
        "select s.workflow, s.branch, s.position, s.kind, s.name, s.child, s.output, s.error
           from (select * from unnest($1::bigint[]) limit cardinality($1::bigint[])) as wanted (key)
           join durable.steps s on s.workflow = wanted.key
          order by s.workflow, s.branch, s.position";
    oldest_first = format!("{INFO} {FILTER} order by w.key limit $4::bigint offset $5::bigint");
    newest_first = format!("{INFO} {FILTER} order by w.key desc limit $4::bigint offset $5::bigint");
    show = format!("{INFO} where w.id = $1");
    steps =
        "select s.branch, s.position, s.kind, s.name, s.output, s.error, s.child, s.attempts, s.failures, s.started_at,
                s.completed_at
           from durable.workflows w join durable.steps s on s.workflow = w.key
          where w.id = $1";
}

impl Read for PostgresStore {
    fn now(&self) -> StoreFuture<'_, i64> {
        Box::pin(async move { Ok(self.query(&self.texts.read.now).fetch_one(self.work()?).await?.try_get(0)?) })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ExistingWorkflow>> {
        Box::pin(async move {
            let row = self.query(&self.texts.read.find).bind(id).fetch_optional(self.work()?).await?;
            row.as_ref().map(decode::<_, ExistingRow, _>).transpose()
        })
    }

    fn poll<'a>(&'a self, wanted: &'a PollRequest) -> StoreFuture<'a, PollResult> {
        Box::pin(self.look_at(wanted))
    }

    fn records<'a>(&'a self, keys: &'a [i64]) -> StoreFuture<'a, Vec<Record>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.read.records).bind(keys).fetch_all(self.work()?).await?;
            rows.iter().map(decode::<_, RecordRow, _>).collect()
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<WorkflowInfo>> {
        Box::pin(async move {
            let texts = &self.texts.read;
            let statuses: Vec<&str> = filter.statuses.iter().map(|it| Status::as_str(*it)).collect();
            let statuses = (!statuses.is_empty()).then_some(statuses);
            let query = self.query(if filter.newest_first { &texts.newest_first } else { &texts.oldest_first });
            let query = query.bind(statuses).bind(&filter.name).bind(&filter.id_prefix);
            let query = query.bind(i64::from(filter.limit.unwrap_or(DEFAULT_LIMIT))).bind(i64::from(filter.offset));
            // Planned for this filter: a plan for every filter would have to read the whole table.
            let query = query.persistent(false);
            query.fetch_all(self.work()?).await?.iter().map(decode::<_, WorkflowRow, _>).collect()
        })
    }

    fn show<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<WorkflowInfo>> {
        Box::pin(async move {
            let row = self.query(&self.texts.read.show).bind(id).fetch_optional(self.work()?).await?;
            row.as_ref().map(decode::<_, WorkflowRow, _>).transpose()
        })
    }

    fn steps<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<StepInfo>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.read.steps).bind(id).fetch_all(self.work()?).await?;
            let mut steps: Vec<StepInfo> = rows.iter().map(decode::<_, StepRow, _>).collect::<Result<_, _>>()?;
            steps.sort_by(by_position);
            Ok(steps)
        })
    }
}
