//! The shutdown: one list of phases, each with a bound, carried out by a task of the engine's own.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::background::Background;
use super::presence::Presence;
use super::report::{PhaseReport, ShutdownReport, Suspended};
use crate::journal::current;
use crate::journal::execution::Signal;
use crate::journal::level::Level;
use crate::journal::live::Run;
use crate::journal::runtime::Runtime;
use crate::journal::waits::Released;
use crate::words::sync::lock;

/// How long each phase of a shutdown may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownOptions {
    /// For running workflows to come to their end. 10 s by default.
    pub drain: Duration,
    /// For running steps to come to their end, once no operation begins any more. 3 s by default.
    pub abort: Duration,
    /// For what is dropped to be gone. 2 s by default.
    pub stop: Duration,
    /// For the engine's own tasks to end. 2 s by default.
    pub background: Duration,
    /// For the database's connections to close. 3 s by default.
    pub close: Duration,
    /// For all of it. 20 s by default.
    pub total: Duration,
    /// Whether unfinished workflows are handed over to other executors. `true` by default; without
    /// it they wait for this executor's restart, or for its lease to run out.
    pub release: bool,
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
            release: true,
        }
    }
}

impl ShutdownOptions {
    /// All phases within `total`: half of it to drain, and the rest shared out.
    #[must_use]
    pub fn within(total: Duration) -> Self {
        Self {
            drain: total / 2,
            abort: total * 15 / 100,
            stop: total / 10,
            background: total / 10,
            close: total * 15 / 100,
            total,
            release: true,
        }
    }

    /// Nothing is waited for: what runs is dropped at once.
    #[must_use]
    pub fn immediate() -> Self {
        Self { drain: Duration::ZERO, abort: Duration::ZERO, ..Self::default() }
    }

    /// The shorter of both in everything: a later call may shorten a shutdown, never lengthen it.
    fn shortened_by(self, other: Self) -> Self {
        Self {
            drain: self.drain.min(other.drain),
            abort: self.abort.min(other.abort),
            stop: self.stop.min(other.stop),
            background: self.background.min(other.background),
            close: self.close.min(other.close),
            total: self.total.min(other.total),
            release: self.release,
        }
    }
}

/// What drain and abort leave of the total for the phases after them.
const RESERVE: Duration = Duration::from_secs(3);

/// The shutdown of one engine: requested once, carried out once, awaited by any number of callers.
#[derive(Debug)]
pub(super) struct Teardown {
    runtime: Arc<Runtime>,
    background: Arc<Background>,
    presence: Arc<Presence>,
    options: watch::Sender<Option<ShutdownOptions>>,
    report: watch::Sender<Option<Arc<ShutdownReport>>>,
    begun: AtomicBool,
    /// Phases as they end.
    phases: Mutex<Vec<PhaseReport>>,
}

