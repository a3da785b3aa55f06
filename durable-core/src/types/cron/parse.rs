//! Parses the crontab expressions of crontab(5) into sets of numbers. It uses no calendar and no crate, because the macros
//! parse expressions with the same file (`durable-macros/src/cron.rs` is a link to it).

use std::fmt;

/// What the fields of an expression allow. Bit `n` of a set stands for the number `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crontab {
    pub(crate) seconds: u64,
    pub(crate) minutes: u64,
    pub(crate) hours: u64,
    /// Of the month, from 1.
    pub(crate) days: u64,
    /// From 1.
    pub(crate) months: u64,
    /// Of the week, from 0, which is Sunday.
    pub(crate) weekdays: u64,
    /// Whether a day matches if one of `days` and `weekdays` allows it. crontab(5): "If both fields are restricted
    /// (i.e., do not contain the "*" character), the command will be run when either field matches the current time."
    /// As in Vixie's cron and cronie, the first character counts: `*/2` is not restricted.
    pub(crate) either_day: bool,
    /// Whether the minutes or the hours begin with `*`: then a change of the clock skips and repeats times.
    pub(crate) follows_clock: bool,
}

/// Why a text is not a crontab expression, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CronError(String);

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CronError {}

/// One of the fields: its name in messages, and what it allows.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// The names of the numbers, from the first number on.
    names: &'static [&'static str],
    allowed: &'static str,
}

const SECONDS: Field = Field { name: "seconds", first: 0, last: 59, names: &[], allowed: "0-59" };
const MINUTES: Field = Field { name: "minutes", ..SECONDS };
const HOURS: Field = Field { name: "hours", last: 23, allowed: "0-23", ..SECONDS };
const DAYS: Field = Field { name: "days of the month", first: 1, last: 31, names: &[], allowed: "1-31" };
const MONTHS: Field = Field {
    name: "months",
    first: 1,
    last: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    allowed: "1-12 or JAN-DEC",
};
const WEEKDAYS: Field = Field {
    name: "days of the week",
    first: 0,
    last: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    allowed: "0-7 (0 and 7 are Sunday) or SUN-SAT",
};

const FIVE: &str = "minutes, hours, days of the month, months, days of the week";

/// The names of crontab(5) for whole expressions.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Crontab {
    /// Parses five fields, or six with the seconds first, or a nickname such as `@daily`.
    ///
    /// # Errors
    /// The text is not such an expression. The error names the field, and what is allowed there.
    pub(crate) fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.starts_with('@') {
            let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            return known.map_or_else(|| Err(unknown_nickname(text)), |(_, meaning)| Self::parse(meaning));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (seconds, five) = match fields.as_slice() {
            five if five.len() == 5 => ("0", five),
            [seconds, five @ ..] if five.len() == 5 => (*seconds, five),
            other => return Err(wrong_count(other)),
        };
        let weekdays = WEEKDAYS.read(five[4])?;
        let starred = |field: usize| five[field].starts_with('*');
        Ok(Self {
            seconds: SECONDS.read(seconds)?,
            minutes: MINUTES.read(five[0])?,
            hours: HOURS.read(five[1])?,
            days: DAYS.read(five[2])?,
            months: MONTHS.read(five[3])?,
            // 0 and 7 are Sunday.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !starred(2) && !starred(4),
            follows_clock: starred(0) || starred(1),
        })
    }

    /// Whether no year has an allowed day, as with February 30.
    pub(crate) fn is_never(&self) -> bool {
        const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let first_day = self.days.trailing_zeros();
        let has_it = |month: u32| self.months & (1 << month) != 0 && LONGEST[month as usize - 1] >= first_day;
        !self.either_day && !(1..=12).any(has_it)
    }
}

impl Field {
    /// A list of ranges.
    fn read(&self, text: &str) -> Result<u64, CronError> {
        let mut set = 0;
        for part in text.split(',') {
            set |= self.range(part).map_err(|error| CronError(format!("the {} `{text}`: {error}", self.name)))?;
        }
        Ok(set)
    }

