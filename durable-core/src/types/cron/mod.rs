//! A crontab expression in a time zone: when something is due.

mod next;
mod parse;

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::types::cron::next::CronDates;
use crate::types::cron::parse::Crontab;
use crate::types::suggest;

/// When a schedule is due.
#[derive(Debug)]
pub(crate) struct CronSchedule {
    cron: CronDates,
    tz: Tz,
}

impl CronSchedule {
    /// Reads an expression and the name of a zone.
    ///
    /// # Errors
    /// What cannot be parsed, as a message for users.
    pub(crate) fn parse(cron: &str, tz: &str) -> Result<Self, String> {
        let crontab = Crontab::parse(cron).map_err(|error| error.to_string())?;
        if crontab.is_never() {
            return Err(format!("`{cron}` is never due: none of its months has such a day"));
        }
        let cron = CronDates::new(&crontab);
        let tz = Tz::from_str(tz).map_err(|_| unknown(tz))?;
        Ok(Self { cron, tz })
    }

    /// The first time later than `instant`, if there is one before 2101.
    pub(crate) fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.next_after(instant, self.tz)
    }
}

fn unknown(tz: &str) -> String {
    let error = format!("the time zone `{tz}` is not known");
    match suggest::zone(tz, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
        Some(meant) => format!("{error}, did you mean `{meant}`?"),
        None => format!("{error}; write a name of the IANA database, such as Europe/Warsaw"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_zone_gets_a_suggestion() {
        for (name, meant) in [
            ("europe/warsaw", "Europe/Warsaw"),
            ("Warsaw", "Europe/Warsaw"),
            ("utc", "UTC"),
            ("America/New York", "America/New_York"),
        ] {
            let error = CronSchedule::parse("@daily", name).expect_err("it is none");
            assert_eq!(error, format!("the time zone `{name}` is not known, did you mean `{meant}`?"));
        }
        for name in ["Middle-earth/Shire", ""] {
            assert!(
                CronSchedule::parse("@daily", name).expect_err("it is none").contains("such as Europe/Warsaw"),
                "{name}"
            );
        }
    }
}
