//! The database's clock, as this process knows it: what sleeps, timeouts and deadlines go by.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::types::sync::lock;
use crate::types::time::{LATEST, micros};

/// The database's clock, as this process knows it.
///
/// It was read between two moments of this process's own clock, so what it shows now is known up to
/// the time that the question took. A wake-up is written down by the upper bound and obeyed by the
/// lower one: so nobody ever wakes too early, on whatever machine it continues.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The own clock at the launch; it never goes back.
    base: Instant,
    /// By how much the database's clock (microseconds since 1970) is ahead of `base`, at least and at most.
    offset: Mutex<(i64, i64)>,
    /// The time that a test has let pass.
    skipped: AtomicI64,
}

impl Clock {
    /// A clock that has never heard of the database: this machine's.
    pub(crate) fn new(local_micros: i64) -> Self {
        Self { base: Instant::now(), offset: Mutex::new((local_micros, local_micros)), skipped: AtomicI64::new(0) }
    }

    /// What the database showed at some moment between `asked` and now.
    ///
    /// Where it fits what is known it makes that more precise. Where it does not, a clock was set, or
    /// this machine has slept, and only the new reading counts.
    pub(crate) fn observe(&self, shown: i64, asked: Instant) {
        let (least, most) = (shown - self.since_base(Instant::now()), shown - self.since_base(asked));
        let mut ahead = lock(&self.offset);
        let both = (least.max(ahead.0), most.min(ahead.1));
        *ahead = if both.0 <= both.1 { both } else { (least, most) };
    }

    /// Replaces everything known: the first reading.
    pub(crate) fn reset(&self, shown: i64, asked: Instant) {
        let bounds = (shown - self.since_base(Instant::now()), shown - self.since_base(asked));
        *lock(&self.offset) = bounds;
    }

    /// The database shows this or more.
    pub(crate) fn lower_bound(&self) -> i64 {
        self.lower_bound_with_skipped().0
    }

    /// The database shows this or less.
    pub(crate) fn upper_bound(&self) -> i64 {
        lock(&self.offset).1 + self.since_base(Instant::now()) + self.skipped.load(Ordering::Relaxed)
    }

    /// When a duration that begins now is over for certain.
    pub(crate) fn after(&self, duration: Duration) -> i64 {
        self.upper_bound().saturating_add(micros(duration)).min(LATEST)
    }

    /// The present time for users.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        to_date(self.lower_bound())
    }

    /// Lets time pass that does not: for tests of things that take days.
    #[cfg(feature = "testing")]
    pub(crate) fn skip(&self, duration: Duration) {
        self.skipped.fetch_add(micros(duration), Ordering::Relaxed);
    }

    /// The database shows this or more, and how much of it a test has let pass, in microseconds.
    pub(crate) fn lower_bound_with_skipped(&self) -> (i64, i64) {
        let skipped = self.skipped.load(Ordering::Relaxed);
        (lock(&self.offset).0 + self.since_base(Instant::now()) + skipped, skipped)
    }

    /// Negative for a moment before the base: the first question is asked before there is a clock.
    fn since_base(&self, moment: Instant) -> i64 {
        match moment.checked_duration_since(self.base) {
            Some(since) => micros(since),
            // Rounded away from the base, so that the upper bound stays one.
            None => -1 - micros(self.base.duration_since(moment)),
        }
    }
}

/// A moment of the database's clock as a date.
pub(crate) fn to_date(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros.clamp(0, LATEST)).unwrap_or_default()
}

/// A date as a moment of the database's clock. Parts of a microsecond count as a whole one, so that
/// nobody wakes before it.
pub(crate) fn from_date(date: DateTime<Utc>) -> i64 {
    let up = i64::from(!date.timestamp_subsec_nanos().is_multiple_of(1000));
    date.timestamp_micros().saturating_add(up).clamp(0, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_that_was_written_down_is_never_obeyed_too_early() {
        // The database shows 1,000,000 at a moment that neither of the two knows exactly.
        let (writer, reader) = (Clock::new(0), Clock::new(0));
        let asked = Instant::now();
        std::thread::sleep(Duration::from_millis(2)); // the answer takes its time
        writer.reset(1_000_000, asked);
        reader.reset(1_000_000, asked);
        let wake = writer.after(Duration::from_millis(5));
        let earliest = 1_000_000 + 5_000;
        assert!(wake >= earliest, "counted from the latest moment at which the database can have shown it");
        assert!(reader.lower_bound() < wake, "and not over at once");
    }

    #[test]
    fn a_question_that_was_asked_before_there_was_a_clock_counts_from_when_it_was_asked() {
        let asked = Instant::now();
        std::thread::sleep(Duration::from_millis(2)); // the database may have shown it at any time of these
        let clock = Clock::new(1_000_000);
        clock.reset(1_000_000, asked);
        assert!(clock.upper_bound() >= 1_002_000, "and not from when the answer came");
        assert!(clock.lower_bound() < 1_002_000);
    }

    #[test]
    fn readings_that_fit_together_make_it_more_precise_and_others_replace_it() {
        let clock = Clock::new(0);
        let asked = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        clock.reset(1_000_000, asked);
        let wide = clock.upper_bound() - clock.lower_bound();
        clock.observe(clock.lower_bound() + 1_000, Instant::now());
        assert!(clock.upper_bound() - clock.lower_bound() < wide);
        clock.observe(900_000_000, Instant::now());
        assert!(clock.lower_bound() >= 900_000_000, "somebody has set the clock");
    }

    #[test]
    fn a_duration_without_end_has_one() {
        assert_eq!(Clock::new(0).after(Duration::MAX), LATEST);
        assert_eq!(from_date(to_date(1_234_567)), 1_234_567);
    }
}
