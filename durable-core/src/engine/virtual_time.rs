//! Virtual time, for tests: the clock stands still while anything can go on, and moves to one due moment after another.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::engine::listener::wake_everything;
use crate::engine::standstill::{StepKey, Unrest, unfinished};
use crate::engine::tasks::Background;
use crate::runtime::Runtime;
use crate::runtime::rest::{ClockMove, PATIENCE};
use crate::store::RunningPart;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;

/// How often it is checked whether everything rests, where no signal says that it may.
const CHECK_INTERVAL: Duration = Duration::from_millis(1);
/// How often it is checked whether the test waits for what never comes.
const STANDSTILL_INTERVAL: Duration = Duration::from_millis(50);
/// How far a test moves the clock at once: ids hold no later times than those of the year 2300.
const FARTHEST: Duration = Duration::from_hours(24 * 365 * 100);
/// For how many times its patience a test waits for a rest, while things get on all the time.
const MOST_PATIENCES: u32 = 12;

/// Starts the task that moves the clock. It is not watched, since it waits for those that are.
pub(super) fn start(runtime: &Arc<Runtime>, background: &Background) {
    let (sender, requests) = unbounded_channel();
    let _ = runtime.rest.moves.set(sender); // an engine is launched once
    let task = run(Arc::clone(runtime), requests);
    background.spawn_on(&Handle::current(), "durable-virtual-time".into(), EnginePhase::Quiesced, task);
}