impl Teardown {
    pub(super) fn new(runtime: Arc<Runtime>, background: Arc<Background>, presence: Arc<Presence>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            background,
            presence,
            options: watch::Sender::new(None),
            report: watch::Sender::new(None),
            begun: AtomicBool::new(false),
            phases: Mutex::default(),
        })
    }

    /// Begins the shutdown, or shortens the one that goes on.
    pub(super) fn request(self: &Arc<Self>, options: ShutdownOptions) {
        self.options.send_modify(|present| {
            *present = Some(present.map_or(options, |it| it.shortened_by(options)));
        });
        if !self.begun.swap(true, Ordering::SeqCst) {
            let teardown = Arc::clone(self);
            // The task belongs to the engine: a caller who no longer waits stops nothing.
            self.runtime.tokio.spawn(async move { teardown.carry_out().await });
        }
    }

    /// Waits for the report.
    pub(super) async fn report(&self) -> Arc<ShutdownReport> {
        let mut watcher = self.report.subscribe();
        match watcher.wait_for(Option::is_some).await.map(|it| it.clone()) {
            Ok(Some(report)) => report,
            _ => Arc::new(ShutdownReport::requested()), // cannot be: the sender is in `self`
        }
    }

    /// The last handle was dropped. Without a shutdown everything is dropped where it stands.
    pub(super) fn dropped(&self) {
        if self.begun.swap(true, Ordering::SeqCst) {
            return;
        }
        let runtime = &self.runtime;
        current::remove(runtime);
        let runs = runtime.live.all();
        if !runs.is_empty() {
            tracing::warn!(target: "durable", workflows = runs.len(), "the engine was dropped without `shutdown().await`; the next launch recovers what was running");
        }
        runtime.gate.raise(Level::Killed);
        runtime.store.close_work();
        for run in runs {
            run.abort();
        }
        self.background.abort();
        self.presence.abandon();
    }

    async fn carry_out(&self) {
        let started = Instant::now();
        let runtime = &self.runtime;
        current::remove(runtime);
        let ended_before = runtime.live.ended();
        runtime.live.list_left();

        runtime.gate.raise(Level::Quiesced);
        let fence = runtime.fence();
        // Whoever is launched under the same name must not take what this process still runs.
        self.phase("quiesce", started, |it| it.drain.min(Duration::from_secs(1)), async {
            if let Err(error) = runtime.store.announce_leaving(fence).await {
                tracing::warn!(target: "durable", %error, "could not announce the shutdown");
            }
        })
        .await;

        runtime.gate.raise(Level::Draining);
        // What waits for longer than the drain lasts would only hold it up.
        runtime.timers.release(runtime.timers.clock.after(self.current().drain));
        runtime.waits.release(Released::Bodies);
        self.phase("drain", started, |it| it.drain, runtime.live.idle()).await;

        runtime.gate.raise(Level::Aborting);
        runtime.timers.release(0);
        runtime.waits.release(Released::Everybody);
        for run in runtime.live.all() {
            run.signal(Signal::Suspend);
        }
        self.phase("abort", started, |it| it.abort, runtime.live.idle()).await;

        let overdue: Vec<_> = runtime.live.all().iter().map(|it| shown(it)).collect();
        let ending = runtime.live.all();
        runtime.gate.raise(Level::Killed);
        // Marked closed first: a connection in use is then cut, and nobody waits for its statement.
        runtime.store.close_work();
        for run in &ending {
            run.abort();
        }
        self.phase("stop", started, |it| it.stop, runtime.live.idle()).await;

        let stuck_runs = runtime.live.all();
        let keys: Vec<i64> = stuck_runs.iter().map(|it| it.key).collect();
        let stuck: Vec<_> = stuck_runs.iter().map(|it| shown(it)).collect();
        // By sets of ids: there can be a hundred thousand of each.
        let stuck_ids: HashSet<_> = stuck_runs.iter().map(|it| &*it.id).collect();
        let killed = overdue.into_iter().filter(|it| !stuck_ids.contains(&*it.id)).collect();
        let completed = runtime.live.ended() - ended_before;
        let left = runtime.live.left();
        let suspended_many = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let ending_ids: HashSet<_> = ending.iter().map(|it| &*it.id).collect();
        let suspended = left.iter().filter(|run| !ending_ids.contains(&*run.id)).map(|run| shown(run)).collect();

        let mut released = Err("there was no time left".to_owned());
        let release = self.current().release;
        // A hundred thousand rows are handed over in one statement, which takes its time.
        let patience = Duration::from_secs(1) + Duration::from_micros(50).saturating_mul(suspended_many);
        self.phase("hand-off", started, |_| patience, async {
            released = self.hand_over(&keys, release).await;
        })
        .await;

        runtime.writer.stop();
        let mut unfinished_tasks = Vec::new();
        let bound = self.current().background.min(self.left(started));
        self.phase("background", started, |it| it.background + Duration::from_millis(100), async {
            unfinished_tasks = self.background.join(bound).await;
        })
        .await;

        let closed = self.phase("close", started, |it| it.close, runtime.store.close()).await;
        if released.is_ok() {
            self.presence.end();
        } else {
            self.presence.abandon();
        }
        runtime.gate.raise(Level::Closed);

        let report = ShutdownReport {
            state: Level::Closed,
            elapsed: started.elapsed(),
            phases: std::mem::take(&mut *lock(&self.phases)),
            completed,
            suspended,
            killed,
            stuck,
            released,
            unfinished_tasks,
            closed,
        };
        tracing::info!(target: "durable::shutdown", %report);
        self.report.send_replace(Some(Arc::new(report)));
    }

    /// Gives back what is left, and takes this executor's row away.
    async fn hand_over(&self, stuck: &[i64], release: bool) -> Result<crate::store::Released, String> {
        let store = &self.runtime.store;
        let fence = self.runtime.fence();
        if !release {
            return Ok(crate::store::Released::default());
        }
        let released = store.release(fence, stuck).await.map_err(|error| error.to_string())?;
        if stuck.is_empty() {
            store.sign_off(fence).await.map_err(|error| error.to_string())?;
        }
        Ok(released)
    }

    /// Waits for `work` within the phase's budget and what is left of the total; a later call may
    /// shorten both meanwhile. Gives whether the work was done in time.
    async fn phase(
        &self,
        name: &'static str,
        started: Instant,
        budget: impl Fn(ShutdownOptions) -> Duration,
        work: impl Future<Output = ()>,
    ) -> bool {
        let begun = Instant::now();
        let mut watcher = self.options.subscribe();
        tokio::pin!(work);
        let done = loop {
            let options = self.current();
            // Waiting for user code leaves time for what the engine itself has to do after it.
            let reserve =
                if matches!(name, "drain" | "abort") { RESERVE.min(options.total / 2) } else { Duration::ZERO };
            let deadline = (begun + budget(options)).min(started + options.total.saturating_sub(reserve));
            tokio::select! {
                biased;
                () = &mut work => break true,
                () = tokio::time::sleep_until(deadline) => break false,
                _ = watcher.changed() => {}
            }
        };
        tracing::debug!(target: "durable::shutdown", phase = name, elapsed = ?begun.elapsed(), done);
        lock(&self.phases).push(PhaseReport { phase: name, elapsed: begun.elapsed(), timed_out: !done });
        done
    }

    fn current(&self) -> ShutdownOptions {
        self.options.borrow().unwrap_or_default()
    }

    fn left(&self, started: Instant) -> Duration {
        self.current().total.saturating_sub(started.elapsed())
    }
}

/// What a run was doing.
fn shown(run: &Run) -> Suspended {
    let execution = run.execution();
    Suspended {
        id: run.id.to_string(),
        name: execution.as_ref().map_or_else(String::new, |it| it.workflow.name.to_owned()),
        at: execution.and_then(|it| it.activity()),
    }
}
