//! The scheduler: starts the ticks of schedules when their time has come. Every process tries, and
//! the id of a tick lets one of them start it.

use std::sync::Arc;
use std::time::Duration;

use crate::operations::schedule_spec::{MISFIRE_GRACE, ScheduleSpec, load_specs, record_tick, start_tick};
use crate::registry::{Misfire, Schedule};
use crate::runtime::Runtime;
use crate::store::ScheduleRow;
use crate::types::error::{Error, ErrorKind};
use crate::wait::shutdown_phase::EnginePhase;

/// How many ticks of a schedule are started before the others have their turn.
const MAX_TICKS_PER_ROUND: usize = 100;
/// The longest rest: what another process has changed may not have been told.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// The rest when they could not be read.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The pause after a tick that could not be started, in microseconds.
const PAUSE: i64 = 1_000_000;

/// The schedules that stand in the code, for the database.
pub(super) fn schedules_in_code(runtime: &Runtime) -> Vec<ScheduleRow> {
    let row = |it: &'static Schedule| ScheduleRow {
        name: it.workflow.name.to_owned(),
        workflow: it.workflow.name.to_owned(),
        cron: it.cron.to_owned(),
        timezone: it.tz.to_owned(),
        misfire: it.misfire.as_str().to_owned(),
        overlap: it.overlap.as_str().to_owned(),
        input: None,
        instance: None,
        in_code: true,
        paused: false,
        last_tick: 0,
    };
    runtime.registry.schedules().iter().copied().map(row).collect()
}

/// The scheduler's task. A tick whose start is under way when the shutdown begins comes to its end.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut known: Vec<Planned> = Vec::new();
    let mut changed = true;
    let mut skipped_before = 0;
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        // Whoever has paused or deleted a schedule does not want to see it fire once more: only what
        // was due before the schedules were read is started.
        let (now, skipped) = runtime.timers.clock.lower_bound_with_skipped();
        let due = known.iter().any(|it| it.next().is_some_and(|at| at <= now));
        if changed || due {
            match load_specs(&runtime).await {
                Ok(found) => {
                    known = found.into_iter().map(|plan| Planned::new(&runtime, plan, &known)).collect();
                    changed = false;
                }
                Err(error) => {
                    tracing::warn!(target: "durable", %error, "the schedules could not be read, and are read again");
                    changed = true;
                }
            }
        }
        // What a test lets pass at once passes as if it had been watched.
        let on_time = now - MISFIRE_GRACE - (skipped - skipped_before);
        skipped_before = skipped;
        for planned in &mut known {
            planned.fire(&runtime, now, on_time).await;
        }
        let now = runtime.timers.clock.lower_bound();
        let next = known.iter().filter_map(Planned::next).min();
        let longest = if changed { RETRY_AFTER } else { MAX_SLEEP };
        let rest = next.map_or(MAX_SLEEP, |at| Duration::from_micros(u64::try_from(at - now).unwrap_or_default()));
        changed |= tokio::select! {
            poked = runtime.schedules.wait_timeout(rest.min(longest)) => poked || rest >= MAX_SLEEP,
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => false,
        };
    }
}

/// A schedule, and the ticks that are still to come.
struct Planned {
    plan: ScheduleSpec,
    /// The next tick in microseconds, if there is one.
    next: Option<i64>,
    /// Not to be tried before: the last try failed.
    not_before: i64,
    /// Whether that tick was tried when its time had come, so that it is not missed however long the
    /// database is away.
    tried: bool,
}

impl Planned {
    fn new(runtime: &Runtime, plan: ScheduleSpec, known: &[Self]) -> Self {
        // What this process has been waiting for all along was not missed.
        if let Some(before) = known.iter().find(|it| it.plan.has_same_ticks(&plan)) {
            return Self { plan, next: before.next, not_before: before.not_before, tried: before.tried };
        }
        let next = plan.next_after(plan.last_tick());
        let mut new = Self { plan, next, not_before: i64::MIN, tried: false };
        let now = runtime.timers.clock.lower_bound();
        if new.next.is_some_and(|at| at <= now) {
            new.make_up_for(now);
        }
        new
    }

    fn next(&self) -> Option<i64> {
        self.next.map(|at| at.max(self.not_before))
    }

    /// Starts the ticks whose time had come at `now`: some of them, if there are many, so that the other
    /// schedules have their turn and whoever pauses this one is heard.
    ///
    /// What was due before `on_time` was missed: this process was stopped, or its host was asleep. So was
    /// what became due while a tick could not be started.
    async fn fire(&mut self, runtime: &Arc<Runtime>, mut now: i64, mut on_time: i64) {
        if self.tried {
            on_time = now - MISFIRE_GRACE;
        }
        for _ in 0..MAX_TICKS_PER_ROUND {
            if !self.tried && self.next.is_some_and(|at| at < on_time) {
                self.make_up_for(now);
            }
            let Some(tick) = self.next.filter(|at| *at.max(&self.not_before) <= now) else { return };
            if runtime.shutdown.phase() >= EnginePhase::Quiesced || !self.start(runtime, tick).await {
                return;
            }
            let later = runtime.timers.clock.lower_bound();
            if later - now > MISFIRE_GRACE {
                (now, on_time) = (later, later - MISFIRE_GRACE);
            }
        }
    }

    /// Starts a tick and goes on to the next one. Gives whether it could.
    async fn start(&mut self, runtime: &Arc<Runtime>, tick: i64) -> bool {
        self.tried = true;
        let started = match start_tick(runtime, &self.plan, tick).await {
            // It would be refused again: the ones after it may fare better.
            Err(error) if !is_passing(&error) => {
                tracing::error!(target: "durable", schedule = self.plan.name(), %error, "a tick cannot be started, and is left out");
                Ok(false)
            }
            started => started,
        };
        let noted = match started {
            Ok(_) => record_tick(runtime, &self.plan, tick).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(target: "durable", schedule = self.plan.name(), %error, "a tick could not be started and is tried again");
            self.not_before = runtime.timers.clock.lower_bound() + PAUSE;
            return false;
        }
        self.tried = false;
        self.next = self.plan.next_after(tick);
        true
    }

    /// Goes on to what the schedule wants started of the ticks that were missed. The last one of them
    /// was not missed if it was a moment ago.
    fn make_up_for(&mut self, now: i64) {
        let last = || last_before(&self.plan, now + 1);
        self.next = match self.plan.misfire() {
            Misfire::All => return,
            Misfire::Once => last().or(self.next),
            Misfire::Skip => last().filter(|at| *at >= now - MISFIRE_GRACE).or_else(|| self.plan.next_after(now)),
        };
    }
}

/// Whether it can go well at the next try, because nothing is wrong with the tick itself.
fn is_passing(error: &Error) -> bool {
    use ErrorKind::{Contended, Database, NoEngine, ShuttingDown, Unconfirmed};
    matches!(error.kind(), Contended | Database | NoEngine | ShuttingDown | Unconfirmed)
}

/// The last tick before a moment, looked for in ever longer times before it: a schedule of every
/// second may have missed millions.
fn last_before(plan: &ScheduleSpec, moment: i64) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let reaches = [60, 3_600, 86_400, 31 * 86_400, 366 * 86_400, 9 * 366 * 86_400];
    reaches.into_iter().find_map(|seconds| {
        let ticks = std::iter::successors(plan.next_after(moment - seconds * SECOND), |tick| plan.next_after(*tick));
        ticks.take_while(|tick| *tick < moment).last()
    })
}
