//! What the fuzzer of `fuzz/` calls: each target reads arbitrary bytes with one parser and checks what holds for
//! all of them. The suite runs the same targets over the corpus and random changes of it.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::store::{migration_script, shown_without_password};
use crate::types::cron::CronSchedule;
use crate::types::duration;
use crate::types::history::History;
use crate::types::id::check_id;
use crate::types::page::Cursor;
use crate::types::payload::{RecordedError, decode, encode};
use crate::types::position::Position;

/// A target: its name, which is also that of its corpus, and the function.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[FuzzTarget] = &[
    ("crontab", crontab),
    ("durations", durations),
    ("errors", errors),
    ("history", history),
    ("ids", ids),
    ("payloads", payloads),
    ("positions", positions),
    ("urls", urls),
];

/// Calls the target of this name.
///
/// # Panics
/// When there is none, and when what the target checks does not hold.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(it, _)| *it == name).expect("it is the name of a target");
    target(data);
}

/// A crontab expression, with the name of a zone behind a line break. Its times increase.
fn crontab(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (cron, zone) = text.split_once('\n').unwrap_or((&text, "UTC"));
    let Ok(schedule) = CronSchedule::parse(cron, zone) else { return };
    let mut last = DateTime::<Utc>::from_timestamp(1_792_000_000, 0).expect("it is in the calendar");
    for _ in 0..3 {
        let Some(next) = schedule.next_after(last) else { return };
        assert!(next > last, "{cron:?} in {zone:?}: {next} is not after {last}");
        last = next;
    }
}

/// A duration. It is what its units add up to, in `u128`.
fn durations(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(milliseconds) = duration::parse(&text) else { return };
    let mut sum = 0_u128;
    let mut left = &*text;
    while !left.is_empty() {
        let digits = left.find(|it: char| !it.is_ascii_digit()).expect("a number has a unit");
        let (number, rest) = left.split_at(digits);
        let (unit, rest) = rest.split_at(rest.find(|it: char| it.is_ascii_digit()).unwrap_or(rest.len()));
        let of_unit = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            other => panic!("{text:?} was accepted with the unit {other:?}"),
        };
        sum += number.parse::<u128>().expect("it is a number") * of_unit;
        left = rest;
    }
    assert_eq!(u128::from(milliseconds), sum, "{text:?}");
}

/// A recorded error. What is read can be written, and is read as the same; the message is never lost.
fn errors(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let error = RecordedError::from_text(&text);
    let again = RecordedError::from_text(&error.to_text());
    assert_eq!((&error.message, &error.sources, error.panic), (&again.message, &again.sources, again.panic));
    let message = error.message.clone();
    let shown = error.into_error().to_string();
    assert!(!shown.is_empty() || message.is_empty(), "the message {message:?} is lost");
}

/// An exported history. What is read can be written, and is read as the same.
fn history(data: &[u8]) {
    let Ok(history) = serde_json::from_slice::<History>(data) else { return };
    let text = serde_json::to_string(&history).expect("it was read from JSON");
    let again: History = serde_json::from_str(&text).expect("it was written just now");
    assert_eq!(serde_json::to_string(&again).expect("as before"), text);
}

/// An id. What is accepted can be stored by both databases; what is refused cannot.
fn ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let good = !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    match check_id("workflow id", &text) {
        Ok(()) => assert!(good, "{text:?} was accepted"),
        Err(error) => {
            assert!(!good, "{text:?} was refused: {error}");
            assert!(!error.to_string().contains('\0'), "a log could not carry the error");
        }
    }
}

/// A payload. What is read is written as the same value; the error of what is not holds no part of it.
fn payloads(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(value) = decode::<serde_json::Value>(&text)
        && let Ok(written) = encode(&value)
    {
        assert_eq!(decode::<serde_json::Value>(&written).expect("it was written just now"), value);
    }
    if let Ok(number) = decode::<f64>(&text) {
        let written = encode(&number).expect("JSON has only finite numbers");
        let again: f64 = decode(&written).expect("it was written just now");
        assert_eq!(again.to_bits(), number.to_bits());
    }
    let planted = format!("[1, 2, {{\"card\": \"planted-4111{}\"}}]", text.escape_default());
    if let Err(error) = decode::<Vec<u8>>(&planted) {
        assert!(!error.to_string().contains("4111"), "{error} holds a part of the payload");
    }
}

/// Positions and cursors. What is read is written as it was.
fn positions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(position) = Position::from_str(&text) {
        assert_eq!(Position::from_str(&position.to_string()).as_ref(), Ok(&position));
    }
    if let Ok(cursor) = Cursor::from_str(&text) {
        let again = Cursor::from_str(&cursor.to_string()).expect("it was written just now");
        assert_eq!(again, cursor);
    }
}

/// A URL of a database, and one with this as a part of the password: no message shows the password.
fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = shown_without_password(&text);
    if text.contains("PLANTED") {
        return; // it would be shown as a part of the host
    }
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    for url in [
        format!("postgres://app:{before}PLANTED{after}@host/orders"),
        format!("postgres://host/orders?password={before}PLANTED{after}"),
        format!("postgres://app:PLANTED@{text}"),
    ] {
        let shown = shown_without_password(&url);
        assert!(!shown.contains("PLANTED"), "{url:?} is shown as {shown:?}");
        if let Err(error) = migration_script(&url, "durable") {
            assert!(!error.message.contains("PLANTED"), "{url:?} is refused with {:?}", error.message);
        }
    }
}
