//! How a program ends its engine: at once, when something happens, when nothing is left to do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::app::Durable;
use crate::engine::idle;
use crate::engine::readiness::Readiness;
use crate::engine::report::{ShutdownOutcome, ShutdownReport};
use crate::engine::teardown::{ShutdownOptions, ShutdownReason};
use crate::journal::context::Context;
use crate::wait::shutdown_phase::EnginePhase;

impl Durable {
    /// Stops taking work: from queues, from schedules, from other executors. What runs goes on, and
    /// workflows can still be started here by hand. It returns at once and cannot be undone.
    ///
    /// [`readiness`](Self::readiness) says so from now on. It is the first thing to do when a
    /// shutdown is coming, while the load balancer finds out.
    pub fn quiesce(&self) {
        self.runtime().shutdown.advance_to(EnginePhase::Quiesced);
    }

    /// Whether a load balancer should send requests here: not any more from the first word of a
    /// shutdown on. It asks nobody and never waits.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::{Durable, Readiness};
    /// fn ready(app: &Durable) -> (u16, &'static str) {
    ///     match app.readiness() {
    ///         Readiness::Ready => (200, "ready"),
    ///         Readiness::NotReady(why) => (503, why),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness::from(self.phase())
    }

    /// Begins the shutdown and returns at once. It may be called from anywhere: a workflow, a step, a
    /// handler of requests.
    ///
    /// While `durable::axum::serve` serves, it is to the service what a signal is: readiness goes off
    /// at once, the engine goes down after the last request, and the service's budgets count.
    pub fn request_shutdown(&self) {
        self.teardown().request_in_order(None);
    }

    /// The same with budgets of your own. A further call may shorten a shutdown that goes on, and
    /// never lengthens it: each budget counts from its own call, and the earliest end holds. So
    /// `app.request_shutdown_with(ShutdownOptions::immediate())` is how to lose patience.
    ///
    /// A web service that goes down first, as [`request_shutdown`](Self::request_shutdown) says, has as
    /// much time for it as `drain`, and the total counts from this call.
    pub fn request_shutdown_with(&self, options: ShutdownOptions) {
        self.teardown().request_in_order(Some(options));
    }

    /// Shuts down in order: lets running workflows come to their end for up to 10 s, then suspends
    /// the rest between two steps, hands them over, and closes the database last. 20 s at most.
    ///
    /// Nothing is marked failed by it: what was suspended goes on in another process, or after the
    /// restart. A second call gives the same report. The shutdown belongs to the engine: a caller who
    /// goes away stops nothing.
    ///
    /// Inside a workflow, a step or a transaction it would wait for itself, so there it only requests
    /// the shutdown and gives a report that says so: [`ShutdownOutcome::Requested`]. A handler of
    /// requests calls [`request_shutdown`](Self::request_shutdown) for the same reason: this here does
    /// not wait for a web service, whose handlers are without an engine then.
    pub async fn shutdown(&self) -> Arc<ShutdownReport> {
        self.shutdown_with(ShutdownOptions::default()).await
    }

    /// The same with budgets of your own.
    pub async fn shutdown_with(&self, options: ShutdownOptions) -> Arc<ShutdownReport> {
        self.teardown().request(options);
        match self.not_from_inside(options) {
            Some(refusal) => refusal,
            None => self.teardown().report().await,
        }
    }

    /// The same for a thread that is no part of a tokio runtime, which it blocks until the shutdown
    /// is over. The engine's runtime has to go on running meanwhile, on other threads.
    ///
    /// It waits no longer than the total and five seconds more: who calls it on the only thread of the
    /// engine's runtime gets a report that says [`ShutdownOutcome::Requested`] then.
    pub fn shutdown_blocking(&self, options: ShutdownOptions) -> Arc<ShutdownReport> {
        self.teardown().request(options);
        if let Some(refusal) = self.not_from_inside(options) {
            return refusal;
        }
        let patience = options.total.saturating_add(Duration::from_secs(5));
        let report = self.teardown().report_for_thread().recv_timeout(patience);
        report.unwrap_or_else(|_| Arc::new(ShutdownReport::of(ShutdownOutcome::Requested, options.reason)))
    }

    /// Waits for `trigger`, whatever it gives, and then shuts down in order. Who shuts the engine down
    /// in another way meanwhile ends the wait, too.
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

    /// The same with budgets of your own for the shutdown.
    pub async fn run_until_with<F: Future>(&self, trigger: F, options: ShutdownOptions) -> Arc<ShutdownReport> {
        tokio::select! {
            biased;
            () = self.teardown().requested() => self.teardown().report().await,
            _ = trigger => self.shutdown_with(options.reason(ShutdownReason::Triggered)).await,
        }
    }

    /// Works until nothing is left that this process could do, and then shuts down in order: for a
    /// worker that is started to empty its queues, and ends.
    ///
    /// What is left is: a workflow that runs here, however long it sleeps or waits for a message; one
    /// that is `ENQUEUED` on a queue this process takes work from (unless the queue is paused), or
    /// `DELAYED` and for such a queue; and one that nobody runs since its process has let go of it.
    /// Only workflows whose functions this program has count. What other processes run does not, and
    /// no more do the ticks of schedules that are still to come. After [`quiesce`](Self::quiesce) only
    /// what runs here counts, because nothing else is taken any more.
    ///
    /// Inside a workflow it would wait for itself, as [`shutdown`](Self::shutdown) would, so there it
    /// only requests the shutdown.
    pub async fn run_until_idle(&self) -> Arc<ShutdownReport> {
        let options = ShutdownOptions::default().reason(ShutdownReason::Idle);
        if Context::here().is_some() {
            return self.shutdown_with(options).await;
        }
        tokio::select! {
            biased;
            () = self.teardown().requested() => self.teardown().report().await,
            () = idle::idle(self.runtime()) => self.shutdown_with(options).await,
        }
    }

    /// What a caller is told whom the shutdown waits for.
    fn not_from_inside(&self, options: ShutdownOptions) -> Option<Arc<ShutdownReport>> {
        Context::here()?;
        tracing::error!(target: "durable", app = self.name(), "`shutdown` was called inside a workflow, which it would wait for: it is requested and not awaited; `request_shutdown` is the form for workflows");
        Some(Arc::new(ShutdownReport::of(ShutdownOutcome::Requested, options.reason)))
    }
}
