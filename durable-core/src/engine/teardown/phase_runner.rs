//! Walks the table of phases: enters each, runs its work within its deadline, and reports how it ended.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::engine::report::PhaseReport;
use crate::engine::teardown::phase_budget::{PhaseStart, ShutdownBudget};
use crate::engine::teardown::phase_table::{PHASES, PhaseSpec, TeardownPhase};
use crate::runtime::panics::CatchPanic;
use crate::types::error::Error;

/// How often the log names what a phase waits for.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The work of the phases.
pub(super) trait PhaseWork: Send {
    /// Enters a phase, before its work.
    fn enter(&mut self, spec: &PhaseSpec);

    /// The number of unfinished workflows that are to be released.
    fn unfinished(&self) -> usize;

    /// What a phase does and waits for. It is dropped at the deadline, and is polled at least once.
    fn work(&mut self, phase: TeardownPhase) -> impl Future<Output = ()> + Send;

    /// What a phase has to do after its work, whether that was finished, dropped or panicked.
    fn leave(&mut self, phase: TeardownPhase) -> impl Future<Output = ()> + Send;
}

/// An observer of the phases.
pub(super) trait PhaseObserver: Sync {
    /// A phase still waits for user code.
    fn still_waiting(&self, spec: &PhaseSpec, deadline: Instant);

    /// A phase has ended.
    fn ended(&self, spec: &PhaseSpec, report: PhaseReport, panic: Option<Error>);
}

/// Runs all phases, in the order of the table.
pub(super) async fn run_phases(
    work: &mut impl PhaseWork,
    observer: &impl PhaseObserver,
    budget: &watch::Sender<ShutdownBudget>,
    shutdown: Instant,
) {
    for spec in &PHASES {
        work.enter(spec);
        let start = PhaseStart { shutdown, phase: Instant::now(), unfinished: work.unfinished() };
        run_phase(spec, start, work.work(spec.phase), observer, budget).await;
        work.leave(spec.phase).await;
    }
}

/// Runs the work of one phase until its deadline, which a later shutdown call may bring forward. A panic
/// ends this phase and no other.
async fn run_phase(
    spec: &PhaseSpec,
    start: PhaseStart,
    work: impl Future<Output = ()> + Send,
    observer: &impl PhaseObserver,
    budget: &watch::Sender<ShutdownBudget>,
) {
    let mut budget = budget.subscribe();
    let mut work = CatchPanic(Box::pin(work));
    let mut progress = start.phase + PROGRESS_INTERVAL;
    let done = loop {
        let deadline = budget.borrow_and_update().deadline(spec, start);
        tokio::select! {
            biased;
            done = &mut work => break Some(done),
            () = sleep_until(deadline) => break None,
            () = sleep_until(progress), if spec.lets_user_code_finish => {
                progress += PROGRESS_INTERVAL;
                observer.still_waiting(spec, deadline);
            }
            _ = budget.changed() => {}
        }
    };
    let (timed_out, panic) = (done.is_none(), done.and_then(Result::err));
    let elapsed = start.phase.elapsed();
    let report = PhaseReport { phase: spec.name.into(), elapsed, timed_out, panicked: panic.is_some() };
    observer.ended(spec, report, panic);
}
