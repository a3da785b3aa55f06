//! Schedules.

use sqlx::FromRow;

use super::SqlStore;
use super::dialect::{FROM_CLOCK, GREATEST, bind_row, now, parameters};
use crate::store::columns::{SCHEDULE, STATE_OF_SCHEDULE, names};
use crate::store::sql::sql_statements;
use crate::store::{ScheduleChange, ScheduleRow, Schedules, StoreFuture};

sql_statements! {
    /// From $1 the schedule; then now. A changed expression or zone counts from now: no process has missed
    /// its earlier ticks.
    upsert = format!(
        "insert into durable.schedules as s ({}, last_tick, created_at)
         select {}, {now}, {now} {FROM_CLOCK} where true
         on conflict (name) do update
            set {}, last_tick = case when s.cron = excluded.cron and s.timezone = excluded.timezone
                                     then s.last_tick else {GREATEST}(s.last_tick, excluded.last_tick) end
          where excluded.in_code or not s.in_code",
        names(SCHEDULE),
        parameters(SCHEDULE, 1),
        SCHEDULE[1..].iter().map(|it| format!("{0} = excluded.{0}", it.name)).collect::<Vec<_>>().join(", "),
        now = now(1 + SCHEDULE.len())
    );
    all = format!("select {}, {STATE_OF_SCHEDULE} from durable.schedules order by name", names(SCHEDULE));
    /// $1 name.
    pause = "update durable.schedules set paused = true where name = $1";
    /// $1 name; $2 now.
    resume = format!(
        "update durable.schedules
            set paused = false, last_tick = case when paused then {GREATEST}(last_tick, {}) else last_tick end
           {FROM_CLOCK}
          where name = $1",
        now(2)
    );
    /// $1 name.
    delete = "delete from durable.schedules where name = $1";
    /// $1 name; $2 tick; $3 now. A last tick in the future, from before the clock went back, is given up.
    fired = format!(
        "update durable.schedules
            set last_tick = case when last_tick > {} then $2 else {GREATEST}(last_tick, $2) end
           {FROM_CLOCK}
          where name = $1",
        now(3)
    );
}

impl Schedules for SqlStore {
    fn upsert_schedules<'a>(&'a self, schedules: &'a [ScheduleRow]) -> StoreFuture<'a, u64> {
        self.call(async move {
            let mut connection = self.writing().await?;
            let mut stored = 0;
            for it in schedules {
                let query = self.bind_now(bind_row(self.query(&self.sql.schedules.upsert), SCHEDULE, it));
                stored += self.write(&mut connection, query).await?;
            }
            Ok(stored)
        })
    }

    fn schedules(&self) -> StoreFuture<'_, Vec<ScheduleRow>> {
        self.call(async move {
            let rows = self.query(&self.sql.schedules.all).fetch_all(&mut *self.reading().await?).await?;
            Ok(rows.iter().map(ScheduleRow::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn change_schedule<'a>(&'a self, name: &'a str, change: ScheduleChange) -> StoreFuture<'a, bool> {
        self.call(async move {
            let sql = &self.sql.schedules;
            let query = match change {
                ScheduleChange::Pause => self.query(&sql.pause).bind(name),
                ScheduleChange::Resume => self.bind_now(self.query(&sql.resume).bind(name)),
                ScheduleChange::Delete => self.query(&sql.delete).bind(name),
                ScheduleChange::Fired(tick) => self.bind_now(self.query(&sql.fired).bind(name).bind(tick)),
            };
            let mut connection = self.writing().await?;
            Ok(self.write(&mut connection, query).await? > 0)
        })
    }
}
