//! Values as they are typed: JSON, pairs, times.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

use super::exit::{Exit, Failure, Result};

/// How a text is typed, for hints.
const TEXTS: &str = "a text needs quotes of JSON, as in '\"hurry\"'; - reads the standard input, and @path a file";

/// A value of the command line: JSON, `@file` with JSON, or `-` for the standard input.
pub(super) fn json(what: &str, text: &str) -> Result<Value> {
    let Typed { source, text, .. } = Typed::read(text)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(Exit::Usage, format!("{what} from {source} is no JSON: {error}")).hint(TEXTS))
}

/// `NAME=VALUE` of an argument. The value is JSON; what is no JSON on the command line itself is a text.
pub(super) fn argument(text: &str) -> Result<(String, Value)> {
    let (name, value) = pair("--arg", text)?;
    let typed = Typed::read(&value)?;
    match serde_json::from_str(&typed.text) {
        Ok(read) => Ok((name, read)),
        Err(_) if typed.is_literal => Ok((name, Value::String(value))),
        Err(error) => {
            let message = format!("the argument {name:?} from {} is no JSON: {error}", typed.source);
            Err(Failure::new(Exit::Usage, message).hint(TEXTS))
        }
    }
}

/// The two sides of `NAME=VALUE`.
pub(super) fn pair(option: &str, text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::new(Exit::Usage, format!("{option} {text} is no NAME=VALUE")).hint(format!(
            "write {option} {}=VALUE",
            if text.is_empty() || text.starts_with('=') { "NAME" } else { text }
        ))),
    }
}

/// A text of the command line, and what it stands for.
struct Typed {
    source: String,
    text: String,
    is_literal: bool,
}

impl Typed {
    fn read(text: &str) -> Result<Self> {
        if text == "-" {
            let text = std::io::read_to_string(std::io::stdin())?;
            return Ok(Self { source: "the standard input".to_owned(), text, is_literal: false });
        }
        let Some(path) = text.strip_prefix('@') else {
            return Ok(Self { source: "the command line".to_owned(), text: text.to_owned(), is_literal: true });
        };
        let read = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot read {path}: {error}"))
                .hint(format!("a text that begins with @ is written as JSON: '\"@{path}\"'"))
        })?;
        Ok(Self { source: path.to_owned(), text: read, is_literal: false })
    }
}

/// A moment: as in RFC 3339, a date at its beginning in UTC, or so long ago.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let date = |text: &str| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    let ago = |text: &str| {
        Utc::now().checked_sub_signed(chrono::Duration::from_std(humantime::parse_duration(text).ok()?).ok()?)
    };
    text.parse().ok().or_else(|| date(text)).or_else(|| ago(text)).ok_or_else(|| {
        format!("{text:?} is no time: write 2026-01-31T00:00:00Z, 2026-01-31 (its beginning in UTC), or 1h or 2d for so long ago")
    })
}
