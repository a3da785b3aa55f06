//! The phases, one after the other.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use tokio::time::{Instant, sleep_until};

use crate::engine::heartbeat::Application;
use crate::engine::report::PoolReport;
use crate::engine::teardown::leftovers::Leftovers;
use crate::engine::teardown::phase_budget::Phase;
use crate::engine::teardown::{PhaseReport, ShutdownOutcome, ShutdownReport, StartTimes, Teardown};
use crate::journal::current_engine;
use crate::runtime::Settings;
use crate::runtime::panics::CatchPanic;
use crate::runtime::pending_notifications::RELEASED;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::store::{Hint, PoolState, ReleasedWorkflows};
use crate::types::keys::WorkflowKey;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;
use crate::wait::waiters::ReleaseScope;

/// How often it is said what is waited for.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long it takes a task that is dropped to be gone, if its thread lets it.
const SHORT_WAIT: Duration = Duration::from_millis(50);
/// How many workflows are named then.
const NAMED: usize = 10;

impl Teardown {
    pub(super) async fn run_phases(&self) {
        let runtime = &self.runtime;
        let &StartTimes { at: started, started_at, ended: ended_before } = self.since();
        current_engine::mark_closing(runtime);
        runtime.running.track_unfinished();
        let reason = self.budget.borrow().reason();
        tracing::info!(target: "durable::shutdown", app = %runtime.settings.name, %reason, running = runtime.running.all().len(), "shutting down");

        runtime.shutdown.advance_to(EnginePhase::Quiesced);
        self.phase(Phase::Quiesce, started, self.quiesce()).await;

        runtime.shutdown.advance_to(EnginePhase::Draining);
        let drain = async {
            tokio::select! {
                () = runtime.running.wait_until_empty() => {}
                () = self.let_go_of_waits(started) => {}
            }
        };
        // The drain's time began with the first word.
        self.phase(Phase::Drain, started, drain).await;

        runtime.shutdown.advance_to(EnginePhase::Aborting);
        runtime.timers.release(0);
        runtime.waiters.release(ReleaseScope::Everybody);
        for run in runtime.running.all() {
            run.begin_abort();
        }
        self.phase(Phase::Abort, Instant::now(), runtime.running.wait_until_empty()).await;

        let mut findings = Leftovers::default();
        findings.add_overdue(&runtime.running.all());
        self.phase(Phase::Stop, Instant::now(), self.stop()).await;
        // What works for the bodies is not needed any more, and what claims must not claim any more.
        self.background.abort(EnginePhase::Stopping);
        let _ = tokio::time::timeout(SHORT_WAIT, self.background.wait_for_end(EnginePhase::Stopping)).await;
        findings.add_left(&runtime.running.all(), &runtime.blocking_steps.all(), runtime.running.take_unfinished());

        let mut released = Err("there was no time left".to_owned());
        let hand_off = async { released = self.hand_over(findings.stuck_keys()).await };
        self.phase(Phase::HandOff(findings.suspended_total()), Instant::now(), hand_off).await;

        runtime.shutdown.advance_to(EnginePhase::Closing);
        let releases = self.budget.borrow().releases();
        let mut signed_off = false;
        let signs_off = released.is_ok() && releases && !findings.is_anything_stuck();
        let background = async {
            self.background.wait_for_end(EnginePhase::Closed).await;
            if signs_off {
                let gone = runtime.store.remove_executor(runtime.fence()).await;
                signed_off = gone.inspect_err(|error| tracing::warn!(target: "durable::shutdown", %error, "this executor's row stays; others wait for its lease")).is_ok();
            }
        };
        self.phase(Phase::Background, Instant::now(), background).await;
        self.background.abort(EnginePhase::Closed);

        self.phase(Phase::Close, Instant::now(), runtime.store.close()).await;
        if signed_off {
            self.presence.release_lock_file();
        } else if findings.is_anything_stuck() {
            self.presence.keep_until_exit();
        } else if !releases {
            self.presence.keep_for_restart(&self.application());
        } else {
            self.presence.keep_file();
        }
        // A task that was dropped a moment ago says so when it is next looked at.
        let _ = tokio::time::timeout(SHORT_WAIT, self.background.wait_for_end(EnginePhase::Closed)).await;
        runtime.shutdown.advance_to(EnginePhase::Closed);

        let mut report = ShutdownReport::of(ShutdownOutcome::Closed, self.budget.borrow().reason());
        (report.started_at, report.elapsed) = (started_at, started.elapsed());
        report.phases = std::mem::take(&mut *lock(&self.phases));
        report.completed = runtime.running.finish() - ended_before;
        report.returned_claims = runtime.queues.returned();
        findings.write_to(&mut report, released.is_ok() && releases);
        report.released = released;
        report.background = self.background.report();
        report.pools = self.pools();
        report.panics = self.take_panics();
        tracing::info!(target: "durable::shutdown", %report);
        current_engine::mark_closed(runtime);
        self.publish(report);
    }

    /// Nothing is taken any more. A claim that is under way comes to its end, and is given back; and
    /// whoever is launched under the same name must not take what this process still runs.
    async fn quiesce(&self) {
        let announced = async {
            if let Err(error) = self.runtime.store.mark_leaving(self.runtime.fence()).await {
                tracing::warn!(target: "durable::shutdown", %error, "could not announce the shutdown");
            }
        };
        join(announced, self.background.wait_for_end(EnginePhase::Quiesced)).await;
    }

