//! The times of a shutdown, and its reason.

use std::fmt;
use std::time::Duration;

/// How long each phase of a shutdown may take.
///
/// A phase ends as soon as there is nothing left to wait for: the times are upper bounds, not delays.
/// All phases together never take longer than [`total`](Self::total).
///
/// No value is invalid: a `total` below 100 ms counts as 100 ms, and a time above one year counts as
/// one year, so `Duration::MAX` means "without a bound". Both corrections are logged at WARN.
///
/// # Example
///
/// ```no_run
/// # use durable_core::{Durable, ShutdownOptions};
/// # use std::time::Duration;
/// # async fn example(app: Durable) {
/// // Messages that are on their way have two seconds to arrive.
/// let options = ShutdownOptions::within(Duration::from_secs(25)).wait_grace(Duration::from_secs(2));
/// let report = app.shutdown_with(options).await;
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownOptions {
    pub(in crate::engine) drain: Duration,
    pub(in crate::engine) abort: Duration,
    pub(in crate::engine) stop: Duration,
    pub(in crate::engine) background: Duration,
    pub(in crate::engine) close: Duration,
    pub(in crate::engine) total: Duration,
    pub(in crate::engine) wait_grace: Duration,
    pub(in crate::engine) release: bool,
    pub(in crate::engine) reason: ShutdownReason,
}

/// Why an engine was shut down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ShutdownReason {
    /// The program asked for it.
    #[default]
    Requested,
    /// The process was sent this signal: 15 is SIGTERM, 2 is SIGINT.
    Signal(i32),
    /// The trigger of [`run_until`](crate::Durable::run_until) completed.
    Triggered,
    /// No work was left: see [`run_until_idle`](crate::Durable::run_until_idle).
    Idle,
    /// The last handle was dropped, or the launch failed.
    Dropped,
}

impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Triggered => f.write_str("the trigger of `run_until` fired"),
            Self::Idle => f.write_str("no work was left"),
            Self::Dropped => f.write_str("the engine was dropped"),
        }
    }
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            drain: seconds(10),
            abort: seconds(3),
            stop: seconds(2),
            background: seconds(2),
            close: seconds(3),
            total: seconds(20),
            wait_grace: Duration::ZERO,
            release: true,
            reason: ShutdownReason::Requested,
        }
    }
}

/// The shortest total: a shorter one leaves no time to close the connections.
const MIN_TOTAL: Duration = Duration::from_millis(100);
/// The longest time of each kind: with longer ones, deadlines could overflow.
const MAX_TIME: Duration = Duration::from_hours(366 * 24);

impl ShutdownOptions {
    /// All phases within `total`: 50 % of it to drain, 15 % to abort, 10 % to stop, 10 % for the engine's
    /// own tasks, 15 % to close. The other options have their defaults.
    #[must_use]
    pub fn within(total: Duration) -> Self {
        let total = total.min(MAX_TIME);
        Self {
            drain: total / 2,
            abort: total * 15 / 100,
            stop: total / 10,
            background: total / 10,
            close: total * 15 / 100,
            total,
            ..Self::default()
        }
    }

    /// No time to drain and to abort: running steps are dropped at once. The rest as by default.
    #[must_use]
    pub fn immediate() -> Self {
        Self { drain: Duration::ZERO, abort: Duration::ZERO, ..Self::default() }
    }

    /// The default times: 10 s to drain, 3 s to abort, 2 s to stop, 2 s for the engine's own tasks,
    /// 3 s to close, 20 s in total.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Time for running workflows to finish. 10 s by default.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Time for running steps to finish once no further operation begins. 3 s by default.
    #[must_use]
    pub fn abort(mut self, abort: Duration) -> Self {
        self.abort = abort;
        self
    }

    /// Time for dropped workflow bodies to be gone. 2 s by default.
    #[must_use]
    pub fn stop(mut self, stop: Duration) -> Self {
        self.stop = stop;
        self
    }

