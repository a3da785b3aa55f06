//! Reading workflows and their records.

use super::SqlStore;
use super::dialect::{INPUT_OF_W, JOIN_INPUTS, is_in, list, list_table, planned_each_time};
use crate::store::columns::{ExistingRow, RecordRow, StepRow, WorkflowRow, select};
use crate::store::decode::{by_position, decode};
use crate::store::rows_by_kind::numbers;
use crate::store::sql::sql_statements;
use crate::store::{ExistingWorkflow, PollRequest, PollResult, Read, Record, StoreFuture};
use crate::types::keys::WorkflowKey;
use crate::types::listing::{DEFAULT_LIMIT, Filter, StepInfo, WorkflowInfo};
use crate::types::status::Status;
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 id.
    find = format!("select {} from durable.workflows w where id = $1", select("w", ExistingRow::COLUMNS, &[]));
    /// $1 keys.
    records = format!(
        "select {} from {} cross join durable.steps s where s.workflow = wanted.value
          order by s.workflow, s.branch, s.position",
        select("s", RecordRow::COLUMNS, &[]),
        list_table(1)
    );
    oldest_first = format!("{} {} order by w.key limit $4 offset $5", listing(), filter());
    newest_first = format!("{} {} order by w.key desc limit $4 offset $5", listing(), filter());
    /// $1 id.
    show = format!("{} where w.id = $1", listing());
    /// $1 id.
    steps = format!(
        "select {} from durable.workflows w join durable.steps s on s.workflow = w.key where w.id = $1",
        select("s", StepRow::COLUMNS, &[])
    );
}

/// The workflows of a listing.
fn listing() -> String {
    let computed = [("input", INPUT_OF_W), ("parent", "p.id"), ("executor", "e.name")];
    format!(
        "select {}
           from durable.workflows w
           {JOIN_INPUTS}
           left join durable.workflows p on p.key = w.parent
           left join durable.executors e on e.key = w.executor",
        select("w", WorkflowRow::COLUMNS, &computed)
    )
}

/// $1 statuses, $2 names, $3 prefix of the id, $6 ids.
fn filter() -> String {
    format!(
        "where ($1 is null or {})
           and ($2 is null or {})
           and ($3 is null or substr(w.id, 1, length($3)) = $3)
           and ($6 is null or {})",
        is_in("w.status", 1),
        is_in("w.name", 2),
        is_in("w.id", 6)
    )
}

impl Read for SqlStore {
    fn now(&self) -> StoreFuture<'_, Timestamp> {
        self.call(self.ask_clock())
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ExistingWorkflow>> {
        self.call(async move { self.find_on(&mut *self.reading().await?, id).await })
    }

    fn poll<'a>(&'a self, wanted: &'a PollRequest) -> StoreFuture<'a, PollResult> {
        self.call(self.poll_all(wanted))
    }

    fn records<'a>(&'a self, keys: &'a [WorkflowKey]) -> StoreFuture<'a, Vec<Record>> {
        self.call(async move {
            let query = self.query(&self.sql.read.records).bind(list(&numbers(keys)));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, RecordRow, _>).collect()
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<WorkflowInfo>> {
        self.call(async move {
            let sql = &self.sql.read;
            let statuses: Vec<&str> = filter.statuses.iter().map(|it| Status::as_str(*it)).collect();
            let statuses = (!statuses.is_empty()).then(|| list(&statuses));
            let query = self.query(if filter.newest_first { &sql.newest_first } else { &sql.oldest_first });
            let names = (!filter.names.is_empty()).then(|| list(&filter.names));
            let query = query.bind(statuses).bind(names).bind(&filter.id_prefix);
            let query = query.bind(i64::from(filter.limit.unwrap_or(DEFAULT_LIMIT))).bind(i64::from(filter.offset));
            let query = query.bind(filter.ids.as_deref().map(list));
            let rows = planned_each_time(query).fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, WorkflowRow, _>).collect()
        })
    }

    fn show<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<WorkflowInfo>> {
        self.call(async move {
            let query = self.query(&self.sql.read.show).bind(id);
            let row = query.fetch_optional(&mut *self.reading().await?).await?;
            row.as_ref().map(decode::<_, WorkflowRow, _>).transpose()
        })
    }

    fn steps<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<StepInfo>> {
        self.call(async move {
            let rows = self.query(&self.sql.read.steps).bind(id).fetch_all(&mut *self.reading().await?).await?;
            let mut steps: Vec<StepInfo> = rows.iter().map(decode::<_, StepRow, _>).collect::<Result<_, _>>()?;
            steps.sort_by(by_position);
            Ok(steps)
        })
    }
}
