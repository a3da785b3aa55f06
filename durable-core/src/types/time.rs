//! Times and durations as they are written down: in microseconds, and none of them beyond the calendar.

use std::time::Duration;

/// The last microsecond of the year 9999: later times have no common way of writing. What would be
/// later is then.
pub(crate) const LATEST: i64 = 253_402_300_799_999_999;

/// A duration in microseconds. One that is longer than the calendar is as long as that: so it can be
/// added to any time without overflow.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).map_or(LATEST, |it| it.min(LATEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_without_end_can_be_added_to_any_time() {
        assert_eq!(micros(Duration::from_millis(5)), 5_000);
        assert_eq!(micros(Duration::MAX), LATEST);
        assert!(LATEST.checked_add(micros(Duration::MAX)).is_some());
    }
}
