//! When a crontab expression is due: its sets of numbers, laid on the calendar and the wall clock of a zone.
//!
//! The crate `cron` finds dates. It is asked about the wall clock alone, as if that were UTC, where no hour is missing
//! or comes twice; what a change of the clock means is decided here. It is given lists of plain numbers and names,
//! because it reads some expressions otherwise than crontab(5) does: it counts days of the week from Sunday as 1, and
//! wants both days, that of the month and that of the week, where crontab wants either.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::types::cron::parse::Crontab;

/// A crontab expression that can be asked for its times.
///
/// # Where the clock is changed
///
/// As with cronie, it depends on whether the minutes or the hours begin with `*`.
///
/// * If they do (`*/15 * * * *`, `0 * * * *`), the expression goes by what the wall clock shows, minute after minute:
///   what the clock leaves out is left out, and what it shows again is due again. In real time such a schedule goes on evenly.
/// * If they do not (`30 2 * * *`), the day's work is done once on each day. What the clock leaves out is due at once
///   when it has been put forward, all of it together once; what it shows twice is due the first time.
///
/// A change of three hours or more is no summer time but a correction, such as a day that a country leaves out when it
/// moves over the date line: what is left out then is not made up for.
#[derive(Debug, Clone)]
pub(crate) struct CronDates {
    /// One, or two of which either is enough.
    schedules: Vec<cron::Schedule>,
    /// Whether it goes by the wall clock alone where that is changed.
    every: bool,
}

/// What cronie takes for a correction of the clock.
const CORRECTION: TimeDelta = TimeDelta::hours(3);

impl CronDates {
    /// When a crontab's expression is due.
    pub(crate) fn new(crontab: &Crontab) -> Self {
        let schedules = if crontab.either_day {
            vec![schedule(crontab, true, false), schedule(crontab, false, true)]
        } else {
            vec![schedule(crontab, true, true)]
        };
        Self { schedules, every: crontab.every }
    }

    /// The first time later than `instant`. There is none if no year up to 2100 has the date.
    pub(crate) fn next_after(&self, instant: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        if self.every { self.next_shown(instant, tz) } else { self.next_once(instant, tz) }
    }

    /// The first time that the wall clock shows a number which is due.
    fn next_shown(&self, instant: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        let shown = wall(instant, tz);
        let next = self.shown_after(shown).find_map(|due| match tz.from_local_datetime(&due) {
            MappedLocalTime::Single(at) => Some(at.to_utc()),
            MappedLocalTime::Ambiguous(first, again) => {
                [first, again].into_iter().map(|at| at.to_utc()).find(|at| *at > instant)
            }
            MappedLocalTime::None => None,
        });
        // What is shown now will be shown again: when the clock has been put back, it is earlier than now.
        if let MappedLocalTime::Ambiguous(first, again) = tz.from_local_datetime(&shown)
            && first.to_utc() == instant
        {
            let change = change_between(first.to_utc(), again.to_utc(), tz);
            if next.is_none_or(|next| next >= change) {
                let before = wall(change, tz) - TimeDelta::seconds(1);
                return self
                    .shown_after(before)
                    .find_map(|due| tz.from_local_datetime(&due).latest())
                    .map(|at| at.to_utc());
            }
        }
        next
    }

    /// The first time that a day's work is due: when the wall clock shows it first, or when it has left it out.
    fn next_once(&self, instant: DateTime<Utc>, tz: Tz) -> Option<DateTime<Utc>> {
        let times = self.shown_after(wall(instant, tz)).filter_map(|due| match tz.from_local_datetime(&due) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.to_utc()),
            MappedLocalTime::None => made_up_for(due, tz),
        });
        times.into_iter().find(|at| *at > instant)
    }

    /// What the wall clock shows when the expression is due, in order, if nobody changes the clock.
    fn shown_after(&self, shown: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let next = |shown: NaiveDateTime| {
            let dates = self.schedules.iter().filter_map(move |it| it.after(&shown.and_utc()).next());
            dates.min().map(|at| at.naive_utc())
        };
        std::iter::successors(next(shown), move |shown| next(*shown))
    }
}

/// What the wall clock of a zone shows.
fn wall(instant: DateTime<Utc>, tz: Tz) -> NaiveDateTime {
    instant.with_timezone(&tz).naive_local()
}

/// When the clock is changed that leaves out `due`, unless that is a correction.
fn made_up_for(due: NaiveDateTime, tz: Tz) -> Option<DateTime<Utc>> {
    // Zones are up to 14 hours from UTC, and a day was left out at most.
    let (before, after) = (due.and_utc() - TimeDelta::hours(40), due.and_utc() + TimeDelta::hours(40));
    let change = first_where(before, after, |at| wall(at, tz) > due);
    let left_out = wall(change, tz) - wall(change - TimeDelta::seconds(1), tz);
    (left_out < CORRECTION).then_some(change)
}

/// When the clock is put back between two times at which it shows the same.
fn change_between(first: DateTime<Utc>, again: DateTime<Utc>, tz: Tz) -> DateTime<Utc> {
    let offset = |at: DateTime<Utc>| tz.offset_from_utc_datetime(&at.naive_utc()).fix();
    let before = offset(first);
    first_where(first, again, |at| offset(at) != before)
}

/// The first second after `before` of which `holds` is true, as it is of all that follow up to `after`.
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

/// The expression as the crate `cron` reads it, with one of the two days or both.
fn schedule(crontab: &Crontab, by_month: bool, by_week: bool) -> cron::Schedule {
    let days = if by_month { numbers(crontab.days) } else { "*".to_owned() };
    let weekdays = if by_week { names(crontab.weekdays) } else { "*".to_owned() };
    let (seconds, minutes, hours) = (numbers(crontab.seconds), numbers(crontab.minutes), numbers(crontab.hours));
    let text = format!("{seconds} {minutes} {hours} {days} {} {weekdays}", numbers(crontab.months));
    // A bug here, if ever: whatever was written was read already, and these are lists of what is allowed.
    cron::Schedule::from_str(&text).unwrap_or_else(|fault| panic!("`{text}` is no list of numbers: {fault}"))
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
