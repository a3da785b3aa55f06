//! The database's clock as this process knows it: the time base of sleeps, timeouts and deadlines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::types::sync::{Mutex, lock};
use crate::types::time::Timestamp;

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
    /// The lower and upper bound of the database's time at `base`.
    at_base: Mutex<(Timestamp, Timestamp)>,
    /// The microseconds that a test has skipped.
    skipped: AtomicU64,
    /// What a test does to the database's clock.
    #[cfg(feature = "testing")]
    stopped: Mutex<StoppedClock>,
}

/// Where a test has stopped the database's clock, and since when its readings are to be believed.
#[cfg(feature = "testing")]
#[derive(Debug, Default)]
struct StoppedClock {
    at: Option<Timestamp>,
    /// A reading that was sent before is one of the clock as it was.
    changed: Option<Instant>,
}

impl Clock {
    /// A clock without a reading of the database yet: it shows this machine's time.
    pub(crate) fn new(local: Timestamp) -> Self {
        Self {
            base: Instant::now(),
            at_base: Mutex::new((local, local)),
            skipped: AtomicU64::new(0),
            #[cfg(feature = "testing")]
            stopped: Mutex::default(),
        }
    }

    /// Takes a reading of the database's clock, made at some instant between `sent` and now.
    ///
    /// A reading that agrees with the present bounds narrows them. One that does not means that a
    /// clock was set or that this machine was asleep: then it replaces them.
    pub(crate) fn observe(&self, reading: Timestamp, sent: Instant) {
        #[cfg(feature = "testing")]
        if self.is_outdated(sent) {
            return;
        }
        let (lower, upper) = self.bounds_at_base(reading, sent);
        let mut at_base = lock(&self.at_base);
        let common = (lower.max(at_base.0), upper.min(at_base.1));
        *at_base = if common.0 <= common.1 { common } else { (lower, upper) };
    }

    /// Replaces the present bounds by a reading made between `sent` and now: the first one.
    pub(crate) fn reset(&self, reading: Timestamp, sent: Instant) {
        let bounds = self.bounds_at_base(reading, sent);
        *lock(&self.at_base) = bounds;
    }

    fn bounds_at_base(&self, reading: Timestamp, sent: Instant) -> (Timestamp, Timestamp) {
        (self.time_at_base(reading, Instant::now()), self.time_at_base(reading, sent))
    }

    /// The earliest time that the database can show now.
    pub(crate) fn lower_bound(&self) -> Timestamp {
        self.lower_bound_with_skipped().0
    }

    /// The latest time that the database can show now.
    pub(crate) fn upper_bound(&self) -> Timestamp {
        #[cfg(feature = "testing")]
        if let Some(stopped) = lock(&self.stopped).at {
            return stopped;
        }
        lock(&self.at_base).1.saturating_add(self.base.elapsed() + self.skipped())
    }

    /// The time at which a duration that starts now has certainly elapsed.
    pub(crate) fn after(&self, duration: Duration) -> Timestamp {
        self.upper_bound().saturating_add(duration)
    }

