//! The rows of schedules.

use crate::store::Timestamp;

/// A schedule. Its ticks are workflows with the id `<schedule>@<tick>`, so a tick is started once,
/// however many processes try.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(any(feature = "sqlite", feature = "postgres"), derive(sqlx::FromRow))]
pub struct ScheduleRow {
    /// Its name: that of the workflow, for one in the code.
    pub name: String,
    /// The workflow's registered name.
    pub workflow: String,
    /// The crontab expression.
    pub cron: String,
    /// The time zone by its name in the tz database.
    pub timezone: String,
    /// What happens to missed ticks: `skip`, `once`, `all`.
    pub misfire: String,
    /// Whether a tick is started while the one before still runs: `allow`, `skip`.
    pub overlap: String,
    /// The arguments as a JSON object. Those of one in the code have [`TICK`](Self::TICK) for the time of the tick and
    /// [`START`](Self::START) for that of the start.
    pub input: Option<String>,
    /// The queue of the workflow's attribute, for programs that do not have the workflow.
    pub queue: Option<String>,
    /// The timeout of the workflow's attribute in microseconds, likewise.
    pub timeout: Option<i64>,
    /// The name of the instance, if the workflow is a method.
    pub instance: Option<String>,
    /// Whether it is declared in the code of a program.
    pub in_code: bool,
    /// Whether it is paused: it does not fire.
    pub paused: bool,
    /// The last tick that was started or skipped; when it was made, for one that never fired.
    pub last_tick: Timestamp,
}

impl ScheduleRow {
    /// What stands for the time of the tick in the arguments of a schedule in the code.
    pub const TICK: Timestamp = Timestamp::UNIX_EPOCH;
    /// What stands for the time of the start there.
    pub const START: Timestamp = Timestamp::from_micros(1_000_000);
}

/// A change of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleChange {
    /// It does not fire any more.
    Pause,
    /// It fires again, from now on: what was missed meanwhile stays missed.
    Resume,
    /// It is deleted.
    Delete,
    /// This tick was handled; the row keeps the latest one.
    Fired(Timestamp),
}
