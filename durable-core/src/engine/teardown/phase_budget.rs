//! When each phase ends at the latest: the budgets of all calls, and one deadline over all phases.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::teardown::shutdown_options::{ShutdownOptions, ShutdownReason};

/// A phase of a shutdown, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Nothing is taken from queues, schedules and dead executors any more.
    Quiesce,
    /// Running workflows come to their end.
    Drain,
    /// Running steps come to their end.
    Abort,
    /// What still runs is dropped.
    Stop,
    /// What is left is handed over: so many workflows.
    HandOff(usize),
    /// The engine's own tasks end.
    Background,
    /// The connections are closed.
    Close,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quiesce => "quiesce",
            Self::Drain => "drain",
            Self::Abort => "abort",
            Self::Stop => "stop",
            Self::HandOff(_) => "hand-off",
            Self::Background => "background",
            Self::Close => "close",
        }
    }

    fn budget(self, options: &ShutdownOptions) -> Duration {
        match self {
            // A part of the drain. A claim that is under way gets a moment also where nothing is drained.
            Self::Quiesce => options.drain.clamp(Duration::from_millis(250), Duration::from_secs(2)),
            Self::Drain => options.drain,
            Self::Abort => options.abort,
            Self::Stop => options.stop,
            // A hundred thousand rows are handed over in one statement, which takes its time.
            Self::HandOff(rows) => {
                let rows = u32::try_from(rows).unwrap_or(u32::MAX);
                Duration::from_secs(1) + Duration::from_micros(50).saturating_mul(rows)
            }
            Self::Background => options.background,
            Self::Close => options.close,
        }
    }

    /// What a phase leaves of the total for those behind it.
    fn reserve(self, options: &ShutdownOptions) -> Duration {
        let millis = match self {
            Self::Quiesce | Self::Drain | Self::Abort => 3_000,
            Self::Stop => 2_000,
            Self::HandOff(_) => 1_000,
            Self::Background => 500,
            Self::Close => 0,
        };
        let scale = options.total.as_secs_f64() / FULL_RESERVES.as_secs_f64();
        let engine = Duration::from_millis(millis).mul_f64(scale.min(1.0));
        // A step that is under way when the drain is over gets a moment also in a short total.
        let steps = if self < Self::Abort { options.abort.min(options.total * 15 / 100) } else { Duration::ZERO };
        engine + steps
    }
}

/// The reserves are for a total of this; of a shorter one they are as much smaller.
const FULL_RESERVES: Duration = Duration::from_secs(6);

/// What the calls have asked for. Each counts from its own moment on, and the earliest end holds: so
/// a later call may shorten a shutdown and never lengthens it.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget {
    calls: Vec<(Instant, ShutdownOptions)>,
}

impl Budget {
    /// Adds a call. Gives whether it makes a difference.
    pub(super) fn add(&mut self, now: Instant, options: ShutdownOptions) -> bool {
        let differs = self.calls.iter().all(|(_, earlier)| options.shortens(earlier));
        if differs {
            self.calls.push((now, options));
        }
        differs
    }

    /// Whether there was any call.
    pub(super) fn is_asked(&self) -> bool {
        !self.calls.is_empty()
    }

    /// When a phase that began at `begun` ends at the latest.
    pub(super) fn end_of(&self, phase: Phase, begun: Instant) -> Instant {
        let ends = self.calls.iter().map(|(at, options)| {
            let own = begun.max(*at) + phase.budget(options);
            own.min(*at + options.total.saturating_sub(phase.reserve(options)))
        });
        ends.min().unwrap_or(begun)
    }

    /// Until when those who wait for others are waited for.
    pub(super) fn end_of_grace(&self, begun: Instant) -> Instant {
        self.calls.iter().map(|(at, options)| begun.max(*at) + options.wait_grace).min().unwrap_or(begun)
    }

    pub(super) fn reason(&self) -> ShutdownReason {
        self.calls.first().map(|(_, options)| options.reason).unwrap_or_default()
    }

    pub(super) fn releases(&self) -> bool {
        self.calls.iter().all(|(_, options)| options.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn user_code_is_waited_for_only_so_long_that_time_is_left_for_the_engine() {
        let now = Instant::now();
        let mut budget = Budget::default();
        let mut options = ShutdownOptions::within(seconds(20));
        options.drain = seconds(60);
        budget.add(now, options);
        assert_eq!(budget.end_of(Phase::Drain, now), now + seconds(14));
        assert_eq!(budget.end_of(Phase::Abort, now + seconds(14)), now + seconds(17));
        assert_eq!(budget.end_of(Phase::Close, now + seconds(19)), now + seconds(20));

        let mut short = Budget::default();
        short.add(now, ShutdownOptions { drain: seconds(60), ..ShutdownOptions::within(seconds(2)) });
        assert_eq!(short.end_of(Phase::Drain, now), now + Duration::from_millis(700));
    }

    #[tokio::test]
    async fn a_short_total_leaves_steps_time_to_end() {
        let now = Instant::now();
        for total in [1, 2, 4, 6] {
            let mut budget = Budget::default();
            budget.add(now, ShutdownOptions::within(seconds(total)));
            let drained = budget.end_of(Phase::Drain, now);
            let aborted = budget.end_of(Phase::Abort, drained);
            assert_eq!(aborted - drained, seconds(total) * 15 / 100, "{total} s: {:?}", drained - now);
        }
    }

    #[tokio::test]
    async fn a_later_call_counts_from_its_own_moment_and_only_shortens() {
        let now = Instant::now();
        let mut budget = Budget::default();
        assert!(budget.add(now, ShutdownOptions::within(seconds(120))));
        assert!(!budget.add(now + seconds(1), ShutdownOptions::within(seconds(240))));
        assert_eq!(budget.end_of(Phase::Drain, now), now + seconds(60));
        assert!(budget.add(now + seconds(10), ShutdownOptions::within(seconds(20))));
        assert_eq!(budget.end_of(Phase::Drain, now), now + seconds(20));
        assert!(budget.add(now + seconds(11), ShutdownOptions::immediate()));
        assert_eq!(budget.end_of(Phase::Drain, now), now + seconds(11));
    }
}
