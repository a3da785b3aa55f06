//! Times and durations in microseconds, limited to the year 9999.

use std::time::Duration;

/// The last microsecond of the year 9999. Later times have no common text form and are replaced by this.
pub(crate) const LATEST: i64 = 253_402_300_799_999_999;

/// A duration in microseconds, at most [`LATEST`], so that it can be added to any time without overflow.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).map_or(LATEST, |it| it.min(LATEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_can_be_added_to_any_time() {
        assert_eq!(micros(Duration::from_millis(5)), 5_000);
        assert_eq!(micros(Duration::MAX), LATEST);
        assert!(LATEST.checked_add(micros(Duration::MAX)).is_some());
    }
}
