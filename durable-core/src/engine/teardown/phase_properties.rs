//! Properties of the runner and the budgets: any calls, any options, phases that take any time.

use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::engine::report::PhaseReport;
use crate::engine::teardown::ShutdownOptions;
use crate::engine::teardown::phase_budget::{PhaseStart, ShutdownBudget};
use crate::engine::teardown::phase_runner::{PhaseObserver, PhaseWork, run_phases};
use crate::engine::teardown::phase_table::{PHASES, PhaseSpec, TeardownPhase, reserved_after};
use crate::types::error::Error;
use crate::types::sync::{Mutex, lock};
use crate::wait::shutdown_phase::EnginePhase;

/// Tokio's timers have a resolution of a millisecond.
const TIMER: Duration = Duration::from_millis(2);

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn options() -> impl Strategy<Value = ShutdownOptions> {
    let times = (millis(0..20_000), millis(0..8_000), millis(0..5_000), millis(0..5_000), millis(0..5_000));
    (times, millis(0..30_000)).prop_map(|((drain, abort, stop, background, close), total)| {
        let options = ShutdownOptions::new().drain(drain).abort(abort).stop(stop);
        options.background(background).close(close).total(total).checked()
    })
}

/// Shutdown calls: the first at zero, the others after it.
fn calls() -> impl Strategy<Value = Vec<(Duration, ShutdownOptions)>> {
    let later = prop::collection::vec((millis(0..25_000), options()), 0..4);
    (options(), later).prop_map(|(first, mut later)| {
        later.sort_by_key(|(at, _)| *at);
        later.insert(0, (Duration::ZERO, first));
        later
    })
}

/// Phases that take a given time, or panic.
struct TimedPhases {
    takes: Vec<Duration>,
    panics: Option<usize>,
    unfinished: usize,
    entered: Vec<(TeardownPhase, EnginePhase, Instant)>,
    left: Vec<(TeardownPhase, Instant)>,
}

impl PhaseWork for TimedPhases {
    fn enter(&mut self, spec: &PhaseSpec) {
        self.entered.push((spec.phase, spec.engine_phase, Instant::now()));
    }

    fn unfinished(&self) -> usize {
        self.unfinished
    }

    async fn work(&mut self, phase: TeardownPhase) {
        sleep(self.takes[phase as usize]).await;
        assert!(self.panics != Some(phase as usize), "a phase that is meant to panic");
    }

    async fn leave(&mut self, phase: TeardownPhase) {
        self.left.push((phase, Instant::now()));
    }
}

#[derive(Default)]
struct Reports(Mutex<Vec<PhaseReport>>);

impl PhaseObserver for Reports {
    fn still_waiting(&self, spec: &PhaseSpec, deadline: Instant) {
        assert!(spec.lets_user_code_finish && deadline + TIMER > Instant::now());
    }

    fn ended(&self, spec: &PhaseSpec, report: PhaseReport, panic: Option<Error>) {
        assert_eq!(report.phase, spec.name);
        assert_eq!(report.panicked, panic.is_some());
        lock(&self.0).push(report);
    }
}

