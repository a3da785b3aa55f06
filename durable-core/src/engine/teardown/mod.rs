//! The shutdown: one list of phases, each with a bound, carried out by a task of the engine's own.

mod budget;
mod findings;
mod options;
mod phases;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

use self::budget::Budget;
pub use self::options::{ShutdownOptions, ShutdownReason};
use super::background::Background;
use super::presence::Presence;
use super::report::{PhaseReport, ShutdownReport, ShutdownState};
use crate::journal::current;
use crate::journal::level::Level;
use crate::journal::panics::Watched;
use crate::journal::runtime::Runtime;

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
            // Made before the task: the runtime may be gone, and drop the task without polling it.
            let last_word = LastWord(Arc::clone(self));
            // The task belongs to the engine: a caller who no longer waits stops nothing.
            self.runtime.tokio.spawn(async move {
                let last_word = last_word; // all of it is in the task from the start
                let teardown = &last_word.0;
                if let Err(panic) = Watched(Box::pin(teardown.carry_out())).await {
                    teardown.runtime.note_panic(format!("the shutdown {panic}"));
                }
            });
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
        let runs = self.runtime.live.all().len();
        if runs > 0 {
            tracing::warn!(target: "durable", workflows = runs, "the engine was dropped without `shutdown().await`; the next launch recovers what was running");
        }
        self.let_everything_go();
    }

    /// Drops everything where it stands, without waiting for anything.
    fn let_everything_go(&self) {
        let runtime = &self.runtime;
        current::remove(runtime);
        runtime.gate.raise(Level::Closing);
        runtime.store.close_work();
        for run in runtime.live.all() {
            run.abort();
        }
        self.background.abort(Level::Closed);
        if runtime.threads.all().is_empty() {
            self.presence.abandon();
        } else {
            self.presence.keep(); // these cannot be dropped
        }
    }
}

/// However the task of the shutdown ends, its callers hear of it.
struct LastWord(Arc<Teardown>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let teardown = &self.0;
        current::has_left(&teardown.runtime);
        if teardown.report.borrow().is_some() {
            return;
        }
        teardown.let_everything_go();
        teardown.runtime.gate.raise(Level::Closed);
        let reason = teardown.budget.borrow().reason();
        let mut report = ShutdownReport::of(ShutdownState::Failed, reason);
        report.panics = teardown.take_panics();
        report.background = teardown.background.report();
        tracing::error!(target: "durable::shutdown", %report, "the shutdown was cut off; the next launch recovers what was running");
        teardown.report.send_replace(Some(Arc::new(report)));
    }
}
