//! The scheduler: starts the ticks of schedules when their time has come. Every process tries, and
//! the id of a tick lets one of them start it.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::level::Level;
use crate::journal::runtime::Runtime;
use crate::registry::{Misfire, Schedule};
use crate::store::ScheduleRow;
use crate::verbs::plan::{Plan, plans, start_tick};
use crate::words::error::Result;

/// How late a tick may be and still count as on time, in microseconds: a process that is launched
/// just after a tick has not missed it.
const GRACE: i64 = 10_000_000;
/// The longest rest: what another process has changed may not have been told.
const LONGEST: Duration = Duration::from_secs(30);
/// The rest when they could not be read.
const AGAIN: Duration = Duration::from_secs(1);
/// The pause after a tick that could not be started, in microseconds.
const PAUSE: i64 = 1_000_000;

/// The schedules that stand in the code, for the database.
pub(super) fn in_code(runtime: &Runtime) -> Vec<ScheduleRow> {
    let row = |it: &'static Schedule| ScheduleRow {
        name: it.workflow.name.to_owned(),
        workflow: it.workflow.name.to_owned(),
        cron: it.cron.to_owned(),
        timezone: it.tz.to_owned(),
        misfire: it.misfire.as_str().to_owned(),
        overlap: it.overlap.as_str().to_owned(),
        input: None,
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
    while runtime.gate.level() < Level::Quiesced {
        // Whoever has paused or deleted a schedule does not want to see it fire once more: only what
        // was due before the schedules were read is started.
        let now = runtime.timers.clock.at_least();
        let due = known.iter().any(|it| it.next().is_some_and(|at| at <= now));
        if changed || due {
            match plans(&runtime).await {
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
        for planned in &mut known {
            planned.fire(&runtime, now).await;
        }
        let now = runtime.timers.clock.at_least();
        let next = known.iter().filter_map(Planned::next).min();
        let longest = if changed { AGAIN } else { LONGEST };
        let rest = next.map_or(LONGEST, |at| Duration::from_micros(u64::try_from(at - now).unwrap_or_default()));
        changed |= tokio::select! {
            poked = runtime.schedules.rest(rest.min(longest)) => poked || rest >= LONGEST,
            () = runtime.gate.reached(Level::Quiesced) => false,
        };
    }
}

/// A schedule, and the ticks that are still to come.
struct Planned {
    plan: Plan,
    /// The next tick in microseconds, if there is one.
    next: Option<i64>,
    /// Not to be tried before: the last try failed.
    not_before: i64,
    /// When that tick was tried for the first time, as long as it has not been started.
    tried_at: Option<i64>,
}

impl Planned {
    fn new(runtime: &Runtime, plan: Plan, known: &[Self]) -> Self {
        // What this process has been waiting for all along was not missed.
        let before = known.iter().find(|it| it.plan.has_ticks_of(&plan));
        let next = before.map_or_else(|| first(&plan, runtime.timers.clock.at_least() - GRACE), |it| it.next);
        let (not_before, tried_at) = before.map_or((i64::MIN, None), |it| (it.not_before, it.tried_at));
        Self { plan, next, not_before, tried_at }
    }

    fn next(&self) -> Option<i64> {
        self.next.map(|at| at.max(self.not_before))
    }

    /// Starts every tick whose time had come at `now`.
    async fn fire(&mut self, runtime: &Arc<Runtime>, now: i64) {
        while let Some(tick) = self.next
            && tick.max(self.not_before) <= now
            && runtime.gate.level() < Level::Quiesced
        {
            if let Err(error) = self.start(runtime, tick, now).await {
                tracing::warn!(target: "durable", schedule = self.plan.name(), %error, "a tick could not be started and is tried again");
                self.not_before = runtime.timers.clock.at_least() + PAUSE;
            }
        }
    }

    async fn start(&mut self, runtime: &Arc<Runtime>, tick: i64, now: i64) -> Result<()> {
        let tried_at = *self.tried_at.get_or_insert(now);
        start_tick(runtime, &self.plan, tick).await?;
        self.tried_at = None;
        self.next = self.plan.next_after(tick);
        let now = runtime.timers.clock.at_least();
        if now - tried_at > GRACE {
            // The database was away: what became due meanwhile was missed as if nobody had been here.
            self.next = self.next.and_then(|next| from(&self.plan, next, now - GRACE));
        }
        Ok(())
    }
}

/// The first tick of a schedule that this process has not known before. Ticks before `on_time` were
/// missed, if nobody else has dealt with them.
fn first(plan: &Plan, on_time: i64) -> Option<i64> {
    from(plan, plan.next_after(plan.last_tick())?, on_time)
}

/// The first tick from `next` on that is to be started, if those before `on_time` were missed.
fn from(plan: &Plan, next: i64, on_time: i64) -> Option<i64> {
    if next >= on_time || plan.misfire == Misfire::All {
        return Some(next);
    }
    match plan.misfire {
        // The latest of the missed ones stands for all of them.
        Misfire::Once => Some(last_before(plan, on_time).unwrap_or(next)),
        _ => plan.next_after(on_time - 1),
    }
}

/// The last tick before a moment, looked for in ever longer times before it: a schedule of every
/// second may have missed millions.
fn last_before(plan: &Plan, moment: i64) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let reaches = [60, 3_600, 86_400, 31 * 86_400, 366 * 86_400, 9 * 366 * 86_400];
    reaches.into_iter().find_map(|seconds| {
        let ticks = std::iter::successors(plan.next_after(moment - seconds * SECOND), |tick| plan.next_after(*tick));
        ticks.take_while(|tick| *tick < moment).last()
    })
}