async fn run(runtime: Arc<Runtime>, mut requests: UnboundedReceiver<ClockMove>) {
    let mut still = Standstill::new(&runtime);
    let serve = async {
        loop {
            tokio::select! {
                request = requests.recv() => {
                    let Some(ClockMove { by, mut moved }) = request else { return };
                    let result = tokio::select! {
                        result = move_clock(&runtime, by) => Some(result),
                        () = moved.closed() => None,
                    };
                    run_on(&runtime).await;
                    if let Some(result) = result {
                        let _ = moved.send(result); // a caller that is gone needs none
                    }
                    still = Standstill::new(&runtime);
                }
                () = tokio::time::sleep(STANDSTILL_INTERVAL) => still.check(&runtime).await,
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => {}
    }
    run_on(&runtime).await;
}

async fn move_clock(runtime: &Arc<Runtime>, by: Option<Duration>) -> Result<Option<Duration>, String> {
    if by.is_some_and(|by| by > FARTHEST) {
        return Err(
            "the clock can be moved by 100 years at most; `app.advance_to_next()` moves to what is due".to_owned()
        );
    }
    let clock = &runtime.timers.clock;
    let mut resting = Resting { runtime, ignored: HashSet::new(), until: by.map(|by| clock.after(by)) };
    resting.quiet().await?; // what goes on began before the clock stood still
    let start = stop_at(runtime, clock.upper_bound()).await?;
    resting.until = by.map(|by| start.saturating_add(by));
    resting.settle().await?;
    let Some(end) = resting.until else {
        let Some(next) = runtime.timers.first() else { return Ok(None) };
        let moved = stop_at(runtime, next).await?;
        resting.settle().await?;
        return Ok(Some(moved.saturating_duration_since(start)));
    };
    let mut now = start;
    while let Some(next) = runtime.timers.first().filter(|next| *next <= end) {
        // What is due and does not happen is not waited for.
        now = stop_at(runtime, next.max(now.saturating_add(Timestamp::RESOLUTION))).await?;
        resting.settle().await?;
    }
    let end = stop_at(runtime, end).await?;
    Ok(Some(end.saturating_duration_since(start)))
}

/// Stops the clock of the database and of this engine. It never goes back.
async fn stop_at(runtime: &Runtime, at: Timestamp) -> Result<Timestamp, String> {
    let stopped = runtime.store.stop_clock(Some(at)).await;
    let at = stopped.map_err(|error| format!("the clock of the database cannot be moved: {error}"))?;
    runtime.timers.clock.stop(at);
    runtime.keys.follow(at);
    if runtime.store.has_others() {
        // Other executors must not take this one for dead because time has passed.
        let running: Vec<_> = runtime.running.all().iter().map(|it| it.key).collect();
        let running = RunningPart::all(&running);
        if let Err(error) = runtime.store.heartbeat(runtime.fence(), runtime.settings.lease, running).await {
            tracing::debug!(target: "durable", %error, "a heartbeat failed after a test has moved the clock");
        }
    }
    runtime.timers.wake();
    Ok(at)
}

/// Lets the clock run on from where it stands.
async fn run_on(runtime: &Runtime) {
    if !runtime.timers.clock.is_stopped() {
        return;
    }
    let sent = Instant::now();
    if let Err(error) = runtime.store.stop_clock(None).await {
        tracing::warn!(target: "durable", %error, "the clock of the database cannot be set going again");
    }
    runtime.timers.clock.run_on(sent);
    runtime.timers.wake();
}

/// Waits until nothing can go on without time passing.
struct Resting<'r> {
    runtime: &'r Arc<Runtime>,
    /// Steps that go on for longer than the patience, and time out by themselves in the time that the clock is moved.
    ignored: HashSet<StepKey>,
    /// Where the clock is moved to; `None` if it moves to the next due moment.
    until: Option<Timestamp>,
}

impl Resting<'_> {
    /// Returns when nothing goes on, also after the database was asked for everything that may have changed there:
    /// notifications arrive at some time, and other programs write into the database too.
    async fn settle(&mut self) -> Result<(), String> {
        loop {
            self.quiet().await?;
            let before = self.runtime.rest.progress();
            wake_everything(self.runtime);
            self.quiet().await?;
            if self.runtime.rest.progress() == before {
                return Ok(());
            }
        }
    }

    /// Returns when nothing goes on that this engine knows of.
    async fn quiet(&mut self) -> Result<(), String> {
        let rest = &self.runtime.rest;
        let (patience, began) = (rest.patience(), Instant::now());
        let (mut progress, mut progressed) = (rest.progress(), began);
        loop {
            let polls = rest.polls();
            let unrest = Unrest::of(self.runtime, &self.ignored);
            if unrest.is_none() {
                // A body that has yielded is woken by tokio a moment later.
                let _ = self.runtime.tokio.spawn(async {}).await; // it does nothing but take its turn
                if rest.polls() == polls && Unrest::of(self.runtime, &self.ignored).is_none() {
                    return Ok(());
                }
                continue;
            }
            if rest.progress() != progress {
                (progress, progressed) = (rest.progress(), Instant::now());
            }
            // A short patience is meant for steps, and not for a database that is slow just now.
            let patience = if unrest.engine.is_some() { patience.max(PATIENCE) } else { patience };
            if progressed.elapsed() >= patience && !self.ignore(&unrest) || began.elapsed() >= patience * MOST_PATIENCES
            {
                return Err(self.not_resting(&unrest, began.elapsed()).await);
            }
            tokio::select! {
                () = rest.idle() => {}
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    }

    /// Waits no longer for these steps, if time has to pass before they end. Returns whether there is nothing else.
    fn ignore(&mut self, unrest: &Unrest) -> bool {
        let times_out = |at: Option<Timestamp>| at.is_some_and(|at| self.until.is_none_or(|until| at <= until));
        let ignores = unrest.engine.is_none() && unrest.steps.iter().all(|(_, at)| times_out(*at));
        if ignores {
            self.ignored.extend(unrest.steps.iter().map(|(key, _)| *key));
        }
        ignores
    }

    async fn not_resting(&self, unrest: &Unrest, elapsed: Duration) -> String {
        let what = unrest.engine.unwrap_or("a step or a transaction");
        format!(
            "the clock cannot be moved: after {:.1} s this is still running: {what}; let it end, give the step a timeout, or allow more time with `app.set_patience(..)`. Unfinished workflows:\n{}",
            elapsed.as_secs_f64(),
            unfinished(self.runtime).await
        )
    }
}

/// Since when the test waits and nothing goes on.
struct Standstill {
    since: Instant,
    progress: u64,
    /// Whether it was reported.
    reported: bool,
}

impl Standstill {
    fn new(runtime: &Runtime) -> Self {
        Self { since: Instant::now(), progress: runtime.rest.progress(), reported: false }
    }

    async fn check(&mut self, runtime: &Arc<Runtime>) {
        if self.reported {
            return;
        }
        let (rest, none) = (&runtime.rest, HashSet::new());
        let goes_on = |progress| {
            !rest.has_outside_waits() || rest.progress() != progress || !Unrest::of(runtime, &none).is_none()
        };
        if goes_on(self.progress) {
            *self = Self::new(runtime);
            return;
        }
        let patience = rest.patience();
        if self.since.elapsed() < patience {
            return;
        }
        let now = runtime.timers.clock.lower_bound();
        let next = runtime.timers.first();
        if next.is_some_and(|at| at.saturating_duration_since(now) <= patience) {
            return; // it comes by itself
        }
        let mut resting = Resting { runtime, ignored: HashSet::new(), until: None };
        if resting.settle().await.is_err() || goes_on(self.progress) {
            *self = Self::new(runtime);
            return;
        }
        let due = match next {
            Some(at) => format!(
                "the next moment at which something is due is {}: let time pass with `app.advance(..)` or `app.advance_to_next()`",
                at.to_date()
            ),
            None => "nothing is due at any time".to_owned(),
        };
        let message = format!(
            "the test has been waiting for {:.1} s, and nothing can continue: {due}. Unfinished workflows:\n{}",
            self.since.elapsed().as_secs_f64(),
            unfinished(runtime).await
        );
        self.reported = true;
        rest.standstill.send_replace(Some(message));
    }
}
