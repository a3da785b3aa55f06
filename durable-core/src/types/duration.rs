//! Parses durations such as `"30s"` and `"1h30m"`. The macros parse durations with the same file
//! (`durable-macros/src/duration.rs` is a link to it).

/// The accepted forms, for messages.
pub(crate) const FORMS: &str = r#"such as "100ms", "30s", "5m", "1h30m" or "2d""#;

/// The units and their milliseconds, in the order in which a duration uses them.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses one or more numbers with units, each unit at most once and the largest first, into milliseconds. A number
/// without a unit is an error. The error completes the sentence "`timeout` ..".
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let mut left = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !left.is_empty() {
        let (number, rest) = split_where(left, |it| !it.is_ascii_digit());
        let (unit, rest) = split_where(rest, |it| it.is_ascii_digit());
        let number: u64 = number.parse().map_err(|_| not_a_duration(text))?;
        let (_, milliseconds) = units.find(|(name, _)| *name == unit).ok_or_else(|| not_a_duration(text))?;
        total = number
            .checked_mul(*milliseconds)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("is given {text:?}, which is longer than can be counted"))?;
        left = rest;
    }
    if text.is_empty() { Err(not_a_duration(text)) } else { Ok(total) }
}

fn split_where(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

fn not_a_duration(text: &str) -> String {
    format!("is given {text:?}, which is not a duration; write one {FORMS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepted_forms() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("100ms", 100),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(parse(text), Ok(milliseconds), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "30", "s", "1.5s", "30 s", "-1s", "30m1h", "1s1s", "1w", "1H", "१s", "99999999999999999999s"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("213503982335d").expect_err("it overflows").contains("longer than"));
    }
}
