//! The retry options of a step.

use std::time::Duration;

use crate::types::backoff::Backoff;

/// The options of a step. The attribute sets them, and methods on one call override them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOptions {
    /// Attempts after the first.
    pub retries: u32,
    /// The delay before the first retry.
    pub backoff: Duration,
    /// Factor by which the delay grows after each attempt.
    pub backoff_rate: f64,
    /// The longest delay.
    pub max_backoff: Duration,
    /// Random jitter as a fraction of the delay: 0.2 gives 80 % to 120 %.
    pub jitter: f64,
    /// How long one attempt may take; after that its future is dropped.
    pub timeout: Option<Duration>,
    /// Whether the step may be called outside any workflow, as a plain function.
    pub outside: bool,
}

impl StepOptions {
    /// No retries, delays from 1 s doubling to 1 h with 20 % jitter, no timeout, callable anywhere.
    pub const DEFAULT: Self = Self {
        retries: 0,
        backoff: Duration::from_secs(1),
        backoff_rate: 2.0,
        max_backoff: Duration::from_hours(1),
        jitter: 0.2,
        timeout: None,
        outside: true,
    };

    /// The delays between the attempts.
    pub(crate) const fn delays(&self) -> Backoff {
        Backoff::growing(self.backoff, self.backoff_rate, self.max_backoff).with_jitter(self.jitter)
    }
}
