//! Times and durations as people read them, and values as they type them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::exit::{Exit, Failure, Result};
use super::output::Tone;
use crate::Status;

/// A duration with its two largest units.
pub(super) fn duration(length: Duration) -> String {
    if length < Duration::from_secs(1) {
        return format!("{}ms", length.as_millis());
    }
    let whole = humantime::format_duration(Duration::from_secs(length.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A time, in UTC and to the second.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time, or nothing.
pub(super) fn time_or_none(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

/// A text, or nothing.
pub(super) fn or_none(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |it| it.to_string())
}

/// The color of a status.
pub(super) fn tone_of(status: Status) -> Tone {
    match status {
        Status::Success => Tone::Good,
        Status::Pending => Tone::Active,
        Status::Error | Status::Parked => Tone::Bad,
        Status::Cancelled => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// A value of the command line: JSON, `@file` with JSON, or `-` for the standard input.
pub(super) fn json_argument(what: &str, text: &str) -> Result<Value> {
    let (source, text) = match text {
        "-" => ("the standard input".to_owned(), std::io::read_to_string(std::io::stdin())?),
        _ => match text.strip_prefix('@') {
            None => ("the command line".to_owned(), text.to_owned()),
            Some(path) => {
                let read = std::fs::read_to_string(path);
                (
                    path.to_owned(),
                    read.map_err(|error| Failure::new(Exit::Usage, format!("cannot read {path}: {error}")))?,
                )
            }
        },
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Usage, format!("{what} from {source} is no JSON: {error}"))
            .hint("a text needs quotes of JSON, as in '\"hurry\"'; -  reads the standard input, and @path a file")
    })
}
