//! Expressions are parsed as in crontab(5), and due as in cronie.

use std::fs;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;

use crate::types::cron::next::CronDates;
use crate::types::cron::parse::Crontab;

fn parse(text: &str) -> CronDates {
    CronDates::new(&Crontab::parse(text).expect("it is valid"))
}

fn zone(name: &str) -> Tz {
    name.parse().expect("the zone is known")
}

/// The times after `start`, as the wall clock of the zone shows them.
fn due(expression: &str, name: &str, start: &str, count: usize) -> Vec<String> {
    let (cron, tz) = (parse(expression), zone(name));
    let mut at: DateTime<Utc> = start.parse().expect("test times are RFC 3339");
    let mut times = Vec::new();
    for _ in 0..count {
        at = cron.next_after(at, tz).expect("there is a next time");
        times.push(at.with_timezone(&tz).format("%m-%d %H:%M:%S %z").to_string());
    }
    times
}

fn error(expression: &str) -> String {
    Crontab::parse(expression).expect_err(expression).to_string()
}

#[test]
fn equivalent_expressions_are_equal() {
    for (one, other) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@MIDNIGHT", "0 0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 JAN *"),
        ("  5\t4 * * *  ", "5 4 * * *"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * mon-Fri", "0 0 * * 1-5"),
        ("0 0 * * 5-7", "0 0 * * FRI,SAT,SUN"),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
        ("0 0 * * 1-7/2", "0 0 * * 0,1,3,5"),
        ("0 0 * jan-Mar,DEC *", "0 0 * 1,2,3,12 *"),
        ("0-59/20 9-17/4 1-5,10 * *", "0,20,40 9,13,17 1,2,3,4,5,10 * *"),
        ("*/15 * * * *", "*,0 * * * *"),
    ] {
        let (one, mut other) = (Crontab::parse(one).expect(one), Crontab::parse(other).expect(other));
        if one.minutes.count_ones() == 4 {
            other.minutes = one.minutes; // the last pair tests the star, not the numbers
        }
        assert_eq!(one, other);
    }
}

#[test]
fn a_day_matches_either_field_if_both_are_restricted() {
    // crontab(5): "`30 4 1,15 * 5` would cause a command to be run at 4:30 am on the 1st and 15th of each month, plus
    // every Friday."
    assert_eq!(
        due("30 4 1,15 * 5", "UTC", "2026-01-01T04:30:00Z", 5),
        ["01-02", "01-09", "01-15", "01-16", "01-23"].map(|day| format!("{day} 04:30:00 +0000"))
    );
    // A field that begins with a star does not count as restricted: both fields have to match.
    assert_eq!(
        due("0 0 */10 * MON", "UTC", "2026-01-01T00:00:00Z", 2),
        ["05-11 00:00:00 +0000", "06-01 00:00:00 +0000"]
    );
    assert_eq!(due("0 0 13 * */5", "UTC", "2026-01-01T00:00:00Z", 2), ["02-13 00:00:00 +0000", "03-13 00:00:00 +0000"]);
}

#[test]
fn seconds_come_first() {
    assert_eq!(
        due("*/20 59 23 31 12 *", "UTC", "2026-12-31T23:59:00.5Z", 3),
        ["12-31 23:59:20 +0000", "12-31 23:59:40 +0000", "12-31 23:59:00 +0000"]
    );
}

