//! The shutdown: one list of phases, each with a bound, carried out by a task of the engine's own.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

mod budget;
mod options;

use self::budget::{Budget, Phase};
pub use self::options::{ShutdownOptions, ShutdownReason};
use super::background::Background;
use super::presence::Presence;
use super::report::{PhaseReport, ShutdownReport, ShutdownState, Suspended};
use crate::journal::current;
use crate::journal::execution::Signal;
use crate::journal::level::Level;
use crate::journal::live::Run;
use crate::journal::runtime::Runtime;
use crate::journal::waits::Released;
use crate::words::sync::lock;

/// The shutdown of one engine: requested once, carried out once, awaited by any number of callers.
#[derive(Debug)]
pub(super) struct Teardown {
    runtime: Arc<Runtime>,
    background: Arc<Background>,
    presence: Arc<Presence>,
    budget: watch::Sender<Budget>,
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
            budget: watch::Sender::new(Budget::default()),
            report: watch::Sender::new(None),
            begun: AtomicBool::new(false),
            phases: Mutex::default(),
        })
    }

    /// Begins the shutdown, or shortens the one that goes on.
    pub(super) fn request(self: &Arc<Self>, options: ShutdownOptions) {
        let options = options.checked();
        self.budget.send_if_modified(|budget| budget.add(Instant::now(), options));
        // From here on no new work is taken, and the probes of load balancers are told so.
        self.runtime.gate.raise(Level::Quiesced);
        if !self.begun.swap(true, Ordering::SeqCst) {
            let teardown = Arc::clone(self);
            // The task belongs to the engine: a caller who no longer waits stops nothing.
            self.runtime.tokio.spawn(async move { teardown.carry_out().await });
        }
    }

    /// Returns once a shutdown was asked for.
    pub(super) async fn requested(&self) {
        let _ = self.budget.subscribe().wait_for(Budget::is_asked).await.map(drop); // the sender is in `self`
    }

    /// Waits for the report.
    pub(super) async fn report(&self) -> Arc<ShutdownReport> {
        let mut watcher = self.report.subscribe();
        match watcher.wait_for(Option::is_some).await.map(|it| it.clone()) {
            Ok(Some(report)) => report,
            _ => Arc::new(ShutdownReport::of(ShutdownState::Failed, ShutdownReason::Requested)), // cannot be: the sender is in `self`
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
        self.phase(Phase::Quiesce, started, async {
            if let Err(error) = runtime.store.announce_leaving(fence).await {
                tracing::warn!(target: "durable", %error, "could not announce the shutdown");
            }
        })
        .await;

        runtime.gate.raise(Level::Draining);
        // What waits for longer than the drain lasts would only hold it up.
        let drained_by = self.budget.borrow().end_of(Phase::Drain, started);
        runtime.timers.release(runtime.timers.clock.after(drained_by.saturating_duration_since(Instant::now())));
        runtime.waits.release(Released::Bodies);
        self.phase(Phase::Drain, started, runtime.live.idle()).await;

        runtime.gate.raise(Level::Aborting);
        runtime.timers.release(0);
        runtime.waits.release(Released::Everybody);
        for run in runtime.live.all() {
            run.signal(Signal::Suspend);
        }
        self.phase(Phase::Abort, Instant::now(), runtime.live.idle()).await;

        let overdue: Vec<_> = runtime.live.all().iter().map(|it| shown(it)).collect();
        let ending = runtime.live.all();
        runtime.gate.raise(Level::Killed);
        // Marked closed first: a connection in use is then cut, and nobody waits for its statement.
        runtime.store.close_work();
        for run in &ending {
            run.abort();
        }
        self.phase(Phase::Stop, Instant::now(), runtime.live.idle()).await;

        let stuck_runs = runtime.live.all();
        let keys: Vec<i64> = stuck_runs.iter().map(|it| it.key).collect();
        let stuck: Vec<_> = stuck_runs.iter().map(|it| shown(it)).collect();
        // By sets of ids: there can be a hundred thousand of each.
        let stuck_ids: HashSet<_> = stuck_runs.iter().map(|it| &*it.id).collect();
        let killed = overdue.into_iter().filter(|it| !stuck_ids.contains(&*it.id)).collect();
        let completed = runtime.live.ended() - ended_before;
        let left = runtime.live.left();
        let ending_ids: HashSet<_> = ending.iter().map(|it| &*it.id).collect();
        let suspended = left.iter().filter(|run| !ending_ids.contains(&*run.id)).map(|run| shown(run)).collect();

        let mut released = Err("there was no time left".to_owned());
        let release = self.budget.borrow().releases();
        self.phase(Phase::HandOff(left.len()), Instant::now(), async {
            released = self.hand_over(&keys, release).await;
        })
        .await;

        runtime.writer.stop();
        let mut unfinished_tasks = Vec::new();
        let now = Instant::now();
        let bound = self.budget.borrow().end_of(Phase::Background, now).saturating_duration_since(now);
        self.phase(Phase::Background, now, async {
            unfinished_tasks = self.background.join(bound).await;
        })
        .await;

        let closed = self.phase(Phase::Close, Instant::now(), runtime.store.close()).await;
        if released.is_ok() {
            self.presence.end();
        } else {
            self.presence.abandon();
        }
        runtime.gate.raise(Level::Closed);

        let report = ShutdownReport {
            state: ShutdownState::Closed,
            reason: self.budget.borrow().reason(),
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

    /// Waits for `work` within the phase's budget, counted from `begun`, and what is left of the
    /// total; a later call may shorten both meanwhile. Gives whether the work was done in time.
    async fn phase(&self, phase: Phase, begun: Instant, work: impl Future<Output = ()>) -> bool {
        let since = Instant::now();
        let mut budget = self.budget.subscribe();
        tokio::pin!(work);
        let done = loop {
            let end = budget.borrow_and_update().end_of(phase, begun);
            tokio::select! {
                biased;
                () = &mut work => break true,
                () = tokio::time::sleep_until(end) => break false,
                _ = budget.changed() => {}
            }
        };
        tracing::info!(target: "durable::shutdown", phase = phase.name(), elapsed = ?since.elapsed(), done);
        lock(&self.phases).push(PhaseReport { phase: phase.name(), elapsed: since.elapsed(), timed_out: !done });
        done
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
