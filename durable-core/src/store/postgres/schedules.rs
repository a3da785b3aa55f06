//! Schedules in Postgres.

use sqlx::FromRow;

use crate::store::postgres::PostgresStore;
use crate::store::postgres::sql_text::CLOCK;
use crate::store::sql::texts;
use crate::store::{ScheduleChange, ScheduleRow, Schedules, StoreFuture};

texts! {
    /// $1 to $9 the schedule. Another calendar begins now: what it would have meant before nobody
    /// has missed.
    put = format!(
        "insert into durable.schedules
            (name, workflow, cron, timezone, misfire, overlap, input, instance, in_code, last_tick, created_at)
         select $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::boolean, c.now, c.now
           from {CLOCK} c
         on conflict (name) do update
            set workflow = excluded.workflow, cron = excluded.cron, timezone = excluded.timezone,
                misfire = excluded.misfire, overlap = excluded.overlap, input = excluded.input,
                instance = excluded.instance, in_code = excluded.in_code,
                last_tick = case when schedules.cron = excluded.cron and schedules.timezone = excluded.timezone
                                 then schedules.last_tick else greatest(schedules.last_tick, excluded.last_tick) end
          where excluded.in_code or not schedules.in_code"
    );
    all =
        "select name, workflow, cron, timezone, misfire, overlap, input, instance, in_code, paused, last_tick
           from durable.schedules order by name";
    pause = "update durable.schedules set paused = true where name = $1::text";
    resume = format!(
        "update durable.schedules
            set paused = false, last_tick = case when paused then greatest(last_tick, {CLOCK}) else last_tick end
          where name = $1::text"
    );
    delete = "delete from durable.schedules where name = $1::text";
    fired = "update durable.schedules set last_tick = greatest(last_tick, $2::bigint) where name = $1::text";
}

impl Schedules for PostgresStore {
    fn upsert_schedules<'a>(&'a self, schedules: &'a [ScheduleRow]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut stored = 0;
            for it in schedules {
                let query = self.query(&self.texts.schedules.put).bind(&it.name).bind(&it.workflow).bind(&it.cron);
                let query =
                    query.bind(&it.timezone).bind(&it.misfire).bind(&it.overlap).bind(&it.input).bind(&it.instance);
                stored += self.write(self.work()?, query.bind(it.in_code)).await?;
            }
            Ok(stored)
        })
    }

    fn schedules(&self) -> StoreFuture<'_, Vec<ScheduleRow>> {
        Box::pin(async move {
            let rows = self.query(&self.texts.schedules.all).fetch_all(self.work()?).await?;
            Ok(rows.iter().map(ScheduleRow::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn change_schedule<'a>(&'a self, name: &'a str, change: ScheduleChange) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let texts = &self.texts.schedules;
            let query = match change {
                ScheduleChange::Pause => self.query(&texts.pause).bind(name),
                ScheduleChange::Resume => self.query(&texts.resume).bind(name),
                ScheduleChange::Delete => self.query(&texts.delete).bind(name),
                ScheduleChange::Fired(tick) => self.query(&texts.fired).bind(name).bind(tick),
            };
            Ok(self.write(self.work()?, query).await? > 0)
        })
    }
}
