//! How a program shuts its engine down: at once, on request, on a signal, or when no work is left.

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::durable::Durable;
use crate::engine::idle;
use crate::engine::readiness::{LEASE_NOT_CONFIRMED, Readiness};
use crate::engine::report::{ShutdownOutcome, ShutdownReport};
use crate::engine::signals;
use crate::engine::teardown::{ShutdownOptions, ShutdownReason};
use crate::journal::context::Context;
use crate::store::BoxFuture;
use crate::wait::shutdown_phase::EnginePhase;

/// A run until no work is left, made by [`Durable::run_until_idle`]. Await it.
#[must_use = "nothing is waited for until it is awaited"]
#[derive(Debug)]
pub struct RunUntilIdle {
    app: Durable,
    delayed: bool,
}

impl RunUntilIdle {
    /// Does not wait for workflows that are `DELAYED`: they are left for a later run, or for another process.
    pub fn ignore_delayed(mut self) -> Self {
        self.delayed = false;
        self
    }
}

impl IntoFuture for RunUntilIdle {
    type Output = Arc<ShutdownReport>;
    type IntoFuture = BoxFuture<'static, Arc<ShutdownReport>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { app, delayed } = self;
            let options = ShutdownOptions::default().reason(ShutdownReason::Idle);
            if Context::here().is_some() {
                return app.shutdown_with(options).await;
            }
            tokio::select! {
                biased;
                () = app.teardown().requested() => app.teardown().report().await,
                () = idle::wait_until_idle(app.runtime(), delayed) => app.shutdown_with(options).await,
            }
        })
    }
}

/// How much longer than the total [`Durable::shutdown_blocking`] waits.
const BLOCKING_MARGIN: Duration = Duration::from_secs(5);

impl Durable {
    /// Stops taking new work: from queues, from schedules, from other executors. Running workflows go on,
    /// and this process can still start workflows directly. It returns at once and cannot be undone.
    ///
    /// From now on [`readiness`](Self::readiness) is `NotReady`. Call it first when a shutdown is coming,
    /// so that load balancers have time to notice.
    pub fn quiesce(&self) {
        self.runtime().shutdown.advance_to(EnginePhase::Quiesced);
    }

