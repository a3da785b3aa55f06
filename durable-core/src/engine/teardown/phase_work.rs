//! What the shutdown does in each phase.

use std::time::Duration;

use futures_util::future::join;
use tokio::time::{Instant, sleep_until};

use crate::engine::lock_file::Application;
use crate::engine::report::{PoolReport, ShutdownOutcome, ShutdownReport};
use crate::engine::teardown::leftovers::Leftovers;
use crate::engine::teardown::phase_budget::PhaseStart;
use crate::engine::teardown::phase_runner::{self, PhaseWork};
use crate::engine::teardown::phase_table::{PHASES, PhaseSpec, TeardownPhase};
use crate::engine::teardown::{StartTimes, Teardown};
use crate::journal::current_engine;
use crate::runtime::Settings;
use crate::runtime::pending_notifications::RELEASED;
use crate::store::{Hint, PoolState, ReleaseRequest, ReleasedWorkflows};
use crate::types::sync::lock;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;
use crate::wait::waiters::ReleaseScope;

/// How long callers have to receive what has ended in the drain. It takes that long only if the database does
/// not answer, or a caller keeps a stream that it has begun to read and does not read on.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an aborted task is waited for. It takes that long only if it blocks its thread.
const ABORT_WAIT: Duration = Duration::from_millis(50);

impl Teardown {
    /// Carries out the shutdown, and publishes its report.
    pub(super) async fn shut_down(&self) {
        let runtime = &self.runtime;
        let &StartTimes { at: started, started_at, finished: finished_before } = self.start_times();
        current_engine::mark_closing(runtime);
        runtime.running.track_unfinished();
        let reason = self.budget.borrow().reason();
        tracing::info!(target: "durable::shutdown", app = %runtime.settings.name, %reason, workflows = runtime.running.all().len(), "shutting down");

        let mut shutdown = OngoingShutdown {
            teardown: self,
            started,
            leftovers: Leftovers::default(),
            released: Err("no time was left".to_owned()),
            releases: true,
            executor_removed: false,
        };
        phase_runner::run_phases(&mut shutdown, self, &self.budget, started).await;
        runtime.shutdown.advance_to(EnginePhase::Closed);

        let OngoingShutdown { leftovers, released, releases, .. } = shutdown;
        let mut report = ShutdownReport::of(ShutdownOutcome::Closed, self.budget.borrow().reason());
        (report.started_at, report.elapsed) = (started_at, started.elapsed());
        report.phases = std::mem::take(&mut *lock(&self.phases));
        report.completed = runtime.running.finished_count() - finished_before;
        report.returned_claims = runtime.queues.returned();
        report.released_without_task = runtime.running.released_without_task();
        leftovers.write_to(&mut report, released.is_ok() && releases);
        report.released = released;
        report.background = self.background.report();
        report.pools = self.pools();
        report.panics = self.take_panics();
        tracing::info!(target: "durable::shutdown", %report);
        current_engine::mark_closed(runtime);
        self.publish(report);
    }

    fn application(&self) -> Application {
        let Settings { name, schema, .. } = &self.runtime.settings;
        Application { name: name.clone(), location: self.runtime.store.location(), schema: schema.clone() }
    }

    fn pools(&self) -> Vec<PoolReport> {
        let report = |it: PoolState| PoolReport { name: it.name.into(), closed: it.open == 0, outstanding: it.held };
        self.runtime.store.pools().into_iter().map(report).collect()
    }

    pub(super) fn take_panics(&self) -> Vec<String> {
        let mut panics = std::mem::take(&mut *lock(&self.runtime.panics));
        panics.extend(self.background.panics());
        panics
    }
}

/// A shutdown on its way through the phases.
struct OngoingShutdown<'a> {
    teardown: &'a Teardown,
    started: Instant,
    leftovers: Leftovers,
    /// How many unfinished workflows were released, or why none were.
    released: Result<ReleasedWorkflows, String>,
    /// Whether unfinished workflows were to be released at all.
    releases: bool,
    /// Whether the executor's row was deleted.
    executor_removed: bool,
}

