//! `serve`: serves until a signal, then not ready, LB delay, listener closed, requests finished, engine shut
//! down.

use std::borrow::Borrow;
use std::fmt;
use std::future::{Future, IntoFuture, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::axum::Router;
use ::axum::serve::Listener;
use durable_core::signals::{self, Signals};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::draining_listener::DrainingListener;
use super::middleware::with_middleware;
use super::serve_timings::{ServeTimings, TimingSettings};
use crate::{Durable, EnginePhase, Result, ShutdownOptions, ShutdownReason, ShutdownReport};

/// How long idle connections stay open after the listener has closed: a request whose first bytes are on
/// their way is still served.
const IDLE_CONNECTION_TIME: Duration = Duration::from_millis(100);
/// How long handlers may take to respond after the engine's shutdown: their workflow was handed over.
const LAST_RESPONSES_TIME: Duration = Duration::from_millis(500);

/// Serves a router until a signal arrives, then shuts down HTTP and after it the engine, and returns the
/// engine's report. See [the module](super) for the order and the times.
///
/// The listener is a tokio `TcpListener` or another [`Listener`]. Handlers get the peer's address as
/// `ConnectInfo<SocketAddr>`, as usual. The [`routes`](super::routes) for probes have to be merged into the
/// router. WebSockets are not waited for.
///
/// Requests that still run after the HTTP drain go on until the process ends: exit with
/// `std::process::exit(report.exit_code())`.
///
/// # Errors
/// Signals cannot be received, an environment variable holds no duration, or the times leave the engine
/// less than 1 s of the total. Then nothing was served, and the engine still runs.
///
/// # Example
///
/// ```no_run
/// # use durable::prelude::*;
/// # async fn example(app: Durable, router: axum::Router) -> Result<()> {
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:8000").await?;
/// let report = durable::axum::serve(&app, listener, router)
///     .lb_delay(Duration::from_secs(15)) // a cloud's load balancer is slow to notice
///     .http_drain(Duration::from_secs(10))
///     .total(Duration::from_secs(50))    // terminationGracePeriodSeconds: 60
///     .await?;
/// std::process::exit(report.exit_code());
/// # }
/// ```
pub fn serve<L: Listener>(app: impl Borrow<Durable>, listener: L, router: Router) -> Serve<L> {
    Serve { app: app.borrow().clone(), listener, router, settings: TimingSettings::default(), until: None, after: None }
}

/// A web service that is not started yet, made by [`serve()`]. Await it.
#[must_use = "nothing is served before it is awaited"]
pub struct Serve<L> {
    app: Durable,
    listener: L,
    router: Router,
    settings: TimingSettings,
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    after: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<L> Serve<L> {
    /// Sets how long requests are served as before after readiness has gone off, until load balancers have
    /// noticed. The default is the environment variable `LB_DELAY`, or 5 s.
    pub fn lb_delay(mut self, delay: Duration) -> Self {
        self.settings.lb_delay = Some(delay);
        self
    }

    /// Sets how long requests may take to finish after the listener has closed. The default is the
    /// environment variable `HTTP_DRAIN`, or 5 s.
    pub fn http_drain(mut self, drain: Duration) -> Self {
        self.settings.http_drain = Some(drain);
        self
    }

    /// Sets the times of the engine's own shutdown, which comes last. The default is
    /// [`ShutdownOptions::within`] the environment variable `DURABLE_SHUTDOWN_TOTAL`, or the rest of the total.
    pub fn shutdown(mut self, options: ShutdownOptions) -> Self {
        self.settings.shutdown = Some(options);
        self
    }

    /// Sets the time of everything, from the signal to the closed database. It should be a few seconds less
    /// than the platform waits before it kills the process. The default is the sum of the others, 25 s.
    pub fn total(mut self, total: Duration) -> Self {
        self.settings.total = Some(total);
        self
    }

    /// Runs `work` once the requests have finished, while the engine still works in full: what the program has
    /// to do before it ends. It may take half of the time that is left of the [total](Self::total); what is not
    /// done by then is dropped, and the engine shuts down. For tasks that run all along see [`Durable::spawn`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable::prelude::*;
    /// # async fn flush() {}
    /// # async fn example(app: Durable, listener: tokio::net::TcpListener, router: axum::Router) -> Result<()> {
    /// let report = durable::axum::serve(&app, listener, router).after_serving(async { flush().await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn after_serving(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.after = Some(Box::pin(work));
        self
    }

    /// Shuts down when `trigger` completes, and does not handle signals: for tests, and for services inside
    /// other programs. Then there is no second signal, and no watchdog that ends a stuck process.
    pub fn until(mut self, trigger: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = Some(Box::pin(trigger));
        self
    }
}

impl<L> Serve<L>
where
    L: Listener,
    L::Addr: Clone + Sync + fmt::Debug,
{
    async fn run(self) -> Result<Arc<ShutdownReport>> {
        let Self { app, listener, router, settings, until, after } = self;
        let timings = ServeTimings::new(settings)?;
        let signals = if until.is_some() { None } else { Some(signals::install()?) };
        // From here on the signal thread quiesces the engine, and ends the process if it is stuck.
        let _signal_guard = signals.as_ref().map(|it| it.guard(&app, timings.total));
        let mut second_signal = pin!(second(signals.clone()));

        // From here on a requested shutdown of the engine waits for this service.
        let _hold = app.hold_shutdown(timings.max_before_engine());

        let (stop, stopped) = watch::channel(false);
        let (closing, closed) = oneshot::channel();
        let service = with_middleware::<L::Addr>(&app, router);
        let server =
            ::axum::serve(DrainingListener::new(listener, stopped, closing), service).with_graceful_shutdown(async {
                let _ = closed.await;
                sleep(IDLE_CONNECTION_TIME).await;
            });
        // Polled here and not spawned: dropping this future closes the listener.
        let mut http = HttpServer { server: pin!(server.into_future()), is_closed: false };

        let triggered = async {
            match until {
                Some(until) => until.await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = http.closed() => {} // it closes only after the stop signal, so never here
            () = triggered => {}
            () = app.wait_for_phase(EnginePhase::Quiesced) => {} // a signal, or a requested shutdown
        }
        let started = Instant::now();
        app.quiesce();
        tracing::info!(target: "durable::shutdown", lb_delay = ?timings.lb_delay, "not ready any more; serving until load balancers have noticed");
        let cut_short = tokio::select! {
            () = sleep(timings.lb_delay) => false,
            () = http.closed() => false,
            () = &mut second_signal => true,
        };

        tracing::info!(target: "durable::shutdown", http_drain = ?timings.http_drain, "closing the listener; open requests may finish");
        let _ = stop.send(true); // fails only if the listener is gone
        app.release_callers(timings.http_drain);
        let drain = async {
            if !cut_short {
                tokio::select! {
                    () = sleep(timings.http_drain) => {}
                    () = &mut second_signal => {}
                }
            }
        };
        tokio::select! {
            biased;
            () = http.closed() => {}
            () = drain => {
                tracing::warn!(target: "durable::shutdown", "requests are still open; those that wait for a workflow get 503 with its id");
            }
        }
        if let Some(after) = after {
            let limit = timings.total.saturating_sub(started.elapsed()) / 2;
            let work = timeout(limit, app.scope(after));
            let served = async {
                http.closed().await; // open requests go on meanwhile
                pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = served => {}
                () = &mut second_signal => {
                    tracing::warn!(target: "durable::shutdown", "a second signal: the work after serving is dropped");
                }
                done = work => if done.is_err() {
                    tracing::warn!(target: "durable::shutdown", ?limit, "the work after serving was not done in time and is dropped");
                },
            }
        }
        let reason = signals
            .as_ref()
            .and_then(Signals::which)
            .map_or(ShutdownReason::Triggered, |it| ShutdownReason::Signal(it.number()));
        let mut shutdown = pin!(app.shutdown_with(timings.engine_options(started.elapsed()).reason(reason)));
        let report = tokio::select! {
            report = &mut shutdown => report,
            // The server still has to be polled: it may not be closed yet.
            () = http.closed() => shutdown.await,
        };
        if !http.is_closed {
            let left = timings.total.saturating_sub(started.elapsed());
            let _ = timeout(left.min(LAST_RESPONSES_TIME), http.closed()).await; // endless requests go on until the process ends
        }
        Ok(report)
    }
}

/// The HTTP server.
struct HttpServer<'a, F> {
    server: Pin<&'a mut F>,
    is_closed: bool,
}

impl<F: Future> HttpServer<'_, F> {
    /// Returns when the last connection is closed. A further call does not return.
    async fn closed(&mut self) {
        if self.is_closed {
            pending::<()>().await;
        }
        let _ = self.server.as_mut().await; // axum's server returns no error
        self.is_closed = true;
    }
}

/// Waits for the second signal; for ever without signals.
async fn second(signals: Option<Signals>) {
    match signals {
        Some(signals) => drop(signals.second().await),
        None => pending().await,
    }
}

impl<L> IntoFuture for Serve<L>
where
    L: Listener,
    L::Addr: Clone + Sync + fmt::Debug,
{
    type Output = Result<Arc<ShutdownReport>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<L> fmt::Debug for Serve<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("app", &self.app).field("settings", &self.settings).finish_non_exhaustive()
    }
}
