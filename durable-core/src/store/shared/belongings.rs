//! What belongs to one workflow, for people and tools: its records, events, messages and stream items.

use sqlx::Row as _;

use super::SqlStore;
use super::dialect::{bind_rows, rows_table};
use crate::store::columns::{Column, EventInfoRow, MessageInfoRow, StepRow, StreamItemInfoRow, select};
use crate::store::decode::{by_position, decode};
use crate::store::sql::sql_statements;
use crate::store::{GaugeValues, Listings, StoreFuture};
use crate::types::filter::Filter;
use crate::types::listing::{EventInfo, MessageInfo, StepInfo, StreamItemInfo, WorkflowInfo};
use crate::types::page::{GroupBy, Page, WorkflowCounts};
use crate::types::position::Position;

sql_statements! {
    /// $1 id.
    steps = format!(
        "select {} from durable.workflows w join durable.steps s on s.workflow = w.key where w.id = $1",
        select("s", StepRow::COLUMNS, &[])
    );
    /// $1 id. Reads the primary key alone.
    positions = "select s.branch, s.position from durable.workflows w join durable.steps s on s.workflow = w.key
                  where w.id = $1";
    /// $1 id; from $2 rows of a position.
    steps_at = format!(
        "select {} from durable.workflows w cross join {} cross join durable.steps s
          where w.id = $1 and s.workflow = w.key and s.branch = wanted.branch and s.position = wanted.position",
        select("s", StepRow::COLUMNS, &[]),
        rows_table(POSITION, 2)
    );
    /// $1 id; $2 limit, $3 offset.
    events = format!(
        "select {} from durable.workflows w join durable.events v on v.workflow = w.key
          where w.id = $1
            and not exists (select 1 from durable.events later
                             where later.workflow = v.workflow and later.name = v.name
                               and (later.set_at, later.key) > (v.set_at, v.key))
          order by v.name limit $2 offset $3",
        select("v", EventInfoRow::COLUMNS, &[])
    );
    /// $1 id; $2 limit, $3 offset.
    messages = format!(
        "select {} from durable.workflows w join durable.messages m on m.workflow = w.key
          where w.id = $1 order by m.sent_at, m.key limit $2 offset $3",
        select("m", MessageInfoRow::COLUMNS, &[])
    );
    /// $1 id; $2 stream, NULL for all; $3 limit, $4 offset.
    stream_items = format!(
        "select {} from durable.workflows w join durable.streams s on s.workflow = w.key
          where w.id = $1 and ($2 is null or s.name = $2)
          order by s.name, s.written_at, s.key limit $3 offset $4",
        select("s", StreamItemInfoRow::COLUMNS, &[("stream", "s.name")])
    );
}

/// A position of a record.
const POSITION: &[Column<Position>] =
    &[Column::text("branch", |it| Some(&it.branch)), Column::integer("position", |it| Some(it.number))];

impl Listings for SqlStore {
    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Page<WorkflowInfo>> {
        self.call(self.list_page(filter))
    }

    fn count<'a>(&'a self, filter: &'a Filter, group: GroupBy, most: u32) -> StoreFuture<'a, WorkflowCounts> {
        self.call(self.count_groups(filter, group, most))
    }

    fn gauges<'a>(&'a self, queues: &'a [String], most: u32) -> StoreFuture<'a, GaugeValues> {
        self.call(self.read_gauges(queues, most))
    }

    fn show<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<WorkflowInfo>> {
        self.call(self.show_workflow(id))
    }

    fn steps<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<StepInfo>> {
        self.call(async move {
            let rows = self.query(&self.sql.belongings.steps).bind(id).fetch_all(&mut *self.reading().await?).await?;
            let mut steps: Vec<StepInfo> = rows.iter().map(decode::<_, StepRow, _>).collect::<Result<_, _>>()?;
            steps.sort_by(|a, b| by_position(&a.position, &b.position));
            Ok(steps)
        })
    }

    fn positions<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<Position>> {
        self.call(async move {
            let query = self.query(&self.sql.belongings.positions).bind(id);
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            let mut positions = Vec::with_capacity(rows.len());
            for row in &rows {
                positions.push(Position::new(row.try_get::<String, _>("branch")?, row.try_get("position")?));
            }
            positions.sort_by(by_position);
            Ok(positions)
        })
    }

    fn steps_at<'a>(&'a self, id: &'a str, positions: &'a [Position]) -> StoreFuture<'a, Vec<StepInfo>> {
        self.call(async move {
            let query = self.query(&self.sql.belongings.steps_at).bind(id);
            let query = bind_rows(query, POSITION, positions.iter());
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            let mut steps: Vec<StepInfo> = rows.iter().map(decode::<_, StepRow, _>).collect::<Result<_, _>>()?;
            steps.sort_by(|a, b| by_position(&a.position, &b.position));
            Ok(steps)
        })
    }

    fn events<'a>(&'a self, id: &'a str, limit: u32, offset: u32) -> StoreFuture<'a, Vec<EventInfo>> {
        self.call(async move {
            let query = self.query(&self.sql.belongings.events).bind(id);
            let query = query.bind(i64::from(limit)).bind(i64::from(offset));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, EventInfoRow, _>).collect()
        })
    }

    fn messages<'a>(&'a self, id: &'a str, limit: u32, offset: u32) -> StoreFuture<'a, Vec<MessageInfo>> {
        self.call(async move {
            let query = self.query(&self.sql.belongings.messages).bind(id);
            let query = query.bind(i64::from(limit)).bind(i64::from(offset));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, MessageInfoRow, _>).collect()
        })
    }

    fn stream_items<'a>(
        &'a self,
        id: &'a str,
        stream: Option<&'a str>,
        limit: u32,
        offset: u32,
    ) -> StoreFuture<'a, Vec<StreamItemInfo>> {
        self.call(async move {
            let query = self.query(&self.sql.belongings.stream_items).bind(id).bind(stream);
            let query = query.bind(i64::from(limit)).bind(i64::from(offset));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, StreamItemInfoRow, _>).collect()
        })
    }
}