    /// Lets go of what waits for longer than the drain lasts, or for others. It never returns.
    async fn let_go_of_waits(&self, begun: Instant) {
        let runtime = &self.runtime;
        runtime.waiters.release(ReleaseScope::Parents);
        let mut budget = self.budget.subscribe();
        let mut graced = true;
        loop {
            let (drained_by, grace) = {
                let budget = budget.borrow_and_update();
                (budget.end_of(Phase::Drain, begun), budget.end_of_grace(begun))
            };
            let now = Instant::now();
            runtime.timers.release(runtime.timers.clock.after(drained_by.saturating_duration_since(now)));
            if graced && grace <= now {
                runtime.waiters.release(ReleaseScope::Bodies);
                graced = false;
            }
            tokio::select! {
                () = sleep_until(grace), if graced => {}
                _ = budget.changed() => {}
            }
        }
    }

    /// Drops what still runs, and then lets the tasks end that worked for it.
    async fn stop(&self) {
        let runtime = &self.runtime;
        runtime.shutdown.advance_to(EnginePhase::Stopping);
        // Marked closed first: a connection in use is then cut, and nobody waits for its statement.
        runtime.store.close_work_pool();
        for run in runtime.running.all() {
            run.abort();
        }
        join(
            async {
                runtime.running.wait_until_empty().await;
                runtime.writer.stop();
            },
            self.background.wait_for_end(EnginePhase::Stopping),
        )
        .await;
    }

    /// Gives back what is left, and tells the others, so that they need not wait for anything.
    async fn hand_over(&self, stuck: Vec<WorkflowKey>) -> Result<ReleasedWorkflows, String> {
        let runtime = &self.runtime;
        if !self.budget.borrow().releases() {
            return Ok(ReleasedWorkflows::default());
        }
        let released = runtime.store.release(runtime.fence(), &stuck).await.map_err(|error| error.to_string())?;
        let mut hints = runtime.notifications.take();
        if released.direct > 0 {
            hints.push(Hint::for_queue(RELEASED));
        }
        if released.queued > 0 {
            hints.extend(runtime.queues.names().iter().map(|name| Hint::for_queue(name)));
        }
        if runtime.store.has_others()
            && !hints.is_empty()
            && let Err(error) = runtime.store.notify(&hints).await
        {
            // They find it with their next heartbeat.
            tracing::debug!(target: "durable::shutdown", %error, "telling other processes failed");
        }
        Ok(released)
    }

    /// Waits for `work` within the phase's budget, counted from `begun`, and what is left of the
    /// total; a later call may shorten both meanwhile. A panic ends this phase and no other.
    async fn phase(&self, phase: Phase, begun: Instant, work: impl Future<Output = ()> + Send) {
        let since = Instant::now();
        let mut budget = self.budget.subscribe();
        let mut work = CatchPanic(Box::pin(work));
        let mut progress = since + PROGRESS;
        let done = loop {
            let end = budget.borrow_and_update().end_of(phase, begun);
            tokio::select! {
                biased;
                done = &mut work => break Some(done),
                () = sleep_until(end) => break None,
                () = sleep_until(progress), if matches!(phase, Phase::Drain | Phase::Abort) => {
                    progress += PROGRESS;
                    self.say_what_is_waited_for(phase, end);
                }
                _ = budget.changed() => {}
            }
        };
        let (timed_out, panicked) = (done.is_none(), matches!(done, Some(Err(_))));
        if let Some(Err(panic)) = done {
            tracing::error!(target: "durable::shutdown", phase = phase.name(), %panic, "a phase of the shutdown panicked; the next one begins");
            self.runtime.note_panic(format!("the phase {:?} of the shutdown {panic}", phase.name()));
        }
        let elapsed = since.elapsed();
        tracing::info!(target: "durable::shutdown", phase = phase.name(), ?elapsed, timed_out, "a phase has ended");
        lock(&self.phases).push(PhaseReport { phase: phase.name(), elapsed, timed_out, panicked });
    }

    fn say_what_is_waited_for(&self, phase: Phase, end: Instant) {
        let runs = self.runtime.running.all();
        let doing = |run: &Arc<RunningWorkflow>| {
            let at = run.execution().and_then(|it| it.activity()).unwrap_or_else(|| "working".to_owned());
            format!("{} {:?}: {at}", run.workflow, &*run.id)
        };
        let named: Vec<String> = runs.iter().take(NAMED).map(doing).collect();
        let left = end.saturating_duration_since(Instant::now());
        tracing::info!(target: "durable::shutdown", phase = phase.name(), running = runs.len(), ?left, "waiting for: {}", named.join("; "));
    }

    fn application(&self) -> Application {
        let Settings { name, schema, .. } = &self.runtime.settings;
        Application { name: name.clone(), location: self.runtime.store.location(), schema: schema.clone() }
    }

    fn pools(&self) -> Vec<PoolReport> {
        let report = |it: PoolState| PoolReport { name: it.name, closed: it.open == 0, outstanding: it.held };
        self.runtime.store.pools().into_iter().map(report).collect()
    }

    pub(super) fn take_panics(&self) -> Vec<String> {
        let mut panics = std::mem::take(&mut *lock(&self.runtime.panics));
        panics.extend(self.background.panics());
        panics
    }
}
