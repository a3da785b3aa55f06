//! Ties an engine to the signals: the signal thread starts its shutdown, shortens it, and ends the process if
//! it takes too long. None of that needs a worker of the engine's runtime.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::engine::durable::Durable;
use crate::engine::signals::{Signal, SignalState, Signals};
use crate::engine::teardown::progress_log::describe;
use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
use crate::runtime::Runtime;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// How much longer than its total a shutdown may take before the process is ended.
const WATCHDOG_MARGIN: Duration = Duration::from_secs(2);
/// The exit code of that: `EX_SOFTWARE` of `sysexits.h`, an internal error.
pub(super) const STUCK_EXIT_CODE: i32 = 70;
/// The budgets of abort and of stop after a second signal.
const SHORTENED_BUDGET: Duration = Duration::from_secs(1);

/// An engine that the signal thread shuts down.
pub(super) struct GuardedEngine {
    runtime: Arc<Runtime>,
    teardown: Arc<Teardown>,
    /// The shutdown that the first signal requests. Without one, the first signal only quiesces.
    shutdown: Option<ShutdownOptions>,
    /// How long everything may take, counted from the first signal.
    total: Duration,
    /// When the first signal arrived.
    signaled_at: OnceLock<Instant>,
}

impl GuardedEngine {
    /// The first signal has arrived.
    pub(super) fn first(&self, signal: Signal) {
        let _ = self.signaled_at.set(Instant::now()); // a second call for the same signal changes nothing
        self.runtime.shutdown.advance_to(EnginePhase::Quiesced);
        if let Some(options) = self.shutdown {
            self.teardown.request(options.reason(ShutdownReason::Signal(signal.number())));
        }
    }

    /// The second signal has arrived.
    pub(super) fn second(&self, signal: Signal) {
        let options = ShutdownOptions::immediate().abort(SHORTENED_BUDGET).stop(SHORTENED_BUDGET);
        self.teardown.request(options.reason(ShutdownReason::Signal(signal.number())));
    }

    /// When the watchdog ends the process; `None` before the first signal and once the engine is closed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let signaled_at = self.signaled_at.get()?;
        if self.is_closed() { None } else { signaled_at.checked_add(self.total.saturating_add(WATCHDOG_MARGIN)) }
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    fn is_closed(&self) -> bool {
        self.runtime.shutdown.phase() >= EnginePhase::Closed
    }

    /// Logs what keeps the shutdown from ending.
    pub(super) fn log_overdue(&self) {
        let running = self.runtime.running.all();
        tracing::error!(
            target: "durable::shutdown",
            app = %self.runtime.settings.name,
            phase = ?self.runtime.shutdown.phase(),
            workflows = running.len(),
            "the shutdown did not finish within {:?} and {WATCHDOG_MARGIN:?} more, so the process exits with code {STUCK_EXIT_CODE}; nothing is lost. Something blocks the runtime's threads. Still running: {}",
            self.total,
            describe(&running),
        );
    }
}

impl fmt::Debug for GuardedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalGuard({:?}, within {:?})", self.runtime.settings.name, self.total)
    }
}

/// As long as it is held, signals control an engine's shutdown. Made by [`Signals::guard`].
///
/// Dropping it before the first signal detaches the engine from the signals. Once a signal has arrived,
/// dropping it changes nothing: the engine stays attached until it is closed.
#[must_use = "the engine is tied to the signals as long as this is held"]
pub struct SignalGuard {
    engine: Arc<GuardedEngine>,
    state: Arc<SignalState>,
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        if self.engine.signaled_at.get().is_none() || self.engine.is_closed() {
            lock(&self.state.engines).retain(|it| !Arc::ptr_eq(it, &self.engine));
        }
    }
}

impl fmt::Debug for SignalGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.fmt(f)
    }
}

impl Signals {
    /// Ties an engine to the signals, for programs that do something of their own between the first signal
    /// and the engine's shutdown, such as finishing open requests:
    ///
    /// * the first signal quiesces the engine: it takes no new work, and its readiness goes off;
    /// * the second one starts its shutdown, or shortens it: 1 s for running steps to finish, and 1 s for
    ///   what still runs to be dropped;
    /// * if the engine is not closed `total` and 2 s after the first signal, the process logs what is stuck
    ///   and exits with code 70. That also works if all threads of the runtime are blocked.
    ///
    /// The program awaits [`first`](Self::first), does what it has to do (less of it after
    /// [`second`](Self::second)), and then shuts the engine down. `durable::axum::serve` is built on this.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use std::time::Duration;
    /// # async fn open_requests() {}
    /// # async fn example() -> durable::Result<()> {
    /// let signals = durable::signals::install()?;
    /// let app = durable::Durable::launch("my-app").await?;
    /// let guard = signals.guard(&app, Duration::from_secs(28));
    /// signals.first().await;
    /// tokio::select! {
    ///     () = open_requests() => {}
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

    /// The same; with options, the first signal requests the shutdown itself.
    pub(in crate::engine) fn guard_with(
        &self,
        app: &Durable,
        total: Duration,
        shutdown: Option<ShutdownOptions>,
    ) -> SignalGuard {
        let engine = Arc::new(GuardedEngine {
            runtime: Arc::clone(app.runtime()),
            teardown: Arc::clone(app.teardown()),
            shutdown,
            total,
            signaled_at: OnceLock::new(),
        });
        // Listed first, then checked for signals that arrived before. A signal in between reaches the engine
        // twice, which changes nothing.
        let mut engines = lock(&self.state.engines);
        engines.retain(|it| !it.is_closed()); // those whose guard was dropped during the shutdown
        engines.push(Arc::clone(&engine));
        drop(engines);
        let received = *self.state.received.borrow();
        if let Some(first) = received.first {
            engine.first(first);
        }
        if let Some((last, _)) = received.last.filter(|_| received.count >= 2) {
            engine.second(last);
        }
        self.state.changed.notify_one();
        SignalGuard { engine, state: Arc::clone(&self.state) }
    }
}
