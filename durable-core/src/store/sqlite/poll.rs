//! One query for everything that is waited for.

use crate::store::columns::{FinishedRow, select};
use crate::store::decode_messaging::found;
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::dialect::list;
use crate::store::{PollRequest, PollResult, StoreError};

sql_statements! {
    /// One row per result. $1 now; $2 the executor and $3 since when; $4 ids; $5 messages, $6 events
    /// and $7 streams as arrays of arrays. Each part depends on its array, and does nothing for an
    /// empty one.
    poll = format!(
        "select 'now' as what, $1 as number, null as key, null as id, null as status, null as output, null as error,
                null as reason
         union all
         select 'cancelled', w.key, null, null, null, null, null, null
           from durable.workflows w
          where w.status = 'CANCELLED' and w.executor = $2 and w.completed_at >= $3
         union all
         select case when w.key is null then 'missing' else 'end' end, 0, null, {}
           from json_each($4) wanted left join durable.workflows w on w.id = wanted.value
          where w.key is null or w.status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')
         union all
         select 'message', wanted.key, m.key, null, null, m.payload, null, null
           from json_each($5) wanted cross join durable.messages m
          where m.key = (select o.key from durable.messages o
                          where o.workflow = wanted.value ->> 0 and o.topic = wanted.value ->> 1
                            and o.received_at is null
                          order by o.sent_at, o.key limit 1)
         union all
         select 'event', number, null, null, status, value, null, null
           from (select wanted.key as number, w.status,
                        (select e.value from durable.events e
                          where e.workflow = w.key and e.name = wanted.value ->> 1
                          order by e.set_at desc, e.key desc limit 1) as value
                   from json_each($6) wanted cross join durable.workflows w
                  where w.id = wanted.value ->> 0)
          where value is not null or status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')
         union all
         select case when has_items or status <> 'PARKED' then 'stream' else 'parked_stream' end, number,
                null, null, null, null, null, null
           from (select wanted.key as number, w.status, exists (
                        select 1 from durable.streams s
                         where s.workflow = w.key and s.name = wanted.value ->> 1
                           and (s.written_at, s.key) > (wanted.value ->> 2, wanted.value ->> 3)) as has_items
                   from json_each($7) wanted cross join durable.workflows w
                  where w.id = wanted.value ->> 0)
          where has_items or status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')",
        select("w", FinishedRow::COLUMNS, &[("id", "wanted.value")])
    );
}

impl SqliteStore {
    pub(super) async fn poll_all(&self, wanted: &PollRequest) -> Result<PollResult, StoreError> {
        let messages: Vec<_> = wanted.messages.iter().map(|(key, topic)| (key.get(), topic)).collect();
        let streams: Vec<_> =
            wanted.streams.iter().map(|(id, name, mark)| (id, name, mark.at.as_micros(), mark.key.get())).collect();
        let query = self.query(&self.sql.poll.poll).bind(self.clock.now());
        let query = query.bind(wanted.cancelled.map(|it| it.0.get())).bind(wanted.cancelled.map(|it| it.1));
        let query = query.bind(list(&wanted.ends)).bind(list(&messages));
        let query = query.bind(list(&wanted.events)).bind(list(&streams));
        found(&query.fetch_all(&mut *self.reading().await?).await?)
    }
}
