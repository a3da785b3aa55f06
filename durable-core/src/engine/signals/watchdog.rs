//! An engine whose shutdown the signals' thread leads: it begins, hurries and bounds it, without any
//! worker of the engine's own runtime.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::engine::app::Durable;
use crate::engine::signals::{Shared, Signal, Signals};
use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
use crate::runtime::Runtime;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// How long after its total a shutdown is waited for before the process is ended.
const GRACE: Duration = Duration::from_secs(2);
/// The exit code then: an internal error, by `sysexits.h`.
pub(super) const STUCK: i32 = 70;
/// How long running steps have once a second signal has come, and as long again for their bodies to be gone.
const HURRIED: Duration = Duration::from_secs(1);

/// One engine that the thread attends to.
pub(super) struct WatchedShutdown {
    runtime: Arc<Runtime>,
    teardown: Arc<Teardown>,
    /// The shutdown that the first signal begins; without one it only quiesces.
    shutdown: Option<ShutdownOptions>,
    /// How long everything may take from the first signal on.
    total: Duration,
    /// When the first signal came.
    since: OnceLock<Instant>,
}

impl WatchedShutdown {
    /// The first signal.
    pub(super) fn first(&self, signal: Signal) {
        let _ = self.since.set(Instant::now()); // set once: by the signal, or when it had come before
        self.runtime.shutdown.advance_to(EnginePhase::Quiesced);
        if let Some(options) = self.shutdown {
            self.teardown.request(options.reason(ShutdownReason::Signal(signal.number())));
        }
    }

    /// The second one.
    pub(super) fn second(&self, signal: Signal) {
        let mut hurried = ShutdownOptions::immediate().reason(ShutdownReason::Signal(signal.number()));
        (hurried.abort, hurried.stop) = (HURRIED, HURRIED);
        self.teardown.request(hurried);
    }

    /// When the process is to be ended, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.since.get()?;
        if self.is_closed() { None } else { since.checked_add(self.total.saturating_add(GRACE)) }
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    fn is_closed(&self) -> bool {
        self.runtime.shutdown.phase() >= EnginePhase::Closed
    }

    /// Says what did not come to its end.
    pub(super) fn log_unfinished(&self) {
        let runs = self.runtime.running.all();
        let names: Vec<String> = runs
            .iter()
            .take(10)
            .map(|run| {
                let execution = run.execution();
                let name = run.workflow;
                let at = execution.as_ref().and_then(|it| it.activity()).unwrap_or_else(|| "its own code".to_owned());
                format!("{name} {:?} in {at}", run.id)
            })
            .collect();
        tracing::error!(
            target: "durable::shutdown",
            app = %self.runtime.settings.name,
            phase = ?self.runtime.shutdown.phase(),
            workflows = runs.len(),
            "the shutdown did not come to its end within {:?} and {GRACE:?} more, so the process exits with code {STUCK}; nothing is lost. Something blocks the runtime's threads. Still here: {}",
            self.total,
            if names.is_empty() { "no workflow".to_owned() } else { names.join(", ") },
        );
    }
}

impl fmt::Debug for WatchedShutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attended({:?}, within {:?})", self.runtime.settings.name, self.total)
    }
}

/// For as long as this is held, signals lead an engine's shutdown: made by [`Signals::attend`].
///
/// Dropped before a signal came, it lets go of the engine. Once one has come it stays attended to
/// until it is closed, whatever becomes of this.
#[must_use = "the engine is attended to for as long as this is held"]
pub struct SignalGuard {
    attended: Arc<WatchedShutdown>,
    shared: Arc<Shared>,
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        if self.attended.since.get().is_none() || self.attended.is_closed() {
            lock(&self.shared.attended).retain(|it| !Arc::ptr_eq(it, &self.attended));
        }
    }
}

impl fmt::Debug for SignalGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attended.fmt(f)
    }
}

impl Signals {
    /// Ties an engine to the signals, for programs that have something of their own to do between
    /// the first signal and the engine's shutdown, such as to answer the requests that are under way:
    ///
    /// * the first signal quiesces the engine: it takes no new work, and its readiness goes off;
    /// * the second one begins its shutdown, if that has not begun, and hurries it: 1 s for running
    ///   steps to end and 1 s for the rest to be dropped;
    /// * when it is not closed `total` and 2 s after the first one, the process logs what is stuck
    ///   and exits with code 70. A blocked runtime cannot say so itself.
    ///
    /// The program awaits [`first`](Self::first), does what it has to do (and less of it after
    /// [`second`](Self::second)), and then shuts the engine down. `durable::axum::serve` is such a program.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use std::time::Duration;
    /// # async fn requests_under_way() {}
    /// # async fn example() -> durable::Result<()> {
    /// let signals = durable::signals::install()?;
    /// let app = durable::Durable::launch("my-app").await?;
    /// let attendance = signals.attend(&app, Duration::from_secs(28));
    /// signals.first().await;
    /// tokio::select! {
    ///     () = requests_under_way() => {}
    ///     () = tokio::time::sleep(Duration::from_secs(8)) => {}
    ///     _ = signals.second() => {}
    /// }
    /// let report = app.shutdown().await;
    /// std::process::exit(report.exit_code());
    /// # }
    /// ```
    pub fn guard(&self, app: &Durable, total: Duration) -> SignalGuard {
        self.guard_with(app, total, None)
    }

    /// The same; with options, the first signal begins the shutdown itself.
    pub(super) fn guard_with(&self, app: &Durable, total: Duration, shutdown: Option<ShutdownOptions>) -> SignalGuard {
        let attended = Arc::new(WatchedShutdown {
            runtime: Arc::clone(app.runtime()),
            teardown: Arc::clone(app.teardown()),
            shutdown,
            total,
            since: OnceLock::new(),
        });
        // Entered first, then looked at what has come: a signal between the two is seen by both, and
        // hearing of it twice changes nothing.
        let mut all = lock(&self.shared.attended);
        all.retain(|it| !it.is_closed()); // whose attendance was dropped on the way down
        all.push(Arc::clone(&attended));
        drop(all);
        let seen = *self.shared.seen.borrow();
        if let Some(first) = seen.first {
            attended.first(first);
        }
        if let Some((last, _)) = seen.last.filter(|_| seen.count >= 2) {
            attended.second(last);
        }
        self.shared.changed.notify_one();
        SignalGuard { attended, shared: Arc::clone(&self.shared) }
    }
}