    /// Time for the engine's own tasks to end. 2 s by default.
    #[must_use]
    pub fn background(mut self, background: Duration) -> Self {
        self.background = background;
        self
    }

    /// Time for the database connections to close. 3 s by default.
    #[must_use]
    pub fn close(mut self, close: Duration) -> Self {
        self.close = close;
        self
    }

    /// Time for the whole shutdown, counted from the call. 20 s by default.
    #[must_use]
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// How long the shutdown takes at most: its [`total`](Self::total).
    #[must_use]
    pub fn max_duration(&self) -> Duration {
        self.total
    }

    /// Shortens [`total`](Self::total) to `longest` if it is longer.
    #[must_use]
    pub fn total_at_most(mut self, longest: Duration) -> Self {
        self.total = self.total.min(longest);
        self
    }

    /// How long workflows that wait for a message or an event go on waiting during the drain. Zero by
    /// default: they are suspended at once, because a message may never come.
    #[must_use]
    pub fn wait_grace(mut self, wait_grace: Duration) -> Self {
        self.wait_grace = wait_grace;
        self
    }

    /// Whether unfinished workflows are handed over to other executors. `true` by default; with
    /// `false` they wait for the restart of this executor, or until its lease expires. If any of
    /// several shutdown calls has `false`, nothing is handed over.
    #[must_use]
    pub fn release(mut self, release: bool) -> Self {
        self.release = release;
        self
    }

    /// The reason that the report names. The reason of the first of several shutdown calls counts.
    #[must_use]
    pub fn reason(mut self, reason: ShutdownReason) -> Self {
        self.reason = reason;
        self
    }

    /// Whether it allows less of anything than an earlier call.
    pub(super) fn shortens(&self, earlier: &Self) -> bool {
        let times = |it: &Self| [it.drain, it.abort, it.stop, it.background, it.close, it.total, it.wait_grace];
        times(self).into_iter().zip(times(earlier)).any(|(this, that)| this < that)
            || (earlier.release && !self.release)
    }

    /// The same with every time within its bounds.
    pub(super) fn checked(mut self) -> Self {
        if self.total < MIN_TOTAL {
            tracing::warn!(target: "durable::shutdown", total = ?self.total, "the total of a shutdown is too short; {MIN_TOTAL:?} is used");
            self.total = MIN_TOTAL;
        }
        let Self { drain, abort, stop, background, close, total, wait_grace, .. } = &mut self;
        for time in [drain, abort, stop, background, close, total, wait_grace] {
            if *time > MAX_TIME {
                tracing::warn!(target: "durable::shutdown", time = ?*time, "a time of a shutdown is too long; one year is used");
                *time = MAX_TIME;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_bounds_are_corrected() {
        let options = ShutdownOptions::within(Duration::ZERO).drain(Duration::MAX);
        let checked = options.checked();
        assert_eq!((checked.total, checked.drain), (MIN_TOTAL, MAX_TIME));
        assert_eq!(ShutdownOptions::default().checked(), ShutdownOptions::default());
        assert_eq!(ShutdownOptions::within(Duration::MAX).total, MAX_TIME);
    }

    #[test]
    fn the_phases_of_within_take_the_whole_total() {
        let it = ShutdownOptions::within(Duration::from_secs(20));
        let seconds = [it.drain, it.abort, it.stop, it.background, it.close].map(|time| time.as_secs());
        assert_eq!(seconds, [10, 3, 2, 2, 3]);
    }

    #[test]
    fn options_shorten_if_they_allow_less_of_anything() {
        let earlier = ShutdownOptions::default();
        assert!(!earlier.shortens(&earlier));
        assert!(earlier.close(Duration::from_secs(1)).drain(Duration::from_mins(1)).shortens(&earlier));
        assert!(earlier.release(false).shortens(&earlier));
        assert!(!earlier.shortens(&earlier.release(false)));
    }
}
