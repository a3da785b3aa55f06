//! Times and durations in microseconds, limited to the year 9999.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// A point in time in microseconds since 1970, as the database has it. Everything that a fleet compares
/// comes from the database's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first microsecond of the year 1970.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The last microsecond of the year 9999. Later times have no common text form: sums are limited to it.
    pub const LATEST: Self = Self(253_402_300_799_999_999);
    /// The shortest time between two that differ.
    pub const RESOLUTION: Duration = Duration::from_micros(1);

    /// The time that is so many microseconds after the start of 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The microseconds since 1970; negative before it.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The present time of this machine's clock. Only keys and SQLite use it.
    #[must_use]
    pub fn local_now() -> Self {
        SystemTime::now().into()
    }

    /// The time of a date. Parts of a microsecond are rounded up, so that a timer never fires before the date.
    #[must_use]
    pub fn from_date(date: DateTime<Utc>) -> Self {
        let up = i64::from(!date.timestamp_subsec_nanos().is_multiple_of(1000));
        Self(date.timestamp_micros().saturating_add(up)).clamp(Self::UNIX_EPOCH, Self::LATEST)
    }

    /// The date, between 1970 and the year 9999.
    #[must_use]
    pub fn to_date(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.clamp(Self::UNIX_EPOCH, Self::LATEST).0).unwrap_or_default()
    }

    /// The time so much later, or [`LATEST`](Self::LATEST) if that would be after it.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration))).min(Self::LATEST)
    }

    /// The time so much earlier.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// How long it is after an earlier time; zero if it is not after it.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }
}

impl From<i64> for Timestamp {
    fn from(micros: i64) -> Self {
        Self(micros)
    }
}

/// A clock that shows a time before 1970 counts as one that shows its start.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A duration in microseconds, limited so that it can be added to any time of the calendar without overflow.
pub(crate) fn micros(duration: Duration) -> i64 {
    let limit = Timestamp::LATEST.0;
    i64::try_from(duration.as_micros()).map_or(limit, |it| it.min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_can_be_added_to_any_time() {
        assert_eq!(micros(Duration::from_millis(5)), 5_000);
        assert!(Timestamp::LATEST.0.checked_add(micros(Duration::MAX)).is_some());
        assert_eq!(Timestamp::UNIX_EPOCH.saturating_add(Duration::MAX), Timestamp::LATEST);
        assert_eq!(Timestamp::LATEST.saturating_add(Timestamp::RESOLUTION), Timestamp::LATEST);
    }

    #[test]
    fn the_difference_of_two_times_is_never_negative() {
        let (earlier, later) = (Timestamp::from_micros(2_000), Timestamp::from_micros(5_000));
        assert_eq!(later.saturating_duration_since(earlier), Duration::from_millis(3));
        assert_eq!(earlier.saturating_duration_since(later), Duration::ZERO);
        assert_eq!(later.saturating_sub(Duration::from_millis(3)), earlier);
        let extremes = Timestamp::from_micros(i64::MAX).saturating_duration_since(Timestamp::from_micros(i64::MIN));
        assert_eq!(extremes, Duration::from_micros(i64::MAX.unsigned_abs()));
    }

    #[test]
    fn dates_keep_their_microseconds_and_round_up_what_is_below() {
        assert_eq!(Timestamp::from_date(Timestamp::from_micros(1_234_567).to_date()).as_micros(), 1_234_567);
        let date = DateTime::from_timestamp_nanos(1_234_567_001);
        assert_eq!(Timestamp::from_date(date).as_micros(), 1_234_568);
        assert_eq!(Timestamp::from_micros(-1).to_date(), DateTime::UNIX_EPOCH);
        assert_eq!(Timestamp::from_micros(i64::MAX).to_date(), Timestamp::LATEST.to_date());
    }

    #[test]
    fn a_clock_before_1970_shows_its_start() {
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::UNIX_EPOCH);
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_micros(7)).as_micros(), 7);
    }
}
