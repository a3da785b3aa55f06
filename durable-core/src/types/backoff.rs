//! Delays that grow from one failure to the next: the one formula for steps, transactions, the writer
//! and the engine's tasks.

use std::time::Duration;

/// The delays of a task of the engine while the database does not answer. The longest is short: when an outage ends,
/// work goes on at most so much later. A process makes a handful of attempts a second with it.
pub(crate) const WHILE_DATABASE_IS_AWAY: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// The same for a call of a workflow or of the program, of which there may be thousands: they come back spread out.
pub(crate) const CALLS_WHILE_DATABASE_IS_AWAY: Backoff =
    Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2)).with_jitter(0.5);

/// Delays that grow from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backoff {
    first: Duration,
    rate: f64,
    max: Duration,
    jitter: f64,
}

impl Backoff {
    /// From `first`, each delay twice the one before, up to `max`; without jitter.
    pub(crate) const fn doubling(first: Duration, max: Duration) -> Self {
        Self { first, rate: 2.0, max, jitter: 0.0 }
    }

    /// From `first`, each delay `rate` times the one before, up to `max`; without jitter.
    pub(crate) const fn growing(first: Duration, rate: f64, max: Duration) -> Self {
        Self { first, rate, max, jitter: 0.0 }
    }

    /// The same with random jitter as a fraction of the delay: 0.2 gives 80 % to 120 %.
    pub(crate) const fn with_jitter(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    /// The delay after `failures` failures in a row, without jitter; none after no failure.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        self.jittered_delay(failures, 0.5)
    }

    /// The delay after `failures` failures in a row, with random jitter; none after no failure.
    pub(crate) fn random_delay(&self, failures: u32) -> Duration {
        let random = uuid::Uuid::new_v4().as_fields().0;
        self.jittered_delay(failures, f64::from(random) / f64::from(u32::MAX))
    }

    /// The delay after `failures` failures in a row, none after no failure. `sample` is a random
    /// number from 0.0 to 1.0, where 0.5 stands for no jitter.
    fn jittered_delay(&self, failures: u32, sample: f64) -> Duration {
        let Some(exponent) = failures.checked_sub(1) else { return Duration::ZERO };
        let exponent = i32::try_from(exponent).unwrap_or(i32::MAX);
        let base = self.first.as_secs_f64() * self.rate.powi(exponent);
        let capped = base.min(self.max.as_secs_f64()); // an overflow is infinite, and capped
        let jittered = capped * (1.0 + self.jitter * (2.0 * sample - 1.0));
        Duration::try_from_secs_f64(jittered).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_stay_within_the_jitter() {
        let backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(5)).with_jitter(0.2);
        let middle: Vec<u64> = (0..=4).map(|failures| backoff.delay(failures).as_secs()).collect();
        assert_eq!(middle, [0, 1, 2, 4, 5]);
        assert_eq!(backoff.jittered_delay(2, 0.0), Duration::from_millis(1600));
        assert_eq!(backoff.jittered_delay(2, 1.0), Duration::from_millis(2400));
        assert_eq!(backoff.delay(u32::MAX).as_secs(), 5, "the power overflows, the delay does not");
    }

    #[test]
    fn random_delays_spread_over_the_jitter_and_no_further() {
        let backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(5)).with_jitter(0.2);
        let mut drawn: Vec<_> = (0..1_000).map(|_| backoff.random_delay(2).as_secs_f64()).collect();
        drawn.sort_by(f64::total_cmp);
        let (shortest, longest) = (drawn[0], drawn[999]);
        assert!(shortest >= 1.6 && longest <= 2.4, "{shortest} to {longest}");
        assert!(shortest < 1.7 && longest > 2.3, "{shortest} to {longest}");
    }

    proptest! {
        #[test]
        fn no_delay_is_shorter_than_an_earlier_one_or_longer_than_the_maximum(
            first in 1_u64..10_000, rate in 1.0_f64..10.0, max in 1_u64..1_000_000, failures in 1_u32..10_000,
        ) {
            let max = Duration::from_millis(max);
            let backoff = Backoff::growing(Duration::from_millis(first), rate, max);
            prop_assert!(backoff.delay(failures) <= backoff.delay(failures + 1));
            prop_assert!(backoff.delay(failures) <= max);
        }
    }
}
