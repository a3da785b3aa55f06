//! Schedules as a program declares them: a workflow, and when it is started.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::registry::{Arguments, Workflow};
use crate::types::cron::CronSchedule;
use crate::types::error::{Error, ErrorKind};

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

/// What becomes of the times of a schedule at which no process was there, or was stopped or asleep. The last
/// one counts as on time if it is at most ten seconds late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Misfire {
    /// Nothing.
    #[default]
    Skip,
    /// The workflow is started once, for the last of them.
    Once,
    /// It is started for each of them.
    All,
}

/// What becomes of a time at which the workflow of another one waits in a queue or runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Another one is started beside it.
    #[default]
    Allow,
    /// Nothing.
    Skip,
}

impl Misfire {
    /// The word that the database has for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }

    /// What the database's word means.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Skip, Self::Once, Self::All].into_iter().find(|it| it.as_str() == word)
    }
}

impl Overlap {
    /// The word that the database has for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
        }
    }

    /// What the database's word means.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Allow, Self::Skip].into_iter().find(|it| it.as_str() == word)
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
/// An expression or a zone that does not read. The attribute reads both when it is expanded, so that
/// is for the case that its list of zones is newer than the zones.
pub(super) fn collect_schedules(
    registered: impl IntoIterator<Item = &'static RegisteredSchedule>,
) -> Result<Vec<&'static Schedule>, Error> {
    let mut found: Vec<_> = registered.into_iter().map(|it| &it.0).collect();
    found.sort_unstable_by_key(|it| it.workflow.name);
    for Schedule { workflow, cron, tz, .. } in &found {
        CronSchedule::parse(cron, tz).map_err(|fault| {
            let place =
                format!("{}:{}: the schedule of the workflow `{}`", workflow.file, workflow.line, workflow.name);
            Error::new(ErrorKind::Registry, format!("{place}: {fault}"))
        })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::WorkflowOptions;
    use crate::types::payload::PayloadError;

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
        let schedules = collect_schedules([registered("0 2 * * *", "Europe/Warsaw")]).expect("it is known");
        let at: DateTime<Utc> = "2026-01-01T12:00:00Z".parse().expect("a time");
        let times = CronSchedule::parse(schedules[0].cron, schedules[0].tz).expect("it reads");
        let due = times.next_after(at).expect("it is every day");
        let arguments = (schedules[0].arguments)(&due, &at).into_text().expect("times can be written");
        assert_eq!(arguments, r#"{"scheduled":"2026-01-02T01:00:00Z","actual":"2026-01-01T12:00:00Z"}"#);
    }

    #[test]
    fn what_does_not_read_is_refused_with_its_place() {
        let fault = |cron, tz| collect_schedules([registered(cron, tz)]).expect_err("it is refused").to_string();
        let place = "src/backup.rs:7: the schedule of the workflow `daily_backup`: ";
        assert_eq!(fault("0 25 * * *", "UTC"), format!("{place}the hours `25`: 25 is not within 0-23"));
        assert_eq!(
            fault("0 2 * * *", "Europe/Warschau"),
            format!("{place}the time zone `Europe/Warschau` is not known, did you mean `Europe/Warsaw`?")
        );
    }
}
