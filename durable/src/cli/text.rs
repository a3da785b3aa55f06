//! Times and durations as people read them, and texts in short.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::output::Tone;
use crate::{GroupCount, Status, WorkflowCounts};

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

/// The message of a recorded error, which is JSON.
pub(super) fn message_of(error: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(error).ok();
    parsed.as_ref().and_then(|it| it["message"].as_str()).unwrap_or(error).to_owned()
}

/// The text in one line of at most so many characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// So many workflows, as in "1 workflow".
pub(super) fn workflows(number: u64) -> String {
    format!("{number} {}", if number == 1 { "workflow" } else { "workflows" })
}

/// How many workflows there are of each group, as in "2 pending, 1 error".
pub(super) fn groups(counts: &WorkflowCounts) -> String {
    let group = |it: &GroupCount| format!("{} {}", it.count, or_none(it.value.as_ref()).to_lowercase());
    counts.groups.iter().map(group).collect::<Vec<_>>().join(", ")
}

/// The name of a queue, unless it is the engine's own, on which workflows without a queue wait for any process.
pub(super) fn own_queue(queue: &str) -> Option<&str> {
    Some(queue).filter(|it| *it != "durable")
}
