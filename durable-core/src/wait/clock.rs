//! The database's clock as this process knows it: the time base of sleeps, timeouts and deadlines.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::types::sync::lock;
use crate::types::time::{LATEST, micros};

/// The database's clock as this process knows it.
///
/// Each reading was taken between two instants of the local clock, so the database's time is known
/// only within the duration of the query: it has a lower and an upper bound. Deadlines are computed
/// from the upper bound and fire on the lower one, so a timer never fires early, whatever machine the
/// workflow continues on.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The local, monotonic clock at launch.
    base: Instant,
    /// The lower and upper bound of the database's time (microseconds since 1970) at `base`.
    offset: Mutex<(i64, i64)>,
    /// The microseconds that a test has skipped.
    skipped: AtomicI64,
}

impl Clock {
    /// A clock without a reading of the database yet: it shows this machine's time.
    pub(crate) fn new(local_micros: i64) -> Self {
        Self { base: Instant::now(), offset: Mutex::new((local_micros, local_micros)), skipped: AtomicI64::new(0) }
    }

    /// Takes a reading of the database's clock, made at some instant between `sent` and now.
    ///
    /// A reading that agrees with the present bounds narrows them. One that does not means that a
    /// clock was set or that this machine was asleep: then it replaces them.
    pub(crate) fn observe(&self, reading: i64, sent: Instant) {
        let (lower, upper) = self.offset_bounds(reading, sent);
        let mut offset = lock(&self.offset);
        let common = (lower.max(offset.0), upper.min(offset.1));
        *offset = if common.0 <= common.1 { common } else { (lower, upper) };
    }

    /// Replaces the present bounds by a reading made between `sent` and now: the first one.
    pub(crate) fn reset(&self, reading: i64, sent: Instant) {
        let bounds = self.offset_bounds(reading, sent);
        *lock(&self.offset) = bounds;
    }

    fn offset_bounds(&self, reading: i64, sent: Instant) -> (i64, i64) {
        (reading - self.since_base(Instant::now()), reading - self.since_base(sent))
    }

    /// The earliest time that the database can show now.
    pub(crate) fn lower_bound(&self) -> i64 {
        self.lower_bound_with_skipped().0
    }

    /// The latest time that the database can show now.
    pub(crate) fn upper_bound(&self) -> i64 {
        lock(&self.offset).1 + self.since_base(Instant::now()) + self.skipped.load(Ordering::Relaxed)
    }

    /// The time at which a duration that starts now has certainly elapsed.
    pub(crate) fn after(&self, duration: Duration) -> i64 {
        self.upper_bound().saturating_add(micros(duration)).min(LATEST)
    }

    /// The current time as users see it.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        to_date(self.lower_bound())
    }

    /// Moves the clock forward, for tests of things that take days.
    #[cfg(feature = "testing")]
    pub(crate) fn skip(&self, duration: Duration) {
        self.skipped.fetch_add(micros(duration), Ordering::Relaxed);
    }

    /// The lower bound, and how many microseconds of it were skipped by a test.
    pub(crate) fn lower_bound_with_skipped(&self) -> (i64, i64) {
        let skipped = self.skipped.load(Ordering::Relaxed);
        (lock(&self.offset).0 + self.since_base(Instant::now()) + skipped, skipped)
    }

    /// Microseconds since `base`; negative before it, because the first query is sent before there is a clock.
    fn since_base(&self, instant: Instant) -> i64 {
        match instant.checked_duration_since(self.base) {
            Some(since) => micros(since),
            // Rounded away from the base, so that the upper bound remains an upper bound.
            None => -1 - micros(self.base.duration_since(instant)),
        }
    }
}

/// A time of the database's clock as a date.
pub(crate) fn to_date(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros.clamp(0, LATEST)).unwrap_or_default()
}

/// A date as a time of the database's clock. Parts of a microsecond are rounded up, so that a timer
/// never fires before the date.
pub(crate) fn from_date(date: DateTime<Utc>) -> i64 {
    let up = i64::from(!date.timestamp_subsec_nanos().is_multiple_of(1000));
    date.timestamp_micros().saturating_add(up).clamp(0, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_deadline_never_fires_early_in_another_process() {
        // The database shows 1,000,000 at an instant that neither process knows exactly.
        let (writer, reader) = (Clock::new(0), Clock::new(0));
        let sent = Instant::now();
        std::thread::sleep(Duration::from_millis(2)); // the duration of the query
        writer.reset(1_000_000, sent);
        reader.reset(1_000_000, sent);
        let deadline = writer.after(Duration::from_millis(5));
        let earliest = 1_000_000 + 5_000;
        assert!(deadline >= earliest, "the deadline is computed from the upper bound");
        assert!(reader.lower_bound() < deadline, "the deadline has not passed already");
    }

    #[test]
    fn the_upper_bound_includes_the_time_of_a_query_sent_before_the_clock_existed() {
        let sent = Instant::now();
        std::thread::sleep(Duration::from_millis(2)); // the reading may be from any instant of these
        let clock = Clock::new(1_000_000);
        clock.reset(1_000_000, sent);
        assert!(clock.upper_bound() >= 1_002_000, "counted from when the query was sent");
        assert!(clock.lower_bound() < 1_002_000);
    }

    #[test]
    fn a_reading_within_the_bounds_narrows_them_and_any_other_replaces_them() {
        let clock = Clock::new(0);
        let sent = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        clock.reset(1_000_000, sent);
        let width = clock.upper_bound() - clock.lower_bound();
        clock.observe(clock.lower_bound() + 1_000, Instant::now());
        assert!(clock.upper_bound() - clock.lower_bound() < width);
        clock.observe(900_000_000, Instant::now());
        assert!(clock.lower_bound() >= 900_000_000, "the database's clock was set");
    }

    #[test]
    fn the_longest_duration_ends_at_the_latest_representable_time() {
        assert_eq!(Clock::new(0).after(Duration::MAX), LATEST);
        assert_eq!(from_date(to_date(1_234_567)), 1_234_567);
    }
}
