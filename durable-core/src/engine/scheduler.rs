//! The scheduler: starts the ticks of schedules when they are due. Every process tries to start every tick,
//! and the workflow's id lets one of them start it.

use std::sync::Arc;
use std::time::Duration;

use crate::operations::schedule_spec::{MISFIRE_GRACE, ScheduleSpec, TickStart, load_specs, record_tick, start_tick};
use crate::registry::Misfire;
use crate::runtime::Runtime;
use crate::types::error::{Error, ErrorKind};
use crate::types::metrics;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;

/// How many ticks of one schedule are started before those of the next one.
const MAX_TICKS_PER_ROUND: usize = 100;
/// The longest wait between two reads of the schedules, in case a notification of a change was lost.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// The wait after the schedules could not be read.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The delay before a tick that could not be started is tried again.
const TICK_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The scheduler's task. A start under way when the shutdown begins is finished.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut schedules: Vec<ScheduleTicks> = Vec::new();
    let mut changed = true;
    let mut skipped_before = Duration::ZERO;
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        // `now` is taken before the schedules are read: one that was paused or deleted until then does not
        // fire once more.
        let (now, skipped) = runtime.timers.clock.lower_bound_with_skipped();
        let due = schedules.iter().any(|it| it.next_attempt().is_some_and(|at| at <= now));
        if changed || due {
            match load_specs(&runtime).await {
                Ok(specs) => {
                    schedules = specs.into_iter().map(|spec| ScheduleTicks::new(spec, now, &schedules)).collect();
                    changed = false;
                }
                Err(error) => {
                    tracing::warn!(target: "durable", %error, "reading the schedules failed; trying again");
                    changed = true;
                }
            }
        }
        // A tick was missed if it is older than this. Time that a test skips does not count.
        let oldest_on_time = now.saturating_sub(MISFIRE_GRACE + skipped.saturating_sub(skipped_before));
        skipped_before = skipped;
        for schedule in &mut schedules {
            schedule.follow_clock(now);
            schedule.fire(&runtime, now, oldest_on_time).await;
        }
        let next = schedules.iter().filter_map(ScheduleTicks::next_attempt).min();
        let max_wait = if changed { RETRY_AFTER } else { MAX_SLEEP };
        changed |= tokio::select! {
            () = runtime.timers.at_if_any(next) => false,
            _ = runtime.schedules.wait_timeout(max_wait) => true,
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => false,
        };
    }
}

/// A schedule and its next tick.
struct ScheduleTicks {
    spec: ScheduleSpec,
    next: Option<Timestamp>,
    /// The earliest time of the next attempt, after a failed one.
    not_before: Timestamp,
    /// Whether the next tick was tried in time. Then it is not missed, however long the database is away.
    tried: bool,
}

impl ScheduleTicks {
    fn new(spec: ScheduleSpec, now: Timestamp, known: &[Self]) -> Self {
        // A schedule with unchanged ticks keeps its next one: this process was waiting for it.
        if let Some(before) = known.iter().find(|it| it.spec.has_same_ticks(&spec)) {
            return Self { spec, next: before.next, not_before: before.not_before, tried: before.tried };
        }
        let mut new =
            Self { next: spec.next_after(spec.last_tick()), spec, not_before: Timestamp::UNIX_EPOCH, tried: false };
        new.follow_clock(now);
        if new.next.is_some_and(|at| at <= now) {
            new.apply_misfire_policy(now);
        }
        new
    }

    fn next_attempt(&self) -> Option<Timestamp> {
        self.next.map(|at| at.max(self.not_before))
    }

    /// Leaves a future that the clock has left: if the next tick is not the first one after now, the last one was
    /// started before the clock went back. The ticks until then are not skipped; those that were started already
    /// have the same ids.
    fn follow_clock(&mut self, now: Timestamp) {
        // What is at most so far away comes by itself, and the clock is not known exactly.
        let first = self.spec.next_after(now.saturating_add(MISFIRE_GRACE));
        // The far future has no next tick.
        if first.is_some() && self.next.is_none_or(|next| Some(next) > first) {
            self.next = self.spec.next_after(now);
            (self.not_before, self.tried) = (Timestamp::UNIX_EPOCH, false);
        }
    }

