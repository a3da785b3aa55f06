//! Schedules that a program declares: a workflow and the times at which it is started.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::registry::arguments::Arguments;
use crate::registry::workflow::Workflow;
use crate::store::ScheduleRow;
use crate::types::cron::CronSchedule;
use crate::types::error::{Error, ErrorKind};
use crate::types::time::{Timestamp, micros};

/// A `#[scheduled]` attribute of a workflow.
pub struct Schedule {
    /// The workflow, whose name is also that of the schedule.
    pub workflow: &'static Workflow,
    /// The crontab expression.
    pub cron: &'static str,
    /// The zone in which it is read, by its name in the IANA database.
    pub tz: &'static str,
    /// What to do about ticks that were missed.
    pub misfire: Misfire,
    /// What to do about a tick while the workflow of an earlier one still runs.
    pub overlap: Overlap,
    /// The arguments of one tick: when it was due, and when it is started.
    pub arguments: fn(&DateTime<Utc>, &DateTime<Utc>) -> Arguments,
}

/// What to do about the ticks of a schedule that were missed: no process was running, the machine was asleep, or the
/// database was away. The last tick is not missed if it is at most ten seconds late, nor is the first one of an outage,
/// which a process has tried in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Misfire {
    /// Missed ticks are skipped.
    #[default]
    Skip,
    /// The workflow is started once, for the last missed tick.
    Once,
    /// The workflow is started for each missed tick.
    All,
}

/// What to do about a tick while the workflow of an earlier one waits on its queue or runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// Another workflow is started concurrently.
    #[default]
    Allow,
    /// The tick is skipped.
    Skip,
}

impl Misfire {
    /// The word in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }

    /// Reads the word in the database.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Skip, Self::Once, Self::All].into_iter().find(|it| it.as_str() == word)
    }
}

impl Overlap {
    /// The word in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
        }
    }

    /// Reads the word in the database.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Allow, Self::Skip].into_iter().find(|it| it.as_str() == word)
    }
}

impl Schedule {
    /// The row of the schedule.
    pub(super) fn row(&self) -> ScheduleRow {
        ScheduleRow {
            name: self.workflow.name.to_owned(),
            workflow: self.workflow.name.to_owned(),
            cron: self.cron.to_owned(),
            timezone: self.tz.to_owned(),
            misfire: self.misfire.as_str().to_owned(),
            overlap: self.overlap.as_str().to_owned(),
            input: (self.arguments)(&ScheduleRow::TICK.to_date(), &ScheduleRow::START.to_date()).into_text().ok(),
            queue: self.workflow.options.queue.map(|queue| queue.name().to_owned()),
            timeout: self.workflow.options.timeout.map(micros),
            instance: None,
            in_code: true,
            paused: false,
            last_tick: Timestamp::UNIX_EPOCH,
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {} for {:?}", self.cron, self.tz, self.workflow)
    }
}

/// A schedule in the program-wide list.
#[derive(Debug)]
pub struct RegisteredSchedule(pub Schedule);

inventory::collect!(RegisteredSchedule);

/// The schedules in the order of their workflows' names.
///
/// # Errors
/// An expression or a time zone that cannot be parsed. The attribute parses both at compile time, so this
/// only happens if the list of zones of the macros is newer. A workflow on a partitioned queue.
pub(super) fn collect_schedules(
    registered: impl IntoIterator<Item = &'static RegisteredSchedule>,
) -> Result<Vec<&'static Schedule>, Error> {
    let mut found: Vec<_> = registered.into_iter().map(|it| &it.0).collect();
    found.sort_unstable_by_key(|it| it.workflow.name);
    for Schedule { workflow, cron, tz, .. } in &found {
        CronSchedule::parse(cron, tz).map_err(|error| {
            let location =
                format!("{}:{}: the schedule of the workflow `{}`", workflow.file, workflow.line, workflow.name);
            Error::new(ErrorKind::Registry, format!("{location}: {error}"))
        })?;
        workflow.check_schedulable()?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Queue;
    use crate::registry::workflow_options::WorkflowOptions;
    use crate::types::keys::Fingerprint;
    use crate::types::payload::PayloadError;

    static BACKUP: Workflow = Workflow {
        name: "daily_backup",
        module: "tests",
        function: "backup",
        file: "src/backup.rs",
        line: 7,
        fingerprint: Fingerprint::new(0),
        options: WorkflowOptions::DEFAULT,
        run: |_| Err(PayloadError::new("it is never run")),
    };

    fn registered(cron: &'static str, tz: &'static str) -> &'static RegisteredSchedule {
        let arguments = |due: &DateTime<Utc>, started: &DateTime<Utc>| {
            Arguments::new().with("scheduled", due).with("actual", started)
        };
        let (misfire, overlap) = (Misfire::Skip, Overlap::Allow);
        let schedule = Schedule { workflow: &BACKUP, cron, tz, misfire, overlap, arguments };
        Box::leak(Box::new(RegisteredSchedule(schedule)))
    }

    #[test]
    fn a_schedule_of_a_workflow_on_a_partitioned_queue_is_refused() {
        static USERS: Queue = Queue::new("users").partitioned();
        static GREET: Workflow =
            Workflow { options: WorkflowOptions { queue: Some(&USERS), ..WorkflowOptions::DEFAULT }, ..BACKUP };
        let RegisteredSchedule(schedule) = registered("0 2 * * *", "UTC");
        let greet = Box::leak(Box::new(RegisteredSchedule(Schedule { workflow: &GREET, ..*schedule })));
        let text = collect_schedules([&*greet]).expect_err("a tick has no key").to_string();
        assert!(text.contains("`daily_backup` (src/backup.rs:7)") && text.contains("queue `users`"), "{text}");
    }

    #[test]
    fn a_schedule_has_the_arguments_of_each_tick() {
        let schedules = collect_schedules([registered("0 2 * * *", "Europe/Warsaw")]).expect("it is known");
        let at: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().expect("a time");
        let times = CronSchedule::parse(schedules[0].cron, schedules[0].tz).expect("it reads");
        let due = times.next_after(at).expect("it is every day");
        let arguments = (schedules[0].arguments)(&due, &at).into_text().expect("times can be written");
        assert_eq!(arguments, r#"{"scheduled":"2026-01-02T01:00:00Z","actual":"2026-01-01T12:00:00Z"}"#);
    }

    #[test]
    fn an_invalid_expression_or_zone_is_refused_with_its_source_location() {
        let error = |cron, tz| collect_schedules([registered(cron, tz)]).expect_err("it is refused").to_string();
        let location = "src/backup.rs:7: the schedule of the workflow `daily_backup`: ";
        assert_eq!(error("0 25 * * *", "UTC"), format!("{location}the hours `25`: 25 is not within 0-23"));
        assert_eq!(
            error("0 2 * * *", "Europe/Warschau"),
            format!("{location}the time zone `Europe/Warschau` is not known, did you mean `Europe/Warsaw`?")
        );
    }
}
