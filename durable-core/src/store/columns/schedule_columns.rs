//! The columns of `schedules`. A row that is read is a [`ScheduleRow`] as it is.

use super::Column;
use crate::store::ScheduleRow;

/// The columns of a schedule, besides its last tick and the time of its creation.
pub(in crate::store) const SCHEDULE: &[Column<ScheduleRow>] = &[
    Column::text("name", |it| Some(&it.name)),
    Column::text("workflow", |it| Some(&it.workflow)),
    Column::text("cron", |it| Some(&it.cron)),
    Column::text("timezone", |it| Some(&it.timezone)),
    Column::text("misfire", |it| Some(&it.misfire)),
    Column::text("overlap", |it| Some(&it.overlap)),
    Column::text("input", |it| it.input.as_deref()),
    Column::text("queue", |it| it.queue.as_deref()),
    Column::big_int("timeout", |it| it.timeout),
    Column::text("instance", |it| it.instance.as_deref()),
    Column::boolean("in_code", |it| Some(it.in_code)),
];

/// The columns that are only read.
pub(in crate::store) const STATE_OF_SCHEDULE: &str = "paused, last_tick";