impl PhaseWork for OngoingShutdown<'_> {
    fn enter(&mut self, spec: &PhaseSpec) {
        self.teardown.runtime.shutdown.advance_to(spec.engine_phase);
    }

    fn unfinished(&self) -> usize {
        self.leftovers.suspended_total()
    }

    async fn work(&mut self, phase: TeardownPhase) {
        match phase {
            TeardownPhase::Quiesce => self.quiesce().await,
            TeardownPhase::Drain => self.drain().await,
            TeardownPhase::Abort => self.abort().await,
            TeardownPhase::Stop => self.stop().await,
            TeardownPhase::HandOff => self.released = self.hand_off().await,
            TeardownPhase::Background => self.end_background().await,
            TeardownPhase::Close => self.teardown.runtime.store.close().await,
        }
    }

    async fn leave(&mut self, phase: TeardownPhase) {
        let Teardown { runtime, background, .. } = self.teardown;
        match phase {
            TeardownPhase::Quiesce | TeardownPhase::Drain => {}
            TeardownPhase::Abort => {
                // What each step does has to be read before it is dropped.
                self.leftovers.add_overdue(&runtime.running.all());
                background.abort(EnginePhase::Draining);
            }
            TeardownPhase::Stop => {
                // Workflow bodies no longer need these tasks, and nothing may be claimed any more.
                background.abort(EnginePhase::Stopping);
                let _ = tokio::time::timeout(ABORT_WAIT, background.wait_for_end(EnginePhase::Stopping)).await;
                let (running, steps) = (runtime.running.all(), runtime.blocking_steps.all());
                self.leftovers.add_left(&running, &steps, runtime.running.take_unfinished());
            }
            TeardownPhase::HandOff => self.releases = self.teardown.budget.borrow().releases(),
            TeardownPhase::Background => background.abort(EnginePhase::Closed),
            TeardownPhase::Close => {
                self.settle_lock_file();
                // An aborted task is reported as dropped once the runtime has polled it again.
                let _ = tokio::time::timeout(ABORT_WAIT, background.wait_for_end(EnginePhase::Closed)).await;
            }
        }
    }
}

