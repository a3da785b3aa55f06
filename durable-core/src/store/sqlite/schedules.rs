//! Schedules in SQLite.

use sqlx::FromRow;

use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::{ScheduleChange, ScheduleRow, Schedules, StoreFuture};
use crate::types::id::local_micros;

texts! {
    /// ?1 to ?9 the schedule, ?10 now. Another calendar begins now: what it would have meant before
    /// nobody has missed.
    put =
        "insert into durable_schedules
            (name, workflow, cron, timezone, misfire, overlap, input, instance, in_code, last_tick, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)
         on conflict (name) do update
            set workflow = excluded.workflow, cron = excluded.cron, timezone = excluded.timezone,
                misfire = excluded.misfire, overlap = excluded.overlap, input = excluded.input,
                instance = excluded.instance, in_code = excluded.in_code,
                last_tick = case when cron = excluded.cron and timezone = excluded.timezone
                                 then last_tick else max(last_tick, excluded.last_tick) end
          where excluded.in_code or not durable_schedules.in_code";
    all =
        "select name, workflow, cron, timezone, misfire, overlap, input, instance, in_code, paused, last_tick
           from durable_schedules order by name";
    pause = "update durable_schedules set paused = 1 where name = ?1";
    /// ?1 name, ?2 now.
    resume =
        "update durable_schedules
            set paused = 0, last_tick = case when paused then max(last_tick, ?2) else last_tick end
          where name = ?1";
    delete = "delete from durable_schedules where name = ?1";
    /// ?1 name, ?2 tick.
    fired = "update durable_schedules set last_tick = max(last_tick, ?2) where name = ?1";
}

impl Schedules for SqliteStore {
    fn upsert_schedules<'a>(&'a self, schedules: &'a [ScheduleRow]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut turn = self.work().await?;
            let mut stored = 0;
            for it in schedules {
                let query = self.query(&self.texts.schedules.put).bind(&it.name).bind(&it.workflow).bind(&it.cron);
                let query =
                    query.bind(&it.timezone).bind(&it.misfire).bind(&it.overlap).bind(&it.input).bind(&it.instance);
                stored += self.write(&mut turn, query.bind(it.in_code).bind(local_micros())).await?;
            }
            Ok(stored)
        })
    }

    fn schedules(&self) -> StoreFuture<'_, Vec<ScheduleRow>> {
        Box::pin(async move {
            let mut reader = self.reading().await?;
            let rows = self.query(&self.texts.schedules.all).fetch_all(&mut *reader).await?;
            Ok(rows.iter().map(ScheduleRow::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn change_schedule<'a>(&'a self, name: &'a str, change: ScheduleChange) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let texts = &self.texts.schedules;
            let query = match change {
                ScheduleChange::Pause => self.query(&texts.pause).bind(name),
                ScheduleChange::Resume => self.query(&texts.resume).bind(name).bind(local_micros()),
                ScheduleChange::Delete => self.query(&texts.delete).bind(name),
                ScheduleChange::Fired(tick) => self.query(&texts.fired).bind(name).bind(tick),
            };
            let mut turn = self.work().await?;
            Ok(self.write(&mut turn, query).await? > 0)
        })
    }
}
