//! The phases of a shutdown as a table: their order, the engine's phase, the time each may take, and
//! what each waits for. The runner walks it from top to bottom; the budgets are computed from it.

use std::time::Duration;

use crate::engine::teardown::shutdown_options::ShutdownOptions;
use crate::wait::shutdown_phase::EnginePhase;

/// A phase of a shutdown, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TeardownPhase {
    /// No more work is taken from queues, schedules and other executors.
    Quiesce,
    /// Running workflows may finish.
    Drain,
    /// Running steps may finish; no durable operation starts.
    Abort,
    /// What still runs is dropped.
    Stop,
    /// Unfinished workflows are released to other executors.
    HandOff,
    /// The engine's own tasks end.
    Background,
    /// The database connections close.
    Close,
}

/// What one phase is made of.
#[derive(Debug)]
pub(super) struct PhaseSpec {
    /// The phase; its work is in `phase_work.rs`.
    pub(super) phase: TeardownPhase,
    /// Its name in the report and in the log.
    pub(super) name: &'static str,
    /// The phase that the engine enters first.
    pub(super) engine_phase: EnginePhase,
    /// What it waits for. It ends as soon as there is none of it left.
    pub(super) waits_for: &'static str,
    /// Whether it is user code that it waits for and lets finish: then the log names it from time to time.
    pub(super) lets_user_code_finish: bool,
    /// From when its budget counts.
    pub(super) counts_from: CountsFrom,
    /// The longest it may take, from the options and the number of unfinished workflows.
    pub(super) budget: fn(&ShutdownOptions, usize) -> Duration,
    /// The part of the total that all earlier phases leave for it.
    pub(super) reserved: Reserved,
}

/// From when a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountsFrom {
    /// From the first call that requested the shutdown.
    ShutdownStart,
    /// From the start of the phase.
    PhaseStart,
}

/// The part of the total that earlier phases leave for a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    /// None.
    Nothing,
    /// Its budget, up to 15 % of the total.
    BudgetUpToShare,
    /// So many milliseconds; proportionally less of a total below [`FULL_TOTAL`].
    Millis(u64),
}

/// The total from which on [`Reserved::Millis`] is reserved in full.
const FULL_TOTAL: Duration = Duration::from_secs(6);

use CountsFrom::{PhaseStart, ShutdownStart};
use Reserved::{BudgetUpToShare, Millis, Nothing};

/// The phases of a shutdown, in order.
pub(super) const PHASES: [PhaseSpec; 7] = [
    PhaseSpec {
        phase: TeardownPhase::Quiesce,
        name: "quiesce",
        engine_phase: EnginePhase::Quiesced,
        waits_for: "the dispatcher, the scheduler and the recovery",
        lets_user_code_finish: false,
        counts_from: ShutdownStart,
        // A part of the drain. A claim under way may finish even without a drain.
        budget: |options, _| options.drain.clamp(Duration::from_millis(250), Duration::from_secs(2)),
        reserved: Nothing,
    },
    PhaseSpec {
        phase: TeardownPhase::Drain,
        name: "drain",
        engine_phase: EnginePhase::Draining,
        waits_for: "running workflows",
        lets_user_code_finish: true,
        counts_from: ShutdownStart,
        budget: |options, _| options.drain,
        reserved: Nothing,
    },
    PhaseSpec {
        phase: TeardownPhase::Abort,
        name: "abort",
        engine_phase: EnginePhase::Aborting,
        waits_for: "running steps",
        lets_user_code_finish: true,
        counts_from: PhaseStart,
        budget: |options, _| options.abort,
        reserved: BudgetUpToShare,
    },
    PhaseSpec {
        phase: TeardownPhase::Stop,
        name: "stop",
        engine_phase: EnginePhase::Stopping,
        waits_for: "dropped workflow bodies, the writer and the tasks for waits",
        lets_user_code_finish: false,
        counts_from: PhaseStart,
        budget: |options, _| options.stop,
        reserved: Millis(1_000),
    },
    PhaseSpec {
        phase: TeardownPhase::HandOff,
        name: "hand-off",
        engine_phase: EnginePhase::Stopping,
        waits_for: "the statements that release unfinished workflows",
        lets_user_code_finish: false,
        counts_from: PhaseStart,
        // A row takes 15 to 40 µs, and longer where the database is busy.
        budget: |_, unfinished| {
            let rows = u32::try_from(unfinished).unwrap_or(u32::MAX);
            Duration::from_secs(1) + Duration::from_micros(200).saturating_mul(rows)
        },
        reserved: Millis(1_000),
    },
    PhaseSpec {
        phase: TeardownPhase::Background,
        name: "background",
        engine_phase: EnginePhase::Closing,
        waits_for: "the heartbeat and the notifier",
        lets_user_code_finish: false,
        counts_from: PhaseStart,
        budget: |options, _| options.background,
        reserved: Millis(500),
    },
    PhaseSpec {
        phase: TeardownPhase::Close,
        name: "close",
        engine_phase: EnginePhase::Closing,
        waits_for: "the database connections",
        lets_user_code_finish: false,
        counts_from: PhaseStart,
        budget: |options, _| options.close,
        reserved: Millis(500),
    },
];

/// The part of the total that a phase leaves for those after it.
pub(super) fn reserved_after(phase: TeardownPhase, options: &ShutdownOptions) -> Duration {
    let later = || PHASES.iter().filter(|it| it.phase > phase);
    let shares = later().filter(|it| it.reserved == BudgetUpToShare);
    let shares = shares.map(|it| (it.budget)(options, 0).min(options.total * 15 / 100)).sum::<Duration>();
    let millis = later().map(|it| if let Millis(millis) = it.reserved { millis } else { 0 }).sum();
    let scale = options.total.as_secs_f64() / FULL_TOTAL.as_secs_f64();
    Duration::from_millis(millis).mul_f64(scale.min(1.0)) + shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_phase_once_and_in_order() {
        assert!(PHASES.is_sorted_by(|one, next| one.phase < next.phase), "each phase once, in the enum's order");
        assert!(PHASES.is_sorted_by_key(|it| it.engine_phase), "the engine's phase never goes back");
        let names = PHASES.map(|it| it.name);
        assert_eq!(names, ["quiesce", "drain", "abort", "stop", "hand-off", "background", "close"]);
    }

    #[test]
    fn every_phase_reserves_time_for_those_after_it() {
        let options = ShutdownOptions::within(Duration::from_secs(20));
        let reserved = PHASES.map(|it| reserved_after(it.phase, &options).as_millis());
        assert_eq!(reserved, [6_000, 6_000, 3_000, 2_000, 1_000, 500, 0]);
        let options = ShutdownOptions::within(Duration::from_secs(2));
        let reserved = PHASES.map(|it| reserved_after(it.phase, &options).as_millis());
        assert_eq!(reserved, [1_300, 1_300, 1_000, 666, 333, 166, 0], "in proportion, with 15 % for running steps");
    }

    #[test]
    fn more_rows_have_more_time_to_be_released() {
        let hand_off = &PHASES[TeardownPhase::HandOff as usize];
        let budget = |rows| (hand_off.budget)(&ShutdownOptions::default(), rows);
        assert_eq!((budget(0), budget(100_000)), (Duration::from_secs(1), Duration::from_secs(21)));
        assert!(budget(usize::MAX) > budget(100_000), "it does not overflow");
    }
}