    /// Starts the ticks that are due at `now`, and no more than [`MAX_TICKS_PER_ROUND`], so that other
    /// schedules get their share and a pause of this one takes effect.
    ///
    /// Ticks before `oldest_on_time` were missed: this process was stopped, or its host was asleep. So were
    /// those that became due while an earlier tick could not be started.
    async fn fire(&mut self, runtime: &Arc<Runtime>, mut now: Timestamp, mut oldest_on_time: Timestamp) {
        if self.tried {
            oldest_on_time = now.saturating_sub(MISFIRE_GRACE);
        }
        for _ in 0..MAX_TICKS_PER_ROUND {
            if !self.tried && self.next.is_some_and(|at| at < oldest_on_time) {
                self.apply_misfire_policy(now);
            }
            let Some(tick) = self.next.filter(|at| *at.max(&self.not_before) <= now) else { return };
            if runtime.shutdown.phase() >= EnginePhase::Quiesced || !self.start(runtime, tick).await {
                return;
            }
            let later = runtime.timers.clock.lower_bound();
            if later.saturating_duration_since(now) > MISFIRE_GRACE {
                (now, oldest_on_time) = (later, later.saturating_sub(MISFIRE_GRACE));
            }
        }
    }

    /// Starts a tick and advances to the next one. Returns whether that worked.
    async fn start(&mut self, runtime: &Arc<Runtime>, tick: Timestamp) -> bool {
        self.tried = true;
        let started = match start_tick(runtime, &self.spec, tick).await {
            // It would fail again: skips this tick, so that later ones can start.
            Err(error) if !is_transient(&error) => {
                tracing::error!(target: "durable", schedule = self.spec.name(), %error, "a tick cannot be started and is skipped");
                Ok(TickStart::Skipped)
            }
            started => started,
        };
        if matches!(started, Ok(TickStart::Started)) {
            let schedule = || runtime.registry.schedule_label(self.spec.name());
            metrics::tick_started(schedule, || runtime.timers.clock.lower_bound().saturating_duration_since(tick));
        }
        let recorded = match started {
            Ok(_) => record_tick(runtime, &self.spec, tick).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::warn!(target: "durable", schedule = self.spec.name(), %error, "starting a tick failed; trying again");
            self.not_before = runtime.timers.clock.lower_bound().saturating_add(TICK_RETRY_DELAY);
            return false;
        }
        self.tried = false;
        self.next = self.spec.next_after(tick);
        true
    }

    /// Advances to the first of the missed ticks that the schedule's misfire policy starts. The latest one is
    /// not missed if it was due within [`MISFIRE_GRACE`].
    fn apply_misfire_policy(&mut self, now: Timestamp) {
        let latest = || last_tick_before(&self.spec, now.saturating_add(Timestamp::RESOLUTION));
        self.next = match self.spec.misfire() {
            Misfire::All => return,
            Misfire::Once => latest().or(self.next),
            Misfire::Skip => {
                latest().filter(|at| *at >= now.saturating_sub(MISFIRE_GRACE)).or_else(|| self.spec.next_after(now))
            }
        };
    }
}

/// Whether the next attempt may succeed, because the fault is not in the tick itself.
fn is_transient(error: &Error) -> bool {
    use ErrorKind::{Contended, Database, NoEngine, ShuttingDown, Unconfirmed};
    matches!(error.kind(), Contended | Database | NoEngine | ShuttingDown | Unconfirmed)
}

/// The last tick before a time. It looks back a minute first, then further: a schedule with a tick every
/// second may have missed millions.
fn last_tick_before(spec: &ScheduleSpec, time: Timestamp) -> Option<Timestamp> {
    let spans = [60, 3_600, 86_400, 31 * 86_400, 366 * 86_400, 9 * 366 * 86_400];
    spans.into_iter().find_map(|seconds| {
        let since = time.saturating_sub(Duration::from_secs(seconds));
        let ticks = std::iter::successors(spec.next_after(since), |tick| spec.next_after(*tick));
        ticks.take_while(|tick| *tick < time).last()
    })
}
