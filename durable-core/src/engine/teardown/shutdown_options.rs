//! How long a shutdown may take, and what it is for.

use std::fmt;
use std::time::Duration;

/// How long each phase of a shutdown may take.
///
/// A phase ends as soon as there is nothing left to wait for; these are bounds and no delays. All of
/// them together never take longer than [`total`](Self::total).
///
/// There are no wrong values: a `total` below 100 ms counts as 100 ms, and whatever is longer than a
/// year counts as a year, so that `Duration::MAX` is "as long as it takes". Both are said in the log.
///
/// # Example
///
/// ```no_run
/// # use durable_core::{Durable, ShutdownOptions};
/// # use std::time::Duration;
/// # async fn example(app: Durable) {
/// let mut options = ShutdownOptions::within(Duration::from_secs(25));
/// options.wait_grace = Duration::from_secs(2); // for messages that are on their way
/// let report = app.shutdown_with(options).await;
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownOptions {
    /// For running workflows to come to their end. 10 s by default.
    pub drain: Duration,
    /// For running steps to come to their end, once no operation begins any more. 3 s by default.
    pub abort: Duration,
    /// For what is dropped to be gone. 2 s by default.
    pub stop: Duration,
    /// For the engine's own tasks to end. 2 s by default.
    pub background: Duration,
    /// For the database's connections to close. 3 s by default.
    pub close: Duration,
    /// For all of it, from the call on. 20 s by default.
    pub total: Duration,
    /// How long workflows that wait for a message or an event go on waiting during the drain. Zero
    /// by default: they are suspended at once, since nobody knows whether anything will come.
    pub wait_grace: Duration,
    /// Whether unfinished workflows are handed over to other executors. `true` by default; without
    /// it they wait for this executor's restart, or for its lease to run out. Of several calls one
    /// that says `false` counts.
    pub release: bool,
    /// Why; it is shown in the report. Of several calls the first one's counts.
    pub reason: ShutdownReason,
}

/// Why an engine was shut down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShutdownReason {
    /// The program asked for it.
    #[default]
    Requested,
    /// The process was sent this signal: 15 is SIGTERM, 2 is SIGINT.
    Signal(i32),
    /// The future that was given to [`run_until`](crate::Durable::run_until) came to its end.
    Triggered,
    /// Nothing was left to do: see [`run_until_idle`](crate::Durable::run_until_idle).
    Idle,
    /// The last handle was dropped, or the launch failed.
    Dropped,
}

impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Triggered => f.write_str("what it was to run until has happened"),
            Self::Idle => f.write_str("nothing was left to do"),
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

/// The shortest total: less would not even let the connections be closed.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest time that anything may take. Beyond it moments could overflow.
const LONGEST: Duration = Duration::from_hours(366 * 24);

impl ShutdownOptions {
    /// All phases within `total`: half of it to drain, and the rest shared out.
    #[must_use]
    pub fn within(total: Duration) -> Self {
        let total = total.min(LONGEST);
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

    /// Nothing is waited for: running steps are dropped at once.
    #[must_use]
    pub fn immediate() -> Self {
        Self { drain: Duration::ZERO, abort: Duration::ZERO, ..Self::default() }
    }

    /// The same with another reason, for the report.
    #[must_use]
    pub fn because(mut self, reason: ShutdownReason) -> Self {
        self.reason = reason;
        self
    }

    /// Whether it asks for less of anything than an earlier call.
    pub(super) fn shortens(&self, earlier: &Self) -> bool {
        let times = |it: &Self| [it.drain, it.abort, it.stop, it.background, it.close, it.total, it.wait_grace];
        times(self).into_iter().zip(times(earlier)).any(|(this, that)| this < that)
            || (earlier.release && !self.release)
    }

    /// With every time in its bounds. It happens before anything is touched.
    pub(super) fn checked(mut self) -> Self {
        if self.total < SHORTEST {
            tracing::warn!(target: "durable::shutdown", total = ?self.total, "a shutdown takes at least {SHORTEST:?}, which counts as its total");
            self.total = SHORTEST;
        }
        let Self { drain, abort, stop, background, close, total, wait_grace, .. } = &mut self;
        for time in [drain, abort, stop, background, close, total, wait_grace] {
            if *time > LONGEST {
                tracing::warn!(target: "durable::shutdown", "a year counts as the longest time of a shutdown");
                *time = LONGEST;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_brought_into_them() {
        let mut options = ShutdownOptions::within(Duration::ZERO);
        options.drain = Duration::MAX;
        let checked = options.checked();
        assert_eq!((checked.total, checked.drain), (SHORTEST, LONGEST));
        assert_eq!(ShutdownOptions::default().checked(), ShutdownOptions::default());
        assert_eq!(ShutdownOptions::within(Duration::MAX).total, LONGEST);
    }
}