    /// Whether a load balancer should send requests to this process: not from the start of a shutdown on.
    /// It never blocks and makes no query.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::{Durable, Readiness};
    /// fn ready(app: &Durable) -> (u16, &'static str) {
    ///     match app.readiness() {
    ///         Readiness::Ready => (200, "ready"),
    ///         Readiness::NotReady(reason) => (503, reason),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        match Readiness::from(self.phase()) {
            Readiness::Ready if !self.runtime().is_lease_fresh() => Readiness::NotReady(LEASE_NOT_CONFIRMED),
            readiness => readiness,
        }
    }

    /// Requests the shutdown and returns at once. It may be called from anywhere: a workflow, a step, a
    /// request handler.
    ///
    /// While `durable::axum::serve` serves, the request does to the service what a signal does: readiness
    /// goes off at once, the engine shuts down after the last request, and the service's times apply.
    pub fn request_shutdown(&self) {
        self.teardown().request_after_holds(None);
    }

    /// [`request_shutdown`](Self::request_shutdown) with other times than the default.
    ///
    /// A further call may shorten a shutdown that is under way, and never lengthens it: each time counts
    /// from its own call, and the earliest end applies. So
    /// `app.request_shutdown_with(ShutdownOptions::immediate())` cuts a shutdown short.
    ///
    /// A web service that shuts down first, as described for [`request_shutdown`](Self::request_shutdown), may
    /// take as long as `drain`, and the total counts from this call.
    pub fn request_shutdown_with(&self, options: ShutdownOptions) {
        self.teardown().request_after_holds(Some(options));
    }

    /// Shuts the engine down and returns the report. Running workflows may finish for up to 10 s; then the
    /// rest are suspended between two steps and handed over to other processes, and the database is closed
    /// last. It takes 20 s at most, and milliseconds if nothing runs.
    ///
    /// No workflow fails because of it: a suspended one continues in another process, or after the
    /// restart. A second call returns the same report. Dropping this future does not cancel the shutdown.
    ///
    /// Inside a workflow, a step or a transaction it would wait for itself. There it only requests the
    /// shutdown, and returns a report with [`ShutdownOutcome::Requested`]. A request handler should call
    /// [`request_shutdown`](Self::request_shutdown): `shutdown` does not wait for the web service, so its
    /// handlers lose the engine.
    pub async fn shutdown(&self) -> Arc<ShutdownReport> {
        self.shutdown_with(ShutdownOptions::default()).await
    }

    /// [`shutdown`](Self::shutdown) with other times than the default.
    pub async fn shutdown_with(&self, options: ShutdownOptions) -> Arc<ShutdownReport> {
        self.teardown().request(options);
        match self.refuse_inside_workflow(options) {
            Some(refusal) => refusal,
            None => self.teardown().report().await,
        }
    }

    /// [`shutdown_with`](Self::shutdown_with) for a thread outside of any tokio runtime. It blocks the
    /// thread until the shutdown is over. The engine's runtime has to keep running on other threads.
    ///
    /// It waits no longer than the total and 5 s more. If that runs out, because it blocks the only thread
    /// of the engine's runtime for example, the report has [`ShutdownOutcome::Requested`].
    pub fn shutdown_blocking(&self, options: ShutdownOptions) -> Arc<ShutdownReport> {
        self.teardown().request(options);
        if let Some(refusal) = self.refuse_inside_workflow(options) {
            return refusal;
        }
        let timeout = options.total.saturating_add(BLOCKING_MARGIN);
        let report = self.teardown().report_for_thread().recv_timeout(timeout);
        report.unwrap_or_else(|_| Arc::new(ShutdownReport::of(ShutdownOutcome::Requested, options.reason)))
    }

    /// Waits for `trigger`, whatever its output, and then shuts the engine down. A shutdown that is
    /// requested otherwise ends the wait too.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::Durable;
    /// # async fn example(stop: tokio::sync::oneshot::Receiver<()>) -> durable_core::Result<()> {
    /// let app = Durable::launch("my-app").await?;
    /// let report = app.run_until(stop).await;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_until<F: Future>(&self, trigger: F) -> Arc<ShutdownReport> {
        self.run_until_with(trigger, ShutdownOptions::default()).await
    }

    /// [`run_until`](Self::run_until) with other times for the shutdown than the default.
    pub async fn run_until_with<F: Future>(&self, trigger: F, options: ShutdownOptions) -> Arc<ShutdownReport> {
        tokio::select! {
            biased;
            () = self.teardown().requested() => self.teardown().report().await,
            _ = trigger => self.shutdown_with(options.reason(ShutdownReason::Triggered)).await,
        }
    }

    /// Runs until this process has no work left, and then shuts the engine down: for a worker that is
    /// started to empty its queues.
    ///
    /// Work that is left is a workflow that
    ///
    /// * runs in this process, however long it sleeps or waits for a message;
    /// * is `ENQUEUED` on a queue that this process takes work from, unless the queue is paused;
    /// * is `DELAYED` for such a queue;
    /// * was released by its process and is run by none.
    ///
    /// Only workflows of functions that this program has count. Workflows that other processes run do not
    /// count, nor do future ticks of schedules. After [`quiesce`](Self::quiesce) only running workflows count,
    /// because this process takes no other work.
    ///
    /// Inside a workflow it would wait for itself, as [`shutdown`](Self::shutdown) would: there it only
    /// requests the shutdown.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(app: durable_core::Durable) {
    /// let report = app.run_until_idle().ignore_delayed().await; // what is due later is left for a later run
    /// println!("{report}");
    /// # }
    /// ```
    pub fn run_until_idle(&self) -> RunUntilIdle {
        RunUntilIdle { app: self.clone(), delayed: true }
    }

    /// Runs until SIGTERM or SIGINT, then shuts the engine down and returns the report. See
    /// [`signals`](crate::signals) for the second and the third signal.
    ///
    /// The environment variable `DURABLE_SHUTDOWN_TOTAL` (`25s`, `500ms`, or a number of seconds) sets the
    /// total time of the shutdown, divided as by [`ShutdownOptions::within`]; 20 s if it is not set. If the
    /// shutdown is not over 2 s after that, the process logs what is stuck and exits with code 70.
    ///
    /// A shutdown that is requested otherwise, by a workflow for example, ends the wait too. If signals
    /// cannot be received, an error is logged and they kill the process as before, which is safe for its
    /// workflows.
    ///
    /// # Example: a worker
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # async fn example() -> durable::Result<()> {
    /// let app = durable::Durable::launch("my-app").await?;
    /// let report = app.run_until_signal().await;
    /// println!("{report}");
    /// // Instead of returning from `main`, which would wait for blocking threads.
    /// std::process::exit(report.exit_code());
    /// # }
    /// ```
    pub async fn run_until_signal(&self) -> Arc<ShutdownReport> {
        let options = ShutdownOptions::from_environment().unwrap_or_else(|error| {
            tracing::error!(target: "durable", app = self.name(), %error, "the shutdown uses the default times");
            ShutdownOptions::default()
        });
        self.run_until_signal_with(options).await
    }

    /// [`run_until_signal`](Self::run_until_signal) with these times, which take precedence over the
    /// environment variable.
    pub async fn run_until_signal_with(&self, options: ShutdownOptions) -> Arc<ShutdownReport> {
        if Context::here().is_some() {
            tracing::error!(target: "durable", app = self.name(), "`run_until_signal` was called inside a workflow, which the shutdown waits for: call it in `main`");
            return Arc::new(ShutdownReport::of(ShutdownOutcome::Requested, options.reason));
        }
        // The signal thread requests the shutdown; this only waits for the report.
        let _guard = match signals::install() {
            Ok(signals) => Some(signals.guard_with(self, options.total, Some(options))),
            Err(error) => {
                tracing::error!(target: "durable", app = self.name(), %error, "running without signal handling");
                None
            }
        };
        self.teardown().report().await
    }

    /// Not public API: while the value lives, a requested shutdown waits for it, and no longer than `max`.
    /// Its holder waits for [`EnginePhase::Quiesced`], finishes, and then calls
    /// [`shutdown_with`](Self::shutdown_with), which waits for no hold.
    #[doc(hidden)]
    #[must_use]
    pub fn hold_shutdown(&self, max: Duration) -> impl Send + Sync + use<> {
        self.teardown().hold(max)
    }

    /// Not public API: from now on calls outside of workflows wait only for what can end in this process
    /// within the given time. The others return the error [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) at once.
    #[doc(hidden)]
    pub fn release_callers(&self, within: Duration) {
        let runtime = self.runtime();
        runtime.shutdown.release_callers(runtime.timers.clock.after(within));
    }

    /// The report for a caller inside a workflow, which the shutdown waits for.
    fn refuse_inside_workflow(&self, options: ShutdownOptions) -> Option<Arc<ShutdownReport>> {
        Context::here()?;
        tracing::error!(target: "durable", app = self.name(), "`shutdown` was called inside a workflow, which the shutdown waits for: it is requested and not awaited; call `request_shutdown` in workflows");
        Some(Arc::new(ShutdownReport::of(ShutdownOutcome::Requested, options.reason)))
    }
}
