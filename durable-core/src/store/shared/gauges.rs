//! What gauges show of the database.

use sqlx::Row;

use super::SqlStore;
use super::dialect::{AND_CLOCK, GREATEST, is_in, list, now, planned_each_time};
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::sql_statements;
use crate::store::{GaugeValues, QueueGauge, StoreError};
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 queues; $2 limit of each count; $3 now. The counts are in the orders of the indexes that hold nothing else. The
    /// first workflow of each priority is found without those behind it. Due workflows are in no order of their queues, so
    /// they are counted once for all queues; they are few, because a process that takes from the queue enqueues them.
    of_queues = format!(
        "with due (queue, workflows) as materialized (
             select it.queue, count(*) from (
                 select w.queue from durable.workflows w {AND_CLOCK}
                  where w.status = 'DELAYED' and w.due_at <= {} order by w.due_at limit $2) it
              group by it.queue)
         select q.name, q.paused,
                (select count(*) from (select 1 from durable.workflows w
                  where w.status = 'ENQUEUED' and w.queue = q.name
                  order by w.priority, w.created_at, w.key limit $2) counted) as enqueued,
                coalesce((select d.workflows from due d where d.queue = q.name), 0) as due,
                (select count(*) from (select 1 from durable.workflows w
                  where w.status = 'PENDING' and w.queue = q.name order by w.partition_key limit $2) counted) as running,
                (with recursive heads (key) as (
                     select * from (select w.key from durable.workflows w
                                     where w.status = 'ENQUEUED' and w.queue = q.name
                                     order by w.priority, w.created_at, w.key limit 1) first
                     union all
                     select (select w.key from durable.workflows w
                              where w.status = 'ENQUEUED' and w.queue = q.name and w.priority > head.priority
                              order by w.priority, w.created_at, w.key limit 1)
                       from heads h join durable.workflows head on head.key = h.key)
                 select min({GREATEST}(w.created_at, coalesce(w.due_at, 0)))
                   from (select key from heads limit 100) h join durable.workflows w on w.key = h.key) as oldest
           from durable.queues q where {}",
        now(3),
        is_in("q.name", 1)
    );
    /// $1 limit of each count; $2 now.
    of_all = format!(
        "select 'executors' as what, it.state as name, count(*) as number from (
             select case when e.state = 'DEAD' then 'dead' when e.lease_until < {} then 'expired'
                         when e.state = 'LEAVING' then 'leaving' else 'live' end as state
               from durable.executors e {AND_CLOCK}) it
          group by it.state
         union all
         select 'parked', parked.name, count(*) from (
             select w.name from durable.workflows w where w.status = 'PARKED' order by w.key limit $1) parked
          group by parked.name
         union all
         select 'messages', '', count(*) from (
             select m.workflow from durable.messages m where m.received_at is null
              order by m.workflow desc, m.topic desc, m.sent_at desc, m.key desc limit $1) waiting
           join durable.workflows w on w.key = waiting.workflow
          where w.status not in {TERMINAL}",
        now(2)
    );
}

impl SqlStore {
    pub(super) async fn read_gauges(&self, queues: &[String], most: u32) -> Result<GaugeValues, StoreError> {
        let (sql, most) = (&self.sql.gauges, i64::from(most));
        let mut values = GaugeValues::default();
        let mut connection = self.reading().await?;
        if !queues.is_empty() {
            let query = self.bind_now(self.query(&sql.of_queues).bind(list(queues)).bind(most));
            for row in &planned_each_time(query).fetch_all(&mut *connection).await? {
                let count = |name: &str| Ok::<_, StoreError>(row.try_get::<i64, _>(name)?.unsigned_abs());
                values.queues.push(QueueGauge {
                    name: row.try_get("name")?,
                    waiting: (count("enqueued")? + count("due")?).min(most.unsigned_abs()),
                    running: count("running")?,
                    oldest: row.try_get::<Option<i64>, _>("oldest")?.map(Timestamp::from_micros),
                    paused: row.try_get("paused")?,
                });
            }
        }
        let query = self.bind_now(self.query(&sql.of_all).bind(most));
        for row in &planned_each_time(query).fetch_all(&mut *connection).await? {
            let (name, number) = (row.try_get("name")?, row.try_get::<i64, _>("number")?.unsigned_abs());
            match row.try_get::<&str, _>("what")? {
                "executors" => drop(values.executors.insert(name, number)),
                "parked" => drop(values.parked.insert(name, number)),
                _ => values.messages = number,
            }
        }
        Ok(values)
    }
}
