//! When each phase has to end: the budgets of all shutdown calls, and their totals.

use tokio::time::Instant;

use crate::engine::teardown::phase_table::{CountsFrom, PhaseSpec, reserved_after};
use crate::engine::teardown::shutdown_options::{ShutdownOptions, ShutdownReason};

/// What the shutdown calls have asked for. Each budget counts from its own call at the earliest, and the
/// earliest end applies: a later call may shorten a shutdown and never lengthens it.
#[derive(Debug, Clone, Default)]
pub(super) struct ShutdownBudget {
    calls: Vec<(Instant, ShutdownOptions)>,
}

/// What a phase's budget depends on, besides the calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct PhaseStart {
    /// When the shutdown started.
    pub(super) shutdown: Instant,
    /// When the phase started.
    pub(super) phase: Instant,
    /// The number of unfinished workflows that are to be released.
    pub(super) unfinished: usize,
}

impl ShutdownBudget {
    /// Adds a call. Returns whether it changes anything.
    pub(super) fn add(&mut self, now: Instant, options: ShutdownOptions) -> bool {
        let differs = self.calls.iter().all(|(_, earlier)| options.shortens(earlier));
        if differs {
            self.calls.push((now, options));
        }
        differs
    }

    /// Whether there was any call.
    pub(super) fn is_requested(&self) -> bool {
        !self.calls.is_empty()
    }

    /// When a phase has to end.
    pub(super) fn deadline(&self, spec: &PhaseSpec, start: PhaseStart) -> Instant {
        let counts_from = match spec.counts_from {
            CountsFrom::ShutdownStart => start.shutdown,
            CountsFrom::PhaseStart => start.phase,
        };
        let deadlines = self.calls.iter().map(|(called, options)| {
            let by_budget = counts_from.max(*called) + (spec.budget)(options, start.unfinished);
            let by_total = *called + options.total.saturating_sub(reserved_after(spec.phase, options));
            by_budget.min(by_total)
        });
        deadlines.min().unwrap_or(counts_from)
    }

    /// Until when the drain keeps workflows that wait for a message or an event.
    pub(super) fn wait_grace_deadline(&self, shutdown_start: Instant) -> Instant {
        let ends = self.calls.iter().map(|(called, options)| shutdown_start.max(*called) + options.wait_grace);
        ends.min().unwrap_or(shutdown_start)
    }

    /// The reason of the first call.
    pub(super) fn reason(&self) -> ShutdownReason {
        self.calls.first().map(|(_, options)| options.reason).unwrap_or_default()
    }

    /// Whether unfinished workflows are released: every call allows it.
    pub(super) fn releases(&self) -> bool {
        self.calls.iter().all(|(_, options)| options.release)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::teardown::phase_table::{PHASES, TeardownPhase};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The deadline of a phase of a shutdown that started at `shutdown`.
    fn deadline(budget: &ShutdownBudget, phase: TeardownPhase, shutdown: Instant, phase_start: Instant) -> Instant {
        let start = PhaseStart { shutdown, phase: phase_start, unfinished: 0 };
        budget.deadline(&PHASES[phase as usize], start)
    }

    #[tokio::test]
    async fn a_long_drain_leaves_time_for_the_phases_after_it() {
        let now = Instant::now();
        let mut budget = ShutdownBudget::default();
        budget.add(now, ShutdownOptions::within(seconds(20)).drain(seconds(60)));
        assert_eq!(deadline(&budget, TeardownPhase::Drain, now, now), now + seconds(14));
        assert_eq!(deadline(&budget, TeardownPhase::Abort, now, now + seconds(14)), now + seconds(17));
        assert_eq!(deadline(&budget, TeardownPhase::Close, now, now + seconds(19)), now + seconds(20));

        let mut short = ShutdownBudget::default();
        short.add(now, ShutdownOptions::within(seconds(2)).drain(seconds(60)));
        assert_eq!(deadline(&short, TeardownPhase::Drain, now, now), now + Duration::from_millis(700));
    }

    #[tokio::test]
    async fn a_short_total_leaves_running_steps_time_to_finish() {
        let now = Instant::now();
        for total in [1, 2, 4, 6] {
            let mut budget = ShutdownBudget::default();
            budget.add(now, ShutdownOptions::within(seconds(total)));
            let drained = deadline(&budget, TeardownPhase::Drain, now, now);
            let aborted = deadline(&budget, TeardownPhase::Abort, now, drained);
            assert_eq!(aborted - drained, seconds(total) * 15 / 100, "{total} s: {:?}", drained - now);
        }
    }

    #[tokio::test]
    async fn a_later_call_counts_from_its_own_time_and_only_shortens() {
        let now = Instant::now();
        let mut budget = ShutdownBudget::default();
        let drained = |budget: &ShutdownBudget| deadline(budget, TeardownPhase::Drain, now, now);
        assert!(budget.add(now, ShutdownOptions::within(seconds(120))));
        assert!(!budget.add(now + seconds(1), ShutdownOptions::within(seconds(240))));
        assert_eq!(drained(&budget), now + seconds(60));
        assert!(budget.add(now + seconds(10), ShutdownOptions::within(seconds(20))));
        assert_eq!(drained(&budget), now + seconds(20));
        assert!(budget.add(now + seconds(11), ShutdownOptions::immediate()));
        assert_eq!(drained(&budget), now + seconds(11));
    }

    #[tokio::test]
    async fn the_first_reason_and_the_shortest_grace_count_and_any_call_can_keep_the_work() {
        let now = Instant::now();
        let mut budget = ShutdownBudget::default();
        let options = ShutdownOptions::within(seconds(20)).wait_grace(seconds(5));
        budget.add(now, options.reason(ShutdownReason::Idle));
        assert_eq!((budget.wait_grace_deadline(now), budget.releases()), (now + seconds(5), true));
        budget.add(now + seconds(1), options.wait_grace(seconds(2)).release(false));
        assert_eq!((budget.wait_grace_deadline(now), budget.releases()), (now + seconds(3), false));
        assert_eq!(budget.reason(), ShutdownReason::Idle);
    }
}