    /// `*`, a number, or two with a `-` between; after `*` and two numbers there can be a step.
    fn range(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last_of_all()),
            Some((first, last)) => self.ends(first, last)?,
            None => {
                let number = self.number(range)?;
                (number, number)
            }
        };
        let by_name = range.split('-').any(|end| self.named(end).is_some());
        let by = step.map_or(Ok(1), |step| self.step(step, &self.text(first, by_name)))?;
        if first > last {
            let fix = self.around(first, last, by, by_name);
            return Err(format!("the range ends before it begins: write `{fix}`, or turn it around"));
        }
        if step.is_some() && range != "*" && !range.contains('-') {
            let fix = self.onwards(first, by, by_name);
            return Err(format!("a step comes after `*` or a range: write `{fix}`"));
        }
        Ok((first..=last).step_by(by).fold(0, |set, number| set | 1 << number))
    }

    fn ends(&self, first_text: &str, last_text: &str) -> Result<(u32, u32), String> {
        if first_text.is_empty() && !last_text.is_empty() {
            return Err(format!("numbers are not negative: allowed are {}", self.allowed));
        }
        let (first, last) = (self.number(first_text)?, self.number(last_text)?);
        // By its name Sunday can end a range: `FRI-SUN`.
        let sunday = last == 0 && first > 0 && self.named(last_text).is_some();
        Ok((first, if sunday { 7 } else { last }))
    }

    /// What a range that ends before it begins may mean, as a list that crontab accepts.
    fn around(&self, first: u32, last: u32, step: usize, by_name: bool) -> String {
        // 7 begins a week as 0 does, and 0 ends one as 7 does.
        let first = if first > self.last_of_all() { self.first } else { first };
        if first <= last {
            return self.run(first, last, step, by_name);
        }
        if last == self.first && self.last > self.last_of_all() {
            return self.run(first, self.last, step, by_name);
        }
        let (top, count) = (self.last_of_all(), self.last_of_all() + 1 - self.first);
        let head = self.run(first, top, step, by_name);
        match (first..=last + count).step_by(step).find(|number| *number > top) {
            Some(next) => format!("{head},{}", self.run(next - count, last, step, by_name)),
            None => head,
        }
    }

    /// All from a number on. A week that does not begin with Sunday ends with it.
    fn onwards(&self, first: u32, step: usize, by_name: bool) -> String {
        let (first, last) = match first {
            0 => (0, self.last_of_all()),
            _ if first > self.last_of_all() => (0, self.last_of_all()),
            _ => (first, self.last),
        };
        self.run(first, last, step, by_name)
    }

    /// Numbers with a step, written as a list if there are at most two.
    fn run(&self, first: u32, last: u32, step: usize, by_name: bool) -> String {
        let text = |number| self.text(number, by_name);
        match ((first..=last).step_by(step).count(), step) {
            (..=1, _) => text(first),
            (_, 1) => format!("{}-{}", text(first), text(last)),
            (2, _) => (first..=last).step_by(step).map(text).collect::<Vec<_>>().join(","),
            _ => format!("{}-{}/{step}", text(first), text(last)),
        }
    }

    fn step(&self, text: &str, first: &str) -> Result<usize, String> {
        let most = self.last_of_all() - self.first;
        match digits(text) {
            Some(step) if (1..=most).contains(&step) => Ok(step as usize),
            Some(0) => Err(format!("a step is 1 or more, up to {most} here")),
            Some(step) => Err(format!(
                "a step of {step} leaves only the first number: a step is up to {most} here; write `{first}`, if that is meant"
            )),
            None => Err(format!("`{text}` is no step: write a number from 1 to {most} after the `/`")),
        }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let allowed = self.allowed;
        match digits(text).or_else(|| self.named(text)) {
            Some(number) if (self.first..=self.last).contains(&number) => Ok(number),
            Some(_) => Err(format!("{text} is not within {allowed}")),
            None if text.is_empty() => Err(format!("a number is missing: allowed are {allowed}")),
            None if text.contains(['?', 'L', 'W', '#']) && self.named_long(text).is_none() => Err(format!(
                "`{text}` is not known to crontab: allowed are {allowed}, `*`, and lists, ranges and steps of them"
            )),
            None => match self.named_long(text) {
                Some(name) => Err(format!("names have three letters: write `{name}` for `{text}`")),
                None => Err(format!("`{text}` is none of {allowed}")),
            },
        }
    }

    /// Names are case-insensitive, as in crontab(5).
    fn named(&self, text: &str) -> Option<u32> {
        let index = self.names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
        u32::try_from(index).ok().map(|index| index + self.first)
    }

    /// The name that a longer one, such as `Monday`, begins with.
    fn named_long(&self, text: &str) -> Option<&'static str> {
        let name = self.names.iter().find(|name| text.get(..3).is_some_and(|it| name.eq_ignore_ascii_case(it)));
        name.copied()
    }

    /// The text of a number: its name if the range uses names. 0 and 7 are both Sunday.
    fn text(&self, number: u32, by_name: bool) -> String {
        let index = if number > self.last_of_all() { self.first } else { number } - self.first;
        let name = self.names.get(index as usize).filter(|_| by_name);
        name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
    }

    /// The last number, without the 7 that also means Sunday.
    fn last_of_all(&self) -> u32 {
        self.last.min(if self.first == 0 && !self.names.is_empty() { 6 } else { self.last })
    }
}

/// ASCII digits only, without a sign.
fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if plain { Some(text.parse().unwrap_or(u32::MAX)) } else { None }
}

fn wrong_count(fields: &[&str]) -> CronError {
    CronError(match fields.len() {
        0 => format!("it is empty: write five fields ({FIVE}), such as `0 2 * * *`"),
        7 => "it has 7 fields: crontab has no years; write five, or six with the seconds first".to_owned(),
        1 => format!("it has 1 field: write five ({FIVE}), or six with the seconds first"),
        count => format!("it has {count} fields: write five ({FIVE}), or six with the seconds first"),
    })
}

fn unknown_nickname(text: &str) -> CronError {
    let known = "`@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually`";
    let first = text.split_whitespace().next().unwrap_or(text);
    CronError(match first {
        "@reboot" => format!("`@reboot` names no time: start the workflow after the launch; there are {known}"),
        "@every" => {
            format!("`{text}` is not known to crontab: write `*/5 * * * *` for every five minutes; there are {known}")
        }
        _ => format!("`{text}` is not known to crontab: there are {known}"),
    })
}