#[test]
fn an_invalid_expression_is_refused_with_the_field_and_the_allowed_values() {
    for (expression, message) in [
        (
            "",
            "it is empty: write five fields (minutes, hours, days of the month, months, days of the week), such as `0 2 * * *`",
        ),
        (
            "0 2 * *",
            "it has 4 fields: write five (minutes, hours, days of the month, months, days of the week), or six with the seconds first",
        ),
        ("0 0 2 * * * 2026", "it has 7 fields: crontab has no years; write five, or six with the seconds first"),
        ("0 25 * * *", "the hours `25`: 25 is not within 0-23"),
        ("60 * * * *", "the minutes `60`: 60 is not within 0-59"),
        ("-1 * * * *", "the minutes `-1`: numbers are not negative: allowed are 0-59"),
        ("- * * * *", "the minutes `-`: a number is missing: allowed are 0-59"),
        ("99999999999 0 * * *", "the minutes `99999999999`: 99999999999 is not within 0-59"),
        ("0 0 0 * *", "the days of the month `0`: 0 is not within 1-31"),
        ("0 0 1,32 * *", "the days of the month `1,32`: 32 is not within 1-31"),
        ("0 0 * 13 *", "the months `13`: 13 is not within 1-12 or JAN-DEC"),
        ("0 0 * * 8", "the days of the week `8`: 8 is not within 0-7 (0 and 7 are Sunday) or SUN-SAT"),
        ("61 0 0 * * *", "the seconds `61`: 61 is not within 0-59"),
        ("0 0 * * monday", "the days of the week `monday`: names have three letters: write `MON` for `monday`"),
        ("0 0 * july *", "the months `july`: names have three letters: write `JUL` for `july`"),
        ("0 0 * * noon", "the days of the week `noon`: `noon` is none of 0-7 (0 and 7 are Sunday) or SUN-SAT"),
        ("mon 0 * * *", "the minutes `mon`: `mon` is none of 0-59"),
        ("0 22-2 * * *", "the hours `22-2`: the range ends before it begins: write `22-23,0-2`, or turn it around"),
        (
            "0 0 * * FRI-MON",
            "the days of the week `FRI-MON`: the range ends before it begins: write `FRI-SAT,SUN-MON`, or turn it around",
        ),
        ("0 22-2/2 * * *", "the hours `22-2/2`: the range ends before it begins: write `22,0,2`, or turn it around"),
        (
            "50-20/5 * * * *",
            "the minutes `50-20/5`: the range ends before it begins: write `50,55,0-20/5`, or turn it around",
        ),
        ("0 0 * * 7-0", "the days of the week `7-0`: the range ends before it begins: write `0`, or turn it around"),
        ("0 0 * * 5-0", "the days of the week `5-0`: the range ends before it begins: write `5-7`, or turn it around"),
        (
            "0 0 * nov-feb/2 *",
            "the months `nov-feb/2`: the range ends before it begins: write `NOV,JAN`, or turn it around",
        ),
        ("0 0 * * 1/2", "the days of the week `1/2`: a step comes after `*` or a range: write `1-7/2`"),
        ("0 0 * * sun/2", "the days of the week `sun/2`: a step comes after `*` or a range: write `SUN-SAT/2`"),
        ("59/2 * * * *", "the minutes `59/2`: a step comes after `*` or a range: write `59`"),
        (
            "10-20/90 * * * *",
            "the minutes `10-20/90`: a step of 90 leaves only the first number: a step is up to 59 here; write `10`, if that is meant",
        ),
        ("5/15 * * * *", "the minutes `5/15`: a step comes after `*` or a range: write `5-59/15`"),
        ("*/0 * * * *", "the minutes `*/0`: a step is 1 or more, up to 59 here"),
        (
            "*/90 * * * *",
            "the minutes `*/90`: a step of 90 leaves only the first number: a step is up to 59 here; write `0`, if that is meant",
        ),
        ("*/x * * * *", "the minutes `*/x`: `x` is no step: write a number from 1 to 59 after the `/`"),
        ("1,,2 * * * *", "the minutes `1,,2`: a number is missing: allowed are 0-59"),
        (
            "0 0 L * *",
            "the days of the month `L`: `L` is not known to crontab: allowed are 1-31, `*`, and lists, ranges and steps of them",
        ),
        (
            "0 0 ? * *",
            "the days of the month `?`: `?` is not known to crontab: allowed are 1-31, `*`, and lists, ranges and steps of them",
        ),
        ("٣ 0 * * *", "the minutes `٣`: `٣` is none of 0-59"),
        (
            "@reboot",
            "`@reboot` names no time: start the workflow after the launch; there are `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually`",
        ),
        (
            "@noon",
            "`@noon` is not known to crontab: there are `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually`",
        ),
    ] {
        assert_eq!(error(expression), message);
    }
    assert!(error("@every 5m").contains("write `*/5 * * * *` for every five minutes"));
}

/// The fields: the index in six fields, the numbers, and their names.
const FIELDS: [(usize, std::ops::RangeInclusive<u32>, &[&str]); 5] = [
    (1, 0..=59, &[]),
    (2, 0..=23, &[]),
    (3, 1..=31, &[]),
    (4, 1..=12, &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]),
    (5, 0..=6, &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
];

/// The expression with this text in one field.
fn with_field(field: usize, text: &str) -> String {
    let mut fields = ["*"; 6];
    fields[field] = text;
    fields.join(" ")
}