    /// The current time as users see it.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.lower_bound().to_date()
    }

    /// Moves the clock forward, for tests of things that take days.
    #[cfg(feature = "testing")]
    pub(crate) fn skip(&self, duration: Duration) {
        self.skipped.fetch_add(crate::types::time::micros(duration).unsigned_abs(), Ordering::Relaxed);
    }

    /// A test has stopped the database's clock at this time.
    #[cfg(feature = "testing")]
    pub(crate) fn stop(&self, at: Timestamp) {
        self.skipped.store(0, Ordering::Relaxed); // it is in `at`
        *lock(&self.stopped) = StoppedClock { at: Some(at), changed: Some(Instant::now()) };
    }

    #[cfg(feature = "testing")]
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.stopped).at.is_some()
    }

    /// The database's clock runs on, by a statement that was sent at this instant.
    #[cfg(feature = "testing")]
    pub(crate) fn run_on(&self, sent: Instant) {
        let mut stopped = lock(&self.stopped);
        if let Some(at) = stopped.at.take() {
            stopped.changed = Some(Instant::now());
            self.reset(at, sent);
        }
    }

    /// Whether a reading that was sent at this instant is not one of the clock as it is.
    #[cfg(feature = "testing")]
    fn is_outdated(&self, sent: Instant) -> bool {
        let stopped = lock(&self.stopped);
        stopped.at.is_some() || stopped.changed.is_some_and(|changed| sent < changed)
    }

    /// The lower bound, and how much of it was skipped by a test.
    pub(crate) fn lower_bound_with_skipped(&self) -> (Timestamp, Duration) {
        let skipped = self.skipped();
        #[cfg(feature = "testing")]
        if let Some(stopped) = lock(&self.stopped).at {
            return (stopped, skipped);
        }
        (lock(&self.at_base).0.saturating_add(self.base.elapsed() + skipped), skipped)
    }

    /// How far a test has moved this clock forward, and not that of the database.
    pub(crate) fn skipped(&self) -> Duration {
        Duration::from_micros(self.skipped.load(Ordering::Relaxed))
    }

    /// The database's time at `base`, if it is `reading` at an instant. That may be before `base`, because the
    /// first query is sent before there is a clock.
    fn time_at_base(&self, reading: Timestamp, instant: Instant) -> Timestamp {
        match instant.checked_duration_since(self.base) {
            Some(since) => reading.saturating_sub(since),
            // Rounded up, so that the upper bound remains an upper bound.
            None => reading.saturating_add(self.base.duration_since(instant) + Timestamp::RESOLUTION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Timestamp = Timestamp::from_micros(1_000_000);

    #[test]
    fn a_recorded_deadline_never_fires_early_in_another_process() {
        // The database shows `READING` at an instant that neither process knows exactly.
        let (writer, reader) = (Clock::new(Timestamp::UNIX_EPOCH), Clock::new(Timestamp::UNIX_EPOCH));
        let sent = Instant::now();
        std::thread::sleep(Duration::from_millis(2)); // the duration of the query
        writer.reset(READING, sent);
        reader.reset(READING, sent);
        let deadline = writer.after(Duration::from_millis(5));
        let earliest = READING.saturating_add(Duration::from_millis(5));
        assert!(deadline >= earliest, "the deadline is computed from the upper bound");
        assert!(reader.lower_bound() < deadline, "the deadline has not passed already");
    }

    #[test]
    fn the_upper_bound_includes_the_time_of_a_query_sent_before_the_clock_existed() {
        let sent = Instant::now();
        std::thread::sleep(Duration::from_millis(2)); // the reading may be from any instant of these
        let clock = Clock::new(READING);
        clock.reset(READING, sent);
        let after_the_query = READING.saturating_add(Duration::from_millis(2));
        assert!(clock.upper_bound() >= after_the_query, "counted from when the query was sent");
        assert!(clock.lower_bound() < after_the_query);
    }

    #[test]
    fn a_reading_within_the_bounds_narrows_them_and_any_other_replaces_them() {
        let clock = Clock::new(Timestamp::UNIX_EPOCH);
        let sent = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        clock.reset(READING, sent);
        let width = || clock.upper_bound().saturating_duration_since(clock.lower_bound());
        let before = width();
        clock.observe(clock.lower_bound().saturating_add(Duration::from_millis(1)), Instant::now());
        assert!(width() < before);
        let much_later = Timestamp::from_micros(900_000_000);
        clock.observe(much_later, Instant::now());
        assert!(clock.lower_bound() >= much_later, "the database's clock was set");
    }

    #[test]
    #[cfg(feature = "testing")]
    fn a_clock_that_a_test_stops_is_known_exactly_until_it_runs_on() {
        let clock = Clock::new(READING);
        let sent_before = Instant::now();
        let later = READING.saturating_add(Duration::from_hours(1));
        clock.stop(later);
        clock.observe(READING, Instant::now());
        assert_eq!((clock.lower_bound(), clock.upper_bound()), (later, later));
        let sent = Instant::now();
        clock.run_on(sent);
        clock.observe(READING, sent_before);
        assert!(clock.upper_bound() >= later && clock.lower_bound() < later.saturating_add(Duration::from_mins(1)));
    }

    #[test]
    fn the_longest_duration_ends_at_the_latest_representable_time() {
        assert_eq!(Clock::new(Timestamp::UNIX_EPOCH).after(Duration::MAX), Timestamp::LATEST);
    }
}
