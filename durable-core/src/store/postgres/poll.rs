//! One query for everything that is waited for.

use crate::store::columns::{FinishedRow, select};
use crate::store::decode_messaging::found;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::CLOCK;
use crate::store::sql::sql_statements;
use crate::store::{PollRequest, PollResult, StoreError};

sql_statements! {
    /// The time of the database's clock.
    now = format!("select now from {CLOCK} c");
    /// One row per result. $1 the executor and $2 since when; $3 ids; $4, $5 messages; $6, $7 events;
    /// $8 to $11 streams. Each part depends on its arrays, and does nothing for empty ones. The
    /// limits keep every row; they are there for the planner, see `dialect::list_table`.
    poll = format!(
        "select 'now' as what, c.now as number, null::bigint as key, null::text as id, null::text as status,
                null::text as output, null::text as error, null::text as reason
           from {CLOCK} c
         union all
         select 'cancelled', w.key, null, null, null, null, null, null
           from durable.workflows w
          where w.status = 'CANCELLED' and w.executor = $1::bigint and w.completed_at >= $2::bigint
         union all
         select case when w.key is null then 'missing' else 'end' end, 0, null, {}
           from (select * from unnest($3::text[]) limit cardinality($3::text[])) as wanted (id)
           left join durable.workflows w on w.id = wanted.id
          where w.key is null or w.status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')
         union all
         select 'message', wanted.number - 1, m.key, null, null, m.payload, null, null
           from (select * from unnest($4::bigint[], $5::text[]) with ordinality limit cardinality($4::bigint[]))
                as wanted (workflow, topic, number)
          cross join lateral (
                select m.key, m.payload from durable.messages m
                 where m.workflow = wanted.workflow and m.topic = wanted.topic and m.received_at is null
                 order by m.sent_at, m.key limit 1) m
         union all
         select 'event', wanted.number - 1, null, null, w.status, e.value, null, null
           from (select * from unnest($6::text[], $7::text[]) with ordinality limit cardinality($6::text[]))
                as wanted (id, name, number)
           join durable.workflows w on w.id = wanted.id
           left join lateral (
                select e.value from durable.events e
                 where e.workflow = w.key and e.name = wanted.name
                 order by e.set_at desc, e.key desc limit 1) e on true
          where e.value is not null or w.status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')
         union all
         select case when item.key is null and w.status = 'PARKED' then 'parked_stream' else 'stream' end,
                wanted.number - 1, null, null, null, null, null, null
           from (select * from unnest($8::text[], $9::text[], $10::bigint[], $11::bigint[]) with ordinality
                  limit cardinality($8::text[])) as wanted (id, name, at, key, number)
           join durable.workflows w on w.id = wanted.id
           left join lateral (
                select s.key from durable.streams s
                 where s.workflow = w.key and s.name = wanted.name
                   and (s.written_at, s.key) > (wanted.at, wanted.key)
                 order by s.written_at, s.key limit 1) item on true
          where item.key is not null or w.status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')",
        select("w", FinishedRow::COLUMNS, &[("id", "wanted.id")])
    );
}

impl PostgresStore {
    pub(super) async fn poll_all(&self, wanted: &PollRequest) -> Result<PollResult, StoreError> {
        /// One array of a column's values.
        macro_rules! column {
            ($rows:ident, $row:ident => $value:expr) => {
                wanted.$rows.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let query = self.query(&self.sql.poll.poll);
        let query = query.bind(wanted.cancelled.map(|it| it.0.get())).bind(wanted.cancelled.map(|it| it.1));
        let query = query.bind(column!(ends, it => it.as_str()));
        let query = query.bind(column!(messages, it => it.0.get())).bind(column!(messages, it => it.1.as_str()));
        let query = query.bind(column!(events, it => it.0.as_str())).bind(column!(events, it => it.1.as_str()));
        let query = query.bind(column!(streams, it => it.0.as_str())).bind(column!(streams, it => it.1.as_str()));
        let query =
            query.bind(column!(streams, it => it.2.at.as_micros())).bind(column!(streams, it => it.2.key.get()));
        found(&query.fetch_all(&mut *self.reading().await?).await?)
    }
}
