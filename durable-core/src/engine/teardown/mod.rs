//! The shutdown: one list of phases, each with a bound, carried out by a task of the engine's own.

mod aborted;
mod leftovers;
mod phase_budget;
mod phases;
mod shutdown_hold;
mod shutdown_options;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use self::aborted::ReportOnDrop;
use self::phase_budget::Budget;
use self::shutdown_hold::ShutdownHolds;
pub use self::shutdown_options::{ShutdownOptions, ShutdownReason};
use crate::engine::heartbeat::LockFileKeeper;
use crate::engine::report::{PhaseReport, ShutdownOutcome, ShutdownReport};
use crate::engine::tasks::Background;
use crate::journal::current_engine;
use crate::runtime::Runtime;
use crate::runtime::panics::CatchPanic;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// The shutdown of one engine: requested once, carried out once, awaited by any number of callers.
#[derive(Debug)]
pub(super) struct Teardown {
    runtime: Arc<Runtime>,
    background: Arc<Background>,
    presence: Arc<LockFileKeeper>,
    ahead: ShutdownHolds,
    budget: watch::Sender<Budget>,
    report: watch::Sender<Option<Arc<ShutdownReport>>>,
    /// Threads that wait for the report.
    threads: Mutex<Vec<SyncSender<Arc<ShutdownReport>>>>,
    begun: AtomicBool,
    /// When it was, and what had happened before.
    since: OnceLock<StartTimes>,
    /// Phases as they end.
    phases: Mutex<Vec<PhaseReport>>,
}

/// Where a shutdown began.
#[derive(Debug)]
struct StartTimes {
    at: Instant,
    started_at: DateTime<Utc>,
    /// How many workflows had come to their end before.
    ended: u64,
}

impl Teardown {
    pub(super) fn new(runtime: Arc<Runtime>, background: Arc<Background>, presence: Arc<LockFileKeeper>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            background,
            presence,
            ahead: ShutdownHolds::default(),
            budget: watch::Sender::new(Budget::default()),
            report: watch::Sender::new(None),
            threads: Mutex::default(),
            begun: AtomicBool::new(false),
            since: OnceLock::new(),
            phases: Mutex::default(),
        })
    }

    /// Begins the shutdown, or shortens the one that goes on.
    pub(super) fn request(self: &Arc<Self>, options: ShutdownOptions) {
        let mut options = options.checked();
        options.reason = self.ahead.reason().unwrap_or(options.reason);
        self.budget.send_if_modified(|budget| budget.add(Instant::now(), options));
        // From here on no new work is taken, and the probes of load balancers are told so.
        self.runtime.shutdown.advance_to(EnginePhase::Quiesced);
        if !self.begun.swap(true, Ordering::SeqCst) {
            self.since();
            // Made before the task: the runtime may be gone, and drop the task without polling it.
            let last_word = ReportOnDrop(Arc::clone(self));
            // The task belongs to the engine: a caller who no longer waits stops nothing.
            self.runtime.tokio.spawn(async move {
                let last_word = last_word; // all of it is in the task from the start
                let teardown = &last_word.0;
                if let Err(panic) = CatchPanic(Box::pin(teardown.run_phases())).await {
                    teardown.runtime.note_panic(format!("the shutdown {panic}"));
                }
            });
        }
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Where it began: where this is asked first.
    fn since(&self) -> &StartTimes {
        let now = || StartTimes { at: Instant::now(), started_at: Utc::now(), ended: self.runtime.running.finish() };
        self.since.get_or_init(now)
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
            _ => Arc::new(ShutdownReport::of(ShutdownOutcome::Failed, ShutdownReason::Requested)), // cannot be: the sender is in `self`
        }
    }

    /// Where a thread waits for the report, whatever becomes of the runtime.
    pub(super) fn report_for_thread(&self) -> Receiver<Arc<ShutdownReport>> {
        let (sender, receiver) = sync_channel(1);
        let mut threads = lock(&self.threads); // held, so that it is published before this or after it
        match self.report.borrow().clone() {
            Some(report) => drop(sender.send(report)), // there is room for one
            None => threads.push(sender),
        }
        receiver
    }

    fn publish(&self, report: ShutdownReport) {
        let report = Arc::new(report);
        let threads = {
            let mut threads = lock(&self.threads);
            self.report.send_replace(Some(Arc::clone(&report)));
            std::mem::take(&mut *threads)
        };
        for thread in threads {
            let _ = thread.try_send(Arc::clone(&report)); // it may have lost its patience
        }
    }

    /// The last handle was dropped. Without a shutdown everything is dropped where it stands.
    pub(super) fn engine_dropped(&self) {
        if self.begun.swap(true, Ordering::SeqCst) {
            return;
        }
        let runs = self.runtime.running.all().len();
        if runs > 0 {
            tracing::warn!(target: "durable", workflows = runs, "the engine was dropped without `shutdown().await`; the next launch recovers what was running");
        }
        self.let_everything_go();
    }

    /// Drops everything where it stands, without waiting for anything.
    fn let_everything_go(&self) {
        let runtime = &self.runtime;
        current_engine::unregister(runtime);
        runtime.shutdown.advance_to(EnginePhase::Closing);
        runtime.store.close_work_pool();
        for run in runtime.running.all() {
            run.abort();
        }
        self.background.abort(EnginePhase::Closed);
        if runtime.blocking_steps.all().is_empty() {
            self.presence.keep_file();
        } else {
            self.presence.keep_until_exit(); // these cannot be dropped
        }
    }
}
