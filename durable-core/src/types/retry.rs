//! What steps are told with options: plain values, and pure functions over them.

use std::time::Duration;

/// The options of a step. The attribute sets them, and methods on one call override them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOptions {
    /// Attempts after the first.
    pub retries: u32,
    /// The pause before the first retry.
    pub backoff: Duration,
    /// By what each further pause is longer.
    pub backoff_rate: f64,
    /// The longest pause.
    pub max_backoff: Duration,
    /// How much of a pause is drawn by lot: 0.2 makes it 80 % to 120 %.
    pub jitter: f64,
    /// How long one attempt may take; its future is dropped then.
    pub timeout: Option<Duration>,
    /// Whether the step may be called outside any workflow, as a plain function.
    pub outside: bool,
}

impl StepOptions {
    /// No retries, pauses from 1 s doubling to 1 h with 20 % jitter, no timeout, callable anywhere.
    pub const DEFAULT: Self = Self {
        retries: 0,
        backoff: Duration::from_secs(1),
        backoff_rate: 2.0,
        max_backoff: Duration::from_hours(1),
        jitter: 0.2,
        timeout: None,
        outside: true,
    };

    /// The pause after `failed` failed attempts (1 or more); `lot` is drawn from 0.0 to 1.0.
    #[must_use]
    pub(crate) fn delay_after(&self, failed: u32, lot: f64) -> Duration {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let base = self.backoff.as_secs_f64() * self.backoff_rate.powi(exponent);
        let capped = base.min(self.max_backoff.as_secs_f64()); // an overflow is infinite, and capped
        let jittered = capped * (1.0 + self.jitter * (2.0 * lot - 1.0));
        Duration::try_from_secs_f64(jittered).unwrap_or(self.max_backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_stay_within_the_jitter() {
        let options = StepOptions { max_backoff: Duration::from_secs(5), ..StepOptions::DEFAULT };
        let middle: Vec<u64> = (1..=4).map(|failed| options.delay_after(failed, 0.5).as_secs()).collect();
        assert_eq!(middle, [1, 2, 4, 5]);
        assert_eq!(options.delay_after(2, 0.0), Duration::from_millis(1600));
        assert_eq!(options.delay_after(2, 1.0), Duration::from_millis(2400));
        assert_eq!(options.delay_after(u32::MAX, 0.5).as_secs(), 5, "the power overflows, the pause does not");
    }
}
