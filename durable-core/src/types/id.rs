//! Ids: the external text ids of workflows, and the internal keys that records refer to.

use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

use crate::types::error::{Error, ErrorKind};
use crate::types::time::Timestamp;

/// The longest id, name or key in bytes. Postgres refuses index rows above about 2,700 bytes.
pub(crate) const MAX_ID_BYTES: usize = 255;

/// A fresh workflow id: a UUID version 7, so that rows made together lie together in the index.
pub(crate) fn fresh_workflow_id() -> String {
    Uuid::now_v7().to_string()
}

/// The id of a child that has none of its own: its parent's with the position of its start, so that it
/// is the same at every replay. An id that would become too long is replaced by a hash of that text.
pub(crate) fn child_id(parent: &str, position: impl std::fmt::Display) -> String {
    let id = format!("{parent}-{position}");
    if id.len() <= MAX_ID_BYTES { id } else { Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()).to_string() }
}

/// Refuses an id that cannot be stored in the database, logged or sent in a notification.
///
/// # Errors
/// Empty, longer than [`MAX_ID_BYTES`], or with a control character in it (`NUL` is no Postgres text).
pub(crate) fn check_id(what: &str, id: &str) -> Result<(), Error> {
    let error = if id.is_empty() {
        "it is empty".to_owned()
    } else if id.len() > MAX_ID_BYTES {
        format!("it has {} bytes and {MAX_ID_BYTES} are allowed", id.len())
    } else if let Some(bad) = id.chars().find(|it| it.is_control()) {
        format!("it contains the control character {bad:?}")
    } else {
        return Ok(());
    };
    let shown: String = id.chars().take(40).collect();
    Err(Error::new(ErrorKind::InvalidId, format!("{what} {shown:?} cannot be used: {error}")))
}

/// Refuses a topic, or the name of an event or a stream, that cannot be stored. The empty name is valid.
///
/// # Errors
/// Longer than [`MAX_ID_BYTES`], or with a control character in it.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() { Ok(()) } else { check_id(what, name) }
}

/// Makes the internal integer keys: increasing within a process, and distinct between processes
/// without asking the database.
///
/// A key is the microsecond since 2020 times 1,024 plus a tag of the executor. Two executors that
/// draw the same tag and make a key in the same microsecond meet a primary key violation, and the
/// loser takes another key.
#[derive(Debug)]
pub(crate) struct KeyMaker {
    /// The microsecond of the last key. The next one is later, even if the clock goes back.
    last: AtomicI64,
    /// Ten random bits, drawn per launch.
    tag: i64,
    /// How far the clock of a test is ahead of this machine's, in microseconds.
    #[cfg(feature = "testing")]
    ahead: AtomicI64,
}

const EPOCH_2020_MICROS: i64 = 1_577_836_800_000_000;

impl KeyMaker {
    pub(crate) fn new() -> Self {
        let tag = i64::from(Uuid::new_v4().as_fields().1 & 0x3ff);
        Self {
            last: AtomicI64::new(0),
            tag,
            #[cfg(feature = "testing")]
            ahead: AtomicI64::new(0),
        }
    }

    /// A test has moved the clock to this time.
    #[cfg(feature = "testing")]
    pub(crate) fn follow(&self, time: Timestamp) {
        self.ahead.store(time.as_micros() - Timestamp::local_now().as_micros(), Ordering::Relaxed);
    }

    /// A key among those that were made at this time, for a workflow that is written later.
    pub(crate) fn at<K: From<i64>>(&self, time: Timestamp) -> K {
        ((time.as_micros() - EPOCH_2020_MICROS).saturating_mul(1024).saturating_add(self.tag)).into()
    }

    pub(crate) fn next<K: From<i64>>(&self) -> K {
        let now = Timestamp::local_now().as_micros() - EPOCH_2020_MICROS;
        #[cfg(feature = "testing")]
        let now = now + self.ahead.load(Ordering::Relaxed);
        let next = |last: i64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.unwrap_or_default(); // the closure never declines
        (now.max(last + 1) * 1024 + self.tag).into()
    }
}

/// How far the clocks of the processes that make keys may be from that of the database, in a search by time.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const LARGEST_CLOCK_DIFFERENCE: std::time::Duration = std::time::Duration::from_hours(1);

/// A key before all that were made from this time on, or behind all that were made before it, whatever
/// the process's clock was within an hour.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn key_of_time(time: Timestamp, behind: bool) -> i64 {
    let time = if behind {
        time.saturating_add(LARGEST_CLOCK_DIFFERENCE)
    } else {
        time.saturating_sub(LARGEST_CLOCK_DIFFERENCE)
    };
    (time.as_micros() - EPOCH_2020_MICROS).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_increase_even_when_the_clock_does_not() {
        let keys = KeyMaker::new();
        let made: Vec<i64> = (0..10_000).map(|_| keys.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn ids_that_cannot_be_stored_are_refused_with_the_reason() {
        for bad in ["", "a\0b", "line\nbreak", &"x".repeat(256)] {
            let refused = check_id("workflow id", bad).expect_err("it should be refused");
            assert!(refused.to_string().contains("workflow id"), "{refused}");
        }
        for good in ["order-1001", "zamówienie ✓", "%_'\"\\", &"x".repeat(255)] {
            check_id("workflow id", good).expect("it should be accepted");
        }
    }
}