impl OngoingShutdown<'_> {
    /// A claim under way may finish; what it claimed is returned. The executor is marked as leaving, so
    /// that a launch under the same name does not take over what this process still runs.
    async fn quiesce(&self) {
        let runtime = &self.teardown.runtime;
        let mark_leaving = async {
            if let Err(error) = runtime.store.mark_leaving(runtime.fence()).await {
                tracing::warn!(target: "durable::shutdown", executor_id = %runtime.settings.executor, %error, "cannot mark this executor as leaving");
            }
        };
        join(mark_leaving, self.teardown.background.wait_for_end(EnginePhase::Quiesced)).await;
    }

    /// Running workflows may finish; those with a wait that would outlast the drain are suspended.
    async fn drain(&self) {
        let runtime = &self.teardown.runtime;
        let all_ended = async {
            let tasks = self.teardown.background.wait_for_end(EnginePhase::Draining);
            join(runtime.running.wait_until_empty(), tasks).await;
            // What has ended here is on its way to the callers that wait for it.
            let _ = tokio::time::timeout(SETTLE_TIMEOUT, runtime.waiters.settle()).await;
        };
        tokio::select! {
            () = all_ended => {}
            () = self.release_waits() => {}
        }
    }

    /// Suspends workflows whose wait outlasts the drain, or depends on others. It never returns.
    async fn release_waits(&self) {
        let runtime = &self.teardown.runtime;
        runtime.waiters.release(ReleaseScope::WorkflowResults);
        let start = PhaseStart { shutdown: self.started, phase: Instant::now(), unfinished: 0 };
        let drain = &PHASES[TeardownPhase::Drain as usize];
        let mut budget = self.teardown.budget.subscribe();
        let mut in_grace = true;
        loop {
            let (drain_end, grace_end) = {
                let budget = budget.borrow_and_update();
                (budget.deadline(drain, start), budget.wait_grace_deadline(self.started))
            };
            let now = Instant::now();
            runtime.timers.release(runtime.timers.clock.after(drain_end.saturating_duration_since(now)));
            if in_grace && grace_end <= now {
                runtime.waiters.release(ReleaseScope::Workflows);
                in_grace = false;
            }
            tokio::select! {
                () = sleep_until(grace_end), if in_grace => {}
                _ = budget.changed() => {}
            }
        }
    }

    /// Ends every wait and every pause between two attempts; running steps are asked to stop and may finish.
    async fn abort(&self) {
        let runtime = &self.teardown.runtime;
        runtime.timers.release(Timestamp::UNIX_EPOCH);
        runtime.waiters.release(ReleaseScope::All);
        for run in runtime.running.all() {
            run.begin_abort();
        }
        let tasks = self.teardown.background.wait_for_end(EnginePhase::Draining);
        join(runtime.running.wait_until_empty(), tasks).await;
        // Blocking steps whose attempts were given up earlier: they may be about to return.
        runtime.blocking_steps.wait_until_empty().await;
    }

    /// Drops what still runs, then lets the tasks end that served it.
    async fn stop(&self) {
        let runtime = &self.teardown.runtime;
        // Marked closed first: that cuts connections in use, so their statements are not waited for.
        runtime.store.close_work_pool();
        for run in runtime.running.all() {
            run.abort();
        }
        let bodies_and_writer = async {
            runtime.running.wait_until_empty().await;
            runtime.writer.stop();
        };
        let calls_and_tasks =
            join(runtime.calls.wait_until_empty(), self.teardown.background.wait_for_end(EnginePhase::Stopping));
        join(bodies_and_writer, calls_and_tasks).await;
    }

    /// Releases unfinished workflows, except those of stuck bodies, and notifies other processes.
    async fn hand_off(&self) -> Result<ReleasedWorkflows, String> {
        let runtime = &self.teardown.runtime;
        if !self.teardown.budget.borrow().releases() {
            return Ok(ReleasedWorkflows::default());
        }
        let stuck = self.leftovers.stuck_keys();
        let released = runtime
            .store
            .release(runtime.fence(), ReleaseRequest::AllExcept(&stuck))
            .await
            .map_err(|error| error.to_string())?;
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
            // Other executors find the released workflows at their next heartbeat.
            tracing::debug!(target: "durable::shutdown", %error, "cannot notify other processes");
        }
        Ok(released)
    }

    /// Waits for the engine's own tasks, then deletes the executor's row if nothing of it is left.
    async fn end_background(&mut self) {
        let runtime = &self.teardown.runtime;
        self.teardown.background.wait_for_end(EnginePhase::Closed).await;
        if self.released.is_ok() && self.releases && !self.leftovers.is_anything_stuck() {
            match runtime.store.remove_executor(runtime.fence()).await {
                Ok(()) => self.executor_removed = true,
                Err(error) => {
                    tracing::warn!(target: "durable::shutdown", executor_id = %runtime.settings.executor, %error, "cannot delete this executor's row; other executors wait for its lease to expire");
                }
            }
        }
    }

    /// Decides what becomes of the executor's lock file, by which other processes see that it is dead.
    fn settle_lock_file(&self) {
        let lock_file = &self.teardown.lock_file;
        if self.executor_removed {
            lock_file.remove();
        } else if self.leftovers.is_anything_stuck() {
            lock_file.hold_until_exit();
        } else if !self.releases {
            lock_file.hold_until_restart(&self.teardown.application());
        } else {
            lock_file.unlock();
        }
    }
}