/// Runs the phases in simulated time, with the calls arriving meanwhile.
fn simulate(mut work: TimedPhases, calls: &[(Duration, ShutdownOptions)]) -> (Instant, TimedPhases, Vec<PhaseReport>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without IO can be built").block_on(async {
        let started = Instant::now();
        let budget = watch::Sender::new(ShutdownBudget::default());
        budget.send_if_modified(|it| it.add(started, calls[0].1));
        let reports = Reports::default();
        let later_calls = async {
            for (at, options) in &calls[1..] {
                sleep_until(started + *at).await;
                budget.send_if_modified(|it| it.add(Instant::now(), *options));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = later_calls => {}
            () = run_phases(&mut work, &reports, &budget, started) => {}
        }
        (started, work, reports.0.into_inner().unwrap_or_default())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Phases run in order, and each ends within its budget and within every call's total, less what is
    /// reserved for the phases after it. A panic or a deadline ends only its own phase.
    #[test]
    fn every_phase_runs_in_order_and_ends_in_time(
        takes in prop::collection::vec(millis(0..12_000), PHASES.len()),
        panics in prop::option::of(0..PHASES.len()),
        unfinished in 0_usize..200_000,
        calls in calls(),
    ) {
        let work = TimedPhases { takes: takes.clone(), panics, unfinished, entered: vec![], left: vec![] };
        let (started, work, reports) = simulate(work, &calls);

        let order: Vec<_> = PHASES.iter().map(|it| (it.phase, it.engine_phase)).collect();
        prop_assert_eq!(&work.entered.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(), &order);
        prop_assert_eq!(reports.iter().map(|it| &*it.phase).collect::<Vec<_>>(), PHASES.map(|it| it.name).to_vec());

        for (index, spec) in PHASES.iter().enumerate() {
            let ((_, _, entered), (left_phase, left), report) = (work.entered[index], work.left[index], &reports[index]);
            prop_assert_eq!(left_phase, spec.phase);
            prop_assert_eq!(report.elapsed, left - entered);
            // What was known when it ended: the calls until then.
            let mut budget = ShutdownBudget::default();
            let mut counted = Vec::new();
            for (at, options) in calls.iter().filter(|(at, _)| started + *at <= left) {
                if budget.add(started + *at, *options) {
                    counted.push((started + *at, *options));
                }
            }
            let start = PhaseStart { shutdown: started, phase: entered, unfinished };
            let deadline = budget.deadline(spec, start);
            prop_assert!(left <= deadline.max(entered) + TIMER, "{} ended {:?} late", spec.name, left - deadline);
            for (called, options) in counted {
                let bound = called + options.total.saturating_sub(reserved_after(spec.phase, &options));
                // A call that arrives after the bound that it sets ends the phase at once.
                let bound = bound.max(entered).max(called);
                prop_assert!(left <= bound + TIMER, "{} uses time that is reserved for later phases", spec.name);
            }
            if report.timed_out {
                prop_assert!(left + TIMER >= deadline, "{} was cut off {:?} too early", spec.name, deadline - left);
                prop_assert!(!report.panicked);
            } else {
                prop_assert!(report.elapsed <= takes[index] + TIMER, "{} waited for nothing", spec.name);
                prop_assert_eq!(report.panicked, panics == Some(index));
            }
        }
        let total = calls[0].1.total;
        prop_assert!(work.left[PHASES.len() - 1].1 <= started + total + 7 * TIMER);
    }

    /// A further call never moves a deadline back, and a call that asks for nothing less changes nothing.
    #[test]
    fn a_further_call_only_shortens(calls in calls(), more in options(), after in millis(0..30_000), phase in 0..PHASES.len(), begun in millis(0..20_000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
        let started = runtime.block_on(async { Instant::now() });
        let mut budget = ShutdownBudget::default();
        let counted: Vec<_> = calls.iter().filter(|(at, options)| budget.add(started + *at, *options)).collect();
        let start = PhaseStart { shutdown: started, phase: started + begun, unfinished: 0 };
        let deadlines = |it: &ShutdownBudget| PHASES.each_ref().map(|spec| it.deadline(spec, start));
        let (before, grace) = (deadlines(&budget), budget.wait_grace_deadline(started));
        let changed = budget.add(started + after, more);
        let now = deadlines(&budget);
        prop_assert!(now.iter().zip(&before).all(|(now, before)| now <= before));
        prop_assert!(budget.wait_grace_deadline(started) <= grace);
        prop_assert!(changed || now == before);
        // What a phase may use never reaches into what is reserved for those after it.
        let spec = &PHASES[phase];
        for (at, options) in counted {
            let reserved = reserved_after(spec.phase, options);
            prop_assert!(now[phase] <= started + *at + options.total.saturating_sub(reserved));
        }
    }
}
