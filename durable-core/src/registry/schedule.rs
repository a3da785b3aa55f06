//! Schedules as a program declares them: a workflow, and when it is started.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Arguments, Workflow};
use crate::words::cron::Cron;
use crate::words::error::{Error, ErrorKind};

/// What a `#[scheduled]` attribute says of a workflow.
pub struct Schedule {
    /// What is started: the schedule has its name and its place in the source.
    pub workflow: &'static Workflow,
    /// The crontab expression.
    pub cron: &'static str,
    /// The zone in which it is read, by its name in the IANA database.
    pub tz: &'static str,
    /// What becomes of times at which no process was there.
    pub misfire: Misfire,
    /// What becomes of a time at which the workflow of the last one still runs.
    pub overlap: Overlap,
    /// The arguments of one time: when it was due, and when it is started.
    pub arguments: fn(&DateTime<Utc>, &DateTime<Utc>) -> Arguments,
}

/// What becomes of the times of a schedule at which no process was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfire {
    /// Nothing.
    Skip,
    /// The workflow is started once, for the last of them.
    Once,
    /// It is started for each of them.
    All,
}

/// What becomes of a time at which the workflow of an earlier one has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Another one is started beside it.
    Allow,
    /// Nothing.
    Skip,
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

/// A schedule that can be asked for its times.
#[derive(Debug)]
pub(crate) struct Timetable {
    /// What the attribute says.
    pub(crate) schedule: &'static Schedule,
    cron: Cron,
    tz: Tz,
}

impl Timetable {
    /// The first time later than `instant`, if there is one before 2101.
    #[allow(dead_code, reason = "the scheduler asks")]
    pub(crate) fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.next_after(instant, self.tz)
    }
}

/// The schedules in the order of their workflows' names.
///
/// # Errors
/// An expression or a zone that does not read. The attribute reads both when it is expanded, so that
/// is for the case that its list of zones is newer than the zones.
pub(super) fn gather(
    registered: impl IntoIterator<Item = &'static RegisteredSchedule>,
) -> Result<Vec<Timetable>, Error> {
    let mut found = registered.into_iter().map(|it| timetable(&it.0)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable_by_key(|it| it.schedule.workflow.name);
    Ok(found)
}

fn timetable(schedule: &'static Schedule) -> Result<Timetable, Error> {
    let Schedule { workflow, cron, tz, .. } = schedule;
    let refuse = |fault: String| {
        let place = format!("{}:{}: the schedule of the workflow `{}`", workflow.file, workflow.line, workflow.name);
        Error::new(ErrorKind::Registry, format!("{place}: {fault}"))
    };
    let cron = Cron::parse(cron).map_err(|fault| refuse(fault.to_string()))?;
    let tz = Tz::from_str(tz).map_err(|_| refuse(format!("the time zone `{tz}` is not known")))?;
    Ok(Timetable { schedule, cron, tz })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::WorkflowOptions;
    use crate::words::payload::PayloadError;

    static BACKUP: Workflow = Workflow {
        name: "daily_backup",
        module: "tests",
        file: "src/backup.rs",
        line: 7,
        fingerprint: 0,
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
    fn a_schedule_knows_its_times_and_the_arguments_of_one() {
        let timetables = gather([registered("0 2 * * *", "Europe/Warsaw")]).expect("it is known");
        let at: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().expect("a time");
        let due = timetables[0].next_after(at).expect("it is every day");
        let arguments = (timetables[0].schedule.arguments)(&due, &at).into_text().expect("times can be written");
        assert_eq!(arguments, r#"{"scheduled":"2026-01-02T01:00:00Z","actual":"2026-01-01T12:00:00Z"}"#);
    }

    #[test]
    fn what_does_not_read_is_refused_with_its_place() {
        let fault = |cron, tz| gather([registered(cron, tz)]).expect_err("it is refused").to_string();
        let place = "src/backup.rs:7: the schedule of the workflow `daily_backup`: ";
        assert_eq!(fault("0 25 * * *", "UTC"), format!("{place}the hours `25`: 25 is not within 0-23"));
        assert_eq!(
            fault("0 2 * * *", "Europe/Warschau"),
            format!("{place}the time zone `Europe/Warschau` is not known")
        );
    }
}
