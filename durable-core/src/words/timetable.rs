//! A crontab expression in a time zone: when something is due.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::cron::Cron;
use super::crontab::Crontab;

/// When a schedule is due.
#[derive(Debug)]
pub(crate) struct Timetable {
    cron: Cron,
    tz: Tz,
}

impl Timetable {
    /// Reads an expression and the name of a zone.
    ///
    /// # Errors
    /// What does not read, for people.
    pub(crate) fn parse(cron: &str, tz: &str) -> Result<Self, String> {
        let crontab = Crontab::parse(cron).map_err(|fault| fault.to_string())?;
        if crontab.is_never() {
            return Err(format!("`{cron}` is never due: none of its months has such a day"));
        }
        let cron = Cron::new(&crontab);
        let tz = Tz::from_str(tz).map_err(|_| {
            format!("the time zone `{tz}` is not known; write a name of the IANA database, such as Europe/Warsaw")
        })?;
        Ok(Self { cron, tz })
    }

    /// The first time later than `instant`, if there is one before 2101.
    pub(crate) fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.next_after(instant, self.tz)
    }
}
