//! The conditions of a filter by their names, as on the command line and in the JSON API.

use chrono::{DateTime, Utc};

use crate::{Filter, Status};

/// The names of the conditions.
pub(crate) const KEYS: &str = "id, status, name, prefix, queue, partition, executor, version, parent, started-by, error, \
                               forked-from, created-after, created-before, started-after, started-before, \
                               completed-after, completed-before, label.NAME";

/// Those whose value is a time.
#[cfg(feature = "cli")]
pub(crate) const TIMES: [&str; 6] =
    ["created-after", "created-before", "started-after", "started-before", "completed-after", "completed-before"];

/// The filter with another condition; `None` if no condition has this name.
///
/// # Errors
/// The value does not read.
pub(crate) fn with_condition(filter: Filter, key: &str, value: &str) -> Result<Option<Filter>, String> {
    Ok(Some(match key {
        "id" => filter.id(value),
        "status" => filter.status(status_word(value)?),
        "name" => filter.name(value),
        "prefix" => filter.id_prefix(value),
        "queue" => filter.queue(value),
        "partition" => filter.partition_key(value),
        "executor" => filter.executor(value),
        "version" => filter.version(value),
        "parent" => filter.parent(value),
        "started-by" => filter.started_by(value),
        "forked-from" => filter.forked_from(value),
        "error" => filter.error_contains(value),
        "created-after" => filter.created_after(time(value)?),
        "created-before" => filter.created_before(time(value)?),
        "started-after" => filter.started_after(time(value)?),
        "started-before" => filter.started_before(time(value)?),
        "completed-after" => filter.completed_after(time(value)?),
        "completed-before" => filter.completed_before(time(value)?),
        _ => match key.strip_prefix("label.") {
            Some(name) => filter.label(name, value),
            None => return Ok(None),
        },
    }))
}

/// A time as in RFC 3339.
pub(crate) fn time(value: &str) -> Result<DateTime<Utc>, String> {
    value.parse().map_err(|_| format!("{value:?} is no time, as in 2026-01-31T00:00:00Z"))
}

/// A status as it is typed, in lower case.
pub(crate) fn status_word(word: &str) -> Result<Status, String> {
    word.parse().map_err(|error: crate::UnknownStatus| error.to_string())
}
