//! The shutdown: a table of phases, each with a deadline, carried out by a task that no caller owns.

mod interrupted;
mod leftovers;
mod phase_budget;
mod phase_runner;
mod phase_table;
mod phase_work;
pub(super) mod progress_log;
mod shutdown_hold;
mod shutdown_options;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use self::interrupted::ReportOnDrop;
use self::phase_budget::ShutdownBudget;
use self::shutdown_hold::ShutdownHolds;
pub use self::shutdown_options::{ShutdownOptions, ShutdownReason};
use crate::engine::lock_file::LockFileKeeper;
use crate::engine::report::{PhaseReport, ShutdownOutcome, ShutdownReport};
use crate::engine::tasks::Background;
use crate::journal::current_engine;
use crate::runtime::Runtime;
use crate::runtime::panics::CatchPanic;
use crate::types::sync::{Mutex, lock};
use crate::wait::shutdown_phase::EnginePhase;

/// The shutdown of one engine: requested by any number of callers, carried out once, awaited by any
/// number of callers.
#[derive(Debug)]
pub(super) struct Teardown {
    runtime: Arc<Runtime>,
    background: Arc<Background>,
    lock_file: Arc<LockFileKeeper>,
    holds: ShutdownHolds,
    budget: watch::Sender<ShutdownBudget>,
    report: watch::Sender<Option<Arc<ShutdownReport>>>,
    /// Threads that block until the report is there.
    blocked_threads: Mutex<Vec<SyncSender<Arc<ShutdownReport>>>>,
    started: AtomicBool,
    start_times: OnceLock<StartTimes>,
    /// The phases that have ended.
    phases: Mutex<Vec<PhaseReport>>,
}

/// When a shutdown started.
#[derive(Debug)]
struct StartTimes {
    at: Instant,
    started_at: DateTime<Utc>,
    /// The number of workflows that had finished before.
    finished: u64,
}

impl Teardown {
    pub(super) fn new(runtime: Arc<Runtime>, background: Arc<Background>, lock_file: Arc<LockFileKeeper>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            background,
            lock_file,
            holds: ShutdownHolds::default(),
            budget: watch::Sender::new(ShutdownBudget::default()),
            report: watch::Sender::new(None),
            blocked_threads: Mutex::default(),
            started: AtomicBool::new(false),
            start_times: OnceLock::new(),
            phases: Mutex::default(),
        })
    }

    /// The background tasks.
    pub(super) fn background(&self) -> &Background {
        &self.background
    }

    /// Starts the shutdown, or shortens the one under way.
    pub(super) fn request(self: &Arc<Self>, options: ShutdownOptions) {
        let mut options = options.checked();
        options.reason = self.holds.reason().unwrap_or(options.reason);
        self.budget.send_if_modified(|budget| budget.add(Instant::now(), options));
        // Before the task runs: from here on no new work is taken, and readiness is off.
        self.runtime.shutdown.advance_to(EnginePhase::Quiesced);
        if !self.started.swap(true, Ordering::SeqCst) {
            self.start_times();
            // Created before the task: a runtime that has shut down drops the task without polling it.
            let report_on_drop = ReportOnDrop(Arc::clone(self));
            // A task of its own: a caller that is dropped does not cancel the shutdown.
            self.runtime.tokio.spawn(async move {
                let report_on_drop = report_on_drop; // moves the whole guard into the task
                let teardown = &report_on_drop.0;
                if let Err(panic) = CatchPanic(Box::pin(teardown.shut_down())).await {
                    teardown.runtime.note_panic(format!("the shutdown {panic}"));
                }
            });
        }
    }

    fn has_started(&self) -> bool {
        self.started.load(Ordering::SeqCst)
    }

    /// When it started: the time of the first call of this.
    fn start_times(&self) -> &StartTimes {
        let finished = self.runtime.running.finished_count();
        let now = || StartTimes { at: Instant::now(), started_at: Utc::now(), finished };
        self.start_times.get_or_init(now)
    }

    /// Returns once a shutdown was requested.
    pub(super) async fn requested(&self) {
        let _ = self.budget.subscribe().wait_for(ShutdownBudget::is_requested).await.map(drop); // the sender is in `self`
    }

    /// Waits for the report.
    pub(super) async fn report(&self) -> Arc<ShutdownReport> {
        let mut receiver = self.report.subscribe();
        match receiver.wait_for(Option::is_some).await.map(|it| it.clone()) {
            Ok(Some(report)) => report,
            _ => Arc::new(ShutdownReport::of(ShutdownOutcome::Failed, ShutdownReason::Requested)), // cannot be: the sender is in `self`
        }
    }

    /// A channel that gives a blocked thread the report, even if the runtime shuts down.
    pub(super) fn report_for_thread(&self) -> Receiver<Arc<ShutdownReport>> {
        let (sender, receiver) = sync_channel(1);
        let mut threads = lock(&self.blocked_threads); // held: `publish` comes before this or after it
        match self.report.borrow().clone() {
            Some(report) => drop(sender.send(report)), // the channel has room for one
            None => threads.push(sender),
        }
        receiver
    }

    fn publish(&self, report: ShutdownReport) {
        let report = Arc::new(report);
        let threads = {
            let mut threads = lock(&self.blocked_threads);
            self.report.send_replace(Some(Arc::clone(&report)));
            std::mem::take(&mut *threads)
        };
        for thread in threads {
            let _ = thread.try_send(Arc::clone(&report)); // its wait may have timed out
        }
    }

    /// The last handle was dropped: without a shutdown before it, everything is dropped as it is.
    pub(super) fn engine_dropped(&self) {
        if self.started.swap(true, Ordering::SeqCst) {
            return;
        }
        let running = self.runtime.running.unended_count();
        if running > 0 {
            tracing::warn!(target: "durable", app = %self.runtime.settings.name, workflows = running, "the engine was dropped without `shutdown().await`; the next launch recovers the running workflows");
        }
        self.drop_everything();
    }

    /// Drops everything as it is, without waiting for anything.
    fn drop_everything(&self) {
        let runtime = &self.runtime;
        current_engine::unregister(runtime);
        runtime.shutdown.advance_to(EnginePhase::Closing);
        runtime.store.close_work_pool();
        for run in runtime.running.all() {
            run.abort();
        }
        self.background.abort(EnginePhase::Closed);
        if runtime.blocking_steps.all().is_empty() {
            self.lock_file.unlock();
        } else {
            self.lock_file.hold_until_exit(); // blocking steps cannot be dropped
        }
    }
}

#[cfg(test)]
mod phase_properties;
