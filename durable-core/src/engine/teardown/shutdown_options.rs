//! How long a shutdown may take, and what it is for.

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
    /// default: they are suspended at once, because nothing says whether a message will come.
    #[must_use]
    pub fn wait_grace(mut self, wait_grace: Duration) -> Self {
        self.wait_grace = wait_grace;
        self
    }

    /// Whether unfinished workflows are handed over to other executors. `true` by default; with
    /// `false` they wait for the restart of this executor, or until its lease expires. If any of
    /// several shutdown calls says `false`, nothing is handed over.
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
        let options = ShutdownOptions::within(Duration::ZERO).drain(Duration::MAX);
        let checked = options.checked();
        assert_eq!((checked.total, checked.drain), (SHORTEST, LONGEST));
        assert_eq!(ShutdownOptions::default().checked(), ShutdownOptions::default());
        assert_eq!(ShutdownOptions::within(Duration::MAX).total, LONGEST);
    }
}