/// Checks that the suggestion for this text in one field means these numbers.
fn assert_suggests(field: usize, text: &str, mut meant: Vec<u32>) {
    let message = error(&with_field(field, text));
    let suggested = message.split("write `").nth(1).and_then(|it| it.split('`').next()).expect(&message);
    let read = Crontab::parse(&with_field(field, suggested)).unwrap_or_else(|error| panic!("{message}: {error}"));
    let set = [read.seconds, read.minutes, read.hours, read.days, read.months, read.weekdays][field];
    meant.sort_unstable();
    meant.dedup();
    assert_eq!(crate::types::cron::next::members(set).collect::<Vec<_>>(), meant, "{message}");
}

#[test]
fn the_suggestion_for_a_range_that_wraps_around_means_the_same_numbers() {
    for (field, numbers, names) in FIELDS {
        let (low, high) = (*numbers.start(), *numbers.end());
        let count = high + 1 - low;
        // 7 is Sunday as well.
        let last = if field == 5 { 7 } else { high };
        for (from, to) in (low..=last).flat_map(|from| (low..from).map(move |to| (from, to))) {
            for step in 1..=high - low {
                // From Saturday to Sunday is as far as from 6 to 7.
                let begin = if from > high { low } else { from };
                let end = if begin <= to { to } else { to + count };
                let meant: Vec<_> =
                    (begin..=end).step_by(step as usize).map(|number| (number - low) % count + low).collect();
                let steps = if step == 1 { String::new() } else { format!("/{step}") };
                assert_suggests(field, &format!("{from}-{to}{steps}"), meant.clone());
                // Sunday can end a range by its name.
                if !names.is_empty() && from <= high && (field != 5 || to > low) {
                    let name = |number: u32| names[(number - low) as usize];
                    assert_suggests(field, &format!("{}-{}{steps}", name(from), name(to)), meant);
                }
            }
        }
    }
}

#[test]
fn the_suggestion_for_a_step_from_a_number_means_the_same_numbers() {
    for (field, numbers, names) in FIELDS {
        let (low, high) = (*numbers.start(), *numbers.end());
        for (from, step) in numbers.clone().flat_map(|from| (1..=high - low).map(move |step| (from, step))) {
            // A week that does not begin with Sunday ends with it.
            let last = if field == 5 && from > 0 { 7 } else { high };
            let meant: Vec<_> =
                (from..=last).step_by(step as usize).map(|it| if it > high { low } else { it }).collect();
            assert_suggests(field, &format!("{from}/{step}"), meant.clone());
            if let Some(name) = names.get((from - low) as usize) {
                assert_suggests(field, &format!("{name}/{step}"), meant);
            }
        }
    }
    assert_suggests(5, "7/2", vec![0, 2, 4, 6]);
}

