//! The text of a notification: the sender, then one word for each hint, `w9f3c` for a workflow, `q9f3c`
//! for a queue and `e-17` for an executor. The SQL functions of the migrations write it too. Postgres
//! accepts less than 8000 bytes; what would be longer is a `*`.

use std::fmt::Write as _;

use crate::store::{Hint, Notification};

/// The longest text of a notification.
const MAX_LENGTH: usize = 7_900;
/// Something has changed, and there is no room for what.
const SOMETHING: &str = " *";

/// The sender of a notification within a user's transaction: only the server knows when it is committed,
/// so every process has to receive it, also the one that sent it.
pub(super) const NO_PROCESS: &str = "-";

/// The text of a notification.
pub(super) fn text(sender: &str, hints: &[Hint]) -> String {
    let mut text = sender.to_owned();
    for hint in hints {
        let _ = match hint {
            Hint::Workflow(hash) => write!(text, " w{hash:x}"),
            Hint::Executor(key) => write!(text, " e{key}"),
            Hint::Queue(hash) => write!(text, " q{hash:x}"),
        };
        if text.len() > MAX_LENGTH {
            return something(sender);
        }
    }
    text
}

/// The text of a notification that anything may have changed.
pub(super) fn something(sender: &str) -> String {
    format!("{sender}{SOMETHING}")
}

/// Whether this is the token of another process: it begins to listen.
pub(super) fn is_arrival(me: &str, text: &str) -> bool {
    text.split_once(' ').is_some_and(|(sender, words)| sender != me && words.starts_with('t'))
}

/// The text that a listener sends itself as a test, and announces itself with.
pub(super) fn token(sender: &str, number: u64) -> String {
    format!("{sender} t{number}")
}

/// What a notification means for the process `me`; `None` if it is its own.
pub(super) fn parse(me: &str, text: &str) -> Option<Notification> {
    let (sender, words) = text.split_once(' ').unwrap_or((text, ""));
    if sender == me || words.starts_with('t') {
        return None;
    }
    // A word of a newer release is a change of something.
    let hints: Option<Vec<Hint>> = words.split(' ').map(hint).collect();
    Some(hints.map_or(Notification::Something, Notification::Hints))
}

fn hint(word: &str) -> Option<Hint> {
    match word.split_at_checked(1)? {
        ("w", hash) => u32::from_str_radix(hash, 16).ok().map(Hint::Workflow),
        ("e", key) => key.parse().ok().map(|key: i64| Hint::Executor(key.into())),
        ("q", hash) => u32::from_str_radix(hash, 16).ok().map(Hint::Queue),
        _ => None,
    }
}

/// The channel of a schema: its name, or a hash of it where the name is too long for a channel.
pub(super) fn channel(schema: &str) -> String {
    let plain = format!("durable:{schema}");
    if plain.len() <= 63 {
        return plain;
    }
    let hash = schema.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a, the same in every build
    });
    format!("durable#{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_parsed_as_they_were_sent() {
        let hints = vec![
            Hint::for_workflow("order-1"),
            Hint::Workflow(0),
            Hint::Workflow(u32::MAX),
            Hint::Executor(i64::MIN.into()),
            Hint::for_queue("mail"),
            Hint::Queue(u32::MAX),
        ];
        assert_eq!(parse("me", &text("you", &hints)), Some(Notification::Hints(hints.clone())));
        assert_eq!(parse("me", &text("me", &hints)), None);
        assert_eq!(parse("me", &token("you", 7)), None);
    }

    #[test]
    fn a_text_that_is_too_long_or_of_a_newer_release_means_that_anything_may_have_changed() {
        let many: Vec<Hint> = (0..5_000).map(|it| Hint::Executor((i64::MAX - it).into())).collect();
        let sent = text("you", &many);
        assert!(sent.len() < 8_000);
        assert_eq!(parse("me", &sent), Some(Notification::Something));
        let most: Vec<Hint> = (0..380).map(|it| Hint::Executor((i64::MIN + it).into())).collect();
        assert!(text(&"s".repeat(16), &most).len() < 8_000);
        for odd in ["you w1 x7", "you", "", "you wxyz", "you ż"] {
            assert_eq!(parse("me", odd), Some(Notification::Something), "{odd}");
        }
    }

    #[test]
    fn a_channel_name_is_valid_in_postgres() {
        assert_eq!(channel("durable"), "durable:durable");
        let (one, two) = (channel(&"x".repeat(63)), channel(&format!("{}y", "x".repeat(62))));
        assert!(one.len() <= 63 && two.len() <= 63);
        assert_ne!(one, two);
    }
}
