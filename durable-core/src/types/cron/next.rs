//! Computes when a crontab expression is due, on the wall clock of a time zone.
//!
//! The crate `cron` finds dates. It only gets wall clock times, as if they were UTC, where no hour is missing or
//! repeated; changes of the clock are handled here. It gets lists of plain numbers and names, because it parses some
//! expressions differently from crontab(5): it counts days of the week from Sunday as 1, and requires that both the
//! day of the month and the day of the week match, where crontab(5) accepts either.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::types::cron::parse::Crontab;

/// A crontab expression that computes its due times.
///
/// # Clock changes
///
/// As in cronie, the behavior depends on whether the minutes or the hours begin with `*`.
///
/// * If they do (`*/15 * * * *`, `0 * * * *`), the expression follows the wall clock: skipped times are skipped, and
///   repeated times are due again. In real time such a schedule continues evenly.
/// * If they do not (`30 2 * * *`), each time is due once a day. All skipped times together are due once, at the
///   moment of the change; a repeated time is due the first time.
///
/// A change of three hours or more is not daylight saving but a correction, such as a day that a country skips when
/// it moves over the date line. Times that it skips are not due.
#[derive(Debug, Clone)]
pub(crate) struct CronDates {
    /// One schedule, or two of which either matches.
    schedules: Vec<cron::Schedule>,
    /// Whether it follows the wall clock through clock changes.
    follows_clock: bool,
}

/// The shortest change that cronie treats as a correction of the clock.
const CORRECTION: TimeDelta = TimeDelta::hours(3);

impl CronDates {
    /// Prepares a parsed expression.
    pub(crate) fn new(crontab: &Crontab) -> Self {
        let schedules = if crontab.either_day {
            vec![schedule(crontab, true, false), schedule(crontab, false, true)]
        } else {
            vec![schedule(crontab, true, true)]
        };
        Self { schedules, follows_clock: crontab.follows_clock }
    }

    /// The first time later than `instant`. There is none if no year up to 2100 has the date.
    pub(crate) fn next_after(&self, instant: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        if self.follows_clock { self.next_by_wall_clock(instant, tz) } else { self.next_once_a_day(instant, tz) }
    }

    /// The next due time of an expression that follows the wall clock.
    fn next_by_wall_clock(&self, instant: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        let shown = wall(instant, tz);
        let next = self.wall_times_after(shown).find_map(|due| match tz.from_local_datetime(&due) {
            MappedLocalTime::Single(at) => Some(at.to_utc()),
            MappedLocalTime::Ambiguous(first, again) => {
                [first, again].into_iter().map(|at| at.to_utc()).find(|at| *at > instant)
            }
            MappedLocalTime::None => None,
        });
        // A time that is repeated after the clock was put back is earlier than now on the wall clock.
        if let MappedLocalTime::Ambiguous(first, again) = tz.from_local_datetime(&shown)
            && first.to_utc() == instant
        {
            let change = change_between(first.to_utc(), again.to_utc(), tz);
            if next.is_none_or(|next| next >= change) {
                let before = wall(change, tz) - TimeDelta::seconds(1);
                return self
                    .wall_times_after(before)
                    .find_map(|due| tz.from_local_datetime(&due).latest())
                    .map(|at| at.to_utc());
            }
        }
        next
    }

    /// The next due time of an expression with times that are due once a day: when the wall clock first shows it, or
    /// when a change of the clock skips it.
    fn next_once_a_day(&self, instant: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        let times = self.wall_times_after(wall(instant, tz)).filter_map(|due| match tz.from_local_datetime(&due) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.to_utc()),
            MappedLocalTime::None => change_that_skips(due, tz),
        });
        times.into_iter().find(|at| *at > instant)
    }

    /// The wall clock times at which the expression is due, in order, without changes of the clock.
    fn wall_times_after(&self, shown: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let next = |shown: NaiveDateTime| {
            let dates = self.schedules.iter().filter_map(move |it| it.after(&shown.and_utc()).next());
            dates.min().map(|at| at.naive_utc())
        };
        std::iter::successors(next(shown), move |shown| next(*shown))
    }
}

/// The wall clock time of a zone.
fn wall(instant: DateTime<Utc>, tz: Tz) -> NaiveDateTime {
    instant.with_timezone(&tz).naive_local()
}

/// The moment of the clock change that skips `due`, unless the change is a correction.
fn change_that_skips(due: NaiveDateTime, tz: Tz) -> Option<DateTime<Utc>> {
    // Zones are up to 14 hours from UTC, and a correction skips a day at most.
    let (before, after) = (due.and_utc() - TimeDelta::hours(40), due.and_utc() + TimeDelta::hours(40));
    let change = first_where(before, after, |at| wall(at, tz) > due);
    let skipped = wall(change, tz) - wall(change - TimeDelta::seconds(1), tz);
    (skipped < CORRECTION).then_some(change)
}

/// The moment at which the clock is put back, between two instants with the same wall clock time.
fn change_between(first: DateTime<Utc>, again: DateTime<Utc>, tz: Tz) -> DateTime<Utc> {
    let offset = |at: DateTime<Utc>| tz.offset_from_utc_datetime(&at.naive_utc()).fix();
    let before = offset(first);
    first_where(first, again, |at| offset(at) != before)
}

/// The first second after `before` for which `holds` is true. It is true for all later ones up to `after`.
fn first_where(before: DateTime<Utc>, after: DateTime<Utc>, holds: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    // Seconds are whole from here on: clocks are changed at whole seconds.
    let (mut before, mut after) = (before.timestamp(), after.timestamp());
    let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap_or_default();
    while before + 1 < after {
        let middle = i64::midpoint(before, after);
        if holds(at(middle)) {
            after = middle;
        } else {
            before = middle;
        }
    }
    at(after)
}

/// The expression for the crate `cron`, with the day of the month, the day of the week, or both.
fn schedule(crontab: &Crontab, by_month: bool, by_week: bool) -> cron::Schedule {
    let days = if by_month { numbers(crontab.days) } else { "*".to_owned() };
    let weekdays = if by_week { names(crontab.weekdays) } else { "*".to_owned() };
    let (seconds, minutes, hours) = (numbers(crontab.seconds), numbers(crontab.minutes), numbers(crontab.hours));
    let text = format!("{seconds} {minutes} {hours} {days} {} {weekdays}", numbers(crontab.months));
    // Cannot fail: these are lists of allowed numbers from an expression that was parsed.
    cron::Schedule::from_str(&text).unwrap_or_else(|error| panic!("`{text}` is no list of numbers: {error}"))
}

fn numbers(set: u64) -> String {
    let texts: Vec<String> = members(set).map(|number| number.to_string()).collect();
    texts.join(",")
}

fn names(weekdays: u64) -> String {
    const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let names: Vec<&str> = members(weekdays).map(|number| NAMES[number as usize]).collect();
    names.join(",")
}

fn members(set: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |number| set & (1 << number) != 0)
}

#[cfg(test)]
mod tests;