#[test]
fn a_date_that_never_comes_has_no_next_time() {
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31 2 */2"] {
        assert!(Crontab::parse(never).expect("it is valid").is_never(), "{never}");
        let cron = parse(never);
        assert_eq!(cron.next_after("2026-01-01T00:00:00Z".parse().expect("a time"), zone("Europe/Warsaw")), None);
    }
    for rare in ["0 0 29 2 *", "0 0 30 2 MON", "0 0 31 4,5 *"] {
        assert!(!Crontab::parse(rare).expect("it is valid").is_never(), "{rare}");
    }
    assert_eq!(due("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["02-29 00:00:00 +0000"]);
}

#[test]
fn a_skipped_time_is_due_at_the_clock_change() {
    // Warsaw goes from 02:00 to 03:00 on 2026-03-29.
    assert_eq!(
        due("30 2 * * *", "Europe/Warsaw", "2026-03-28T00:00:00Z", 3),
        ["03-28 02:30:00 +0100", "03-29 03:00:00 +0200", "03-30 02:30:00 +0200"]
    );
    // All skipped times are due once, together with a time that is due then anyway.
    for expression in ["0,15,30 2 * * *", "0 2,3 * * *", "10 0,30 2 * * *"] {
        let times = due(expression, "Europe/Warsaw", "2026-03-28T23:59:59Z", 2);
        assert_eq!(times[0], "03-29 03:00:00 +0200", "{expression}");
        assert!(times[1].starts_with("03-30"), "{expression}: {times:?}");
    }
    // New York goes from 02:00 to 03:00 on 2026-03-08, Lord Howe from 02:00 to 02:30 on 2026-10-04.
    assert_eq!(due("30 2 8 3 *", "America/New_York", "2026-01-01T00:00:00Z", 1), ["03-08 03:00:00 -0400"]);
    assert_eq!(
        due("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
        ["10-04 02:30:00 +1100", "10-05 02:15:00 +1100"]
    );
}

#[test]
fn a_repeated_time_is_due_the_first_time() {
    // Warsaw goes from 03:00 to 02:00 on 2026-10-25, New York from 02:00 to 01:00 on 2026-11-01.
    assert_eq!(
        due("30 2 * * *", "Europe/Warsaw", "2026-10-24T12:00:00Z", 2),
        ["10-25 02:30:00 +0200", "10-26 02:30:00 +0100"]
    );
    assert_eq!(
        due("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
        ["11-01 01:30:00 -0400", "11-02 01:30:00 -0500"]
    );
    // From an instant within the repeated hour.
    assert_eq!(due("45 1 * * *", "America/New_York", "2026-11-01T06:20:00Z", 1), ["11-02 01:45:00 -0500"]);
    assert_eq!(
        due("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", 2),
        ["04-05 01:45:00 +1100", "04-06 01:45:00 +1030"]
    );
}

#[test]
fn a_star_in_the_minutes_or_hours_follows_the_wall_clock() {
    // Skipped times are skipped, and real time continues evenly.
    assert_eq!(
        due("*/30 * * * *", "Europe/Warsaw", "2026-03-29T00:00:00Z", 4),
        ["03-29 01:30:00 +0100", "03-29 03:00:00 +0200", "03-29 03:30:00 +0200", "03-29 04:00:00 +0200"]
    );
    assert_eq!(due("*/30 2 * * *", "Europe/Warsaw", "2026-03-29T00:00:00Z", 1), ["03-30 02:00:00 +0200"]);
    // Repeated times are due again.
    assert_eq!(
        due("*/30 * * * *", "America/New_York", "2026-11-01T05:10:00Z", 4),
        ["11-01 01:30:00 -0400", "11-01 01:00:00 -0500", "11-01 01:30:00 -0500", "11-01 02:00:00 -0500"]
    );
    assert_eq!(
        due("15 * * * *", "America/New_York", "2026-11-01T05:20:00Z", 2),
        ["11-01 01:15:00 -0500", "11-01 02:15:00 -0500"]
    );
    assert_eq!(
        due("*/15 1 * * *", "America/New_York", "2026-11-01T06:20:00Z", 3),
        ["11-01 01:30:00 -0500", "11-01 01:45:00 -0500", "11-02 01:00:00 -0500"]
    );
    assert_eq!(
        due("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:40:00Z", 4),
        ["04-05 01:45:00 +1100", "04-05 01:30:00 +1030", "04-05 01:45:00 +1030", "04-05 02:00:00 +1030"]
    );
}

#[test]
fn times_of_a_day_that_a_country_skips_are_not_due() {
    // Samoa moved over the date line: after 2011-12-29 came 2011-12-31.
    assert_eq!(
        due("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 2),
        ["12-29 12:00:00 -1000", "12-31 12:00:00 +1400"]
    );
}

#[test]
fn a_zone_without_clock_changes_has_regular_times() {
    assert_eq!(
        due("30 2 * * *", "Asia/Kolkata", "2026-03-28T00:00:00Z", 2),
        ["03-29 02:30:00 +0530", "03-30 02:30:00 +0530"]
    );
}

/// `tests/fixtures/cron/make.py` makes the cases.
#[test]
fn ten_thousand_expressions_are_due_when_an_independent_implementation_finds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/cron/cases.txt");
    // The fixtures are not part of the package.
    let Ok(cases) = fs::read_to_string(path) else { return };
    let (mut checked, mut errors) = (0, Vec::new());
    for case in cases.lines() {
        let mut parts = case.split('|');
        let mut part = || parts.next().expect("a case has four parts");
        let (tz, cron) = (zone(part()), parse(part()));
        let start: i64 = part().parse().expect("a start is a number of seconds");
        let mut at = start;
        for pause in part().split(' ') {
            let expected = pause.parse::<i64>().ok().map(|pause| at + pause);
            let instant = DateTime::from_timestamp(at, 0).expect("it is in range");
            let found = cron.next_after(instant, tz).map(|it| it.timestamp());
            match expected {
                Some(expected) => {
                    if found != Some(expected) {
                        let shown = found.and_then(|it| DateTime::from_timestamp(it, 0));
                        let shown = shown.map(|it| it.to_rfc3339_opts(SecondsFormat::Secs, true));
                        errors.push(format!("{case}: {shown:?}"));
                    }
                    at = expected;
                }
                // The other implementation searches nearly eight years.
                None if found.is_some_and(|it| it < start + 2_900 * 86_400) => errors.push(case.to_owned()),
                None => {}
            }
        }
        checked += 1;
    }
    assert!(errors.is_empty(), "{} of {checked}:\n{}", errors.len(), errors.join("\n"));
    assert_eq!(checked, 10_000);
}
