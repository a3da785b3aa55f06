//! The recipe: not ready, served on, listener closed, requests finished, workflows finished, closed.

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

use super::around::around;
use super::listener::Closing;
use super::plan::{Plan, Wishes};
use crate::{Durable, EnginePhase, Result, ShutdownOptions, ShutdownReason, ShutdownReport};

/// How long connections stay open behind the closed listener, so that a request whose first bytes
/// are on their way is heard.
const LINGER: Duration = Duration::from_millis(100);
/// How long the last answers may take: of handlers whose workflow was handed over a moment ago.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves a router until a signal comes, and then shuts down in order: HTTP first, the engine after
/// it. Await it; it gives the engine's report. See [the module](super) for the whole course, and for
/// the numbers.
///
/// The listener is a tokio `TcpListener` or another [`Listener`]. Handlers that want to
/// know the peer ask for `ConnectInfo<SocketAddr>`, as usual. [`routes`](super::routes) are not added
/// by themselves. WebSockets are not waited for.
///
/// Requests that are under way when the HTTP drain is over go on until the process ends: exit with
/// `std::process::exit(report.exit_code())`.
///
/// # Errors
/// Signals cannot be received, the environment holds a wrong number, or the parts leave the engine
/// nothing of the total; nothing was served then, and the engine still runs.
///
/// # Example
///
/// ```no_run
/// # use durable::prelude::*;
/// # async fn example(app: Durable, router: axum::Router) -> Result<()> {
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:8000").await?;
/// let report = durable::axum::serve(&app, listener, router)
///     .lb_delay(Duration::from_secs(15)) // a cloud's balancer takes its time
///     .http_drain(Duration::from_secs(10))
///     .total(Duration::from_secs(50))    // terminationGracePeriodSeconds: 60
///     .await?;
/// std::process::exit(report.exit_code());
/// # }
/// ```
pub fn serve<L: Listener>(app: impl Borrow<Durable>, listener: L, router: Router) -> Serve<L> {
    Serve { app: app.borrow().clone(), listener, router, wishes: Wishes::default(), until: None }
}

/// A server with its settings, made by [`serve()`]. Await it.
#[must_use = "nothing is served before it is awaited"]
pub struct Serve<L> {
    app: Durable,
    listener: L,
    router: Router,
    wishes: Wishes,
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<L> Serve<L> {
    /// How long everything is served as before once readiness is off: until the balancer has noticed.
    pub fn lb_delay(mut self, delay: Duration) -> Self {
        self.wishes.lb_delay = Some(delay);
        self
    }

    /// How long requests that are under way when the listener closes may take to come to their end.
    pub fn http_drain(mut self, bound: Duration) -> Self {
        self.wishes.http_drain = Some(bound);
        self
    }

    /// The budgets of the engine's own shutdown, which comes last. By default
    /// [`ShutdownOptions::within`] what is left of the total.
    pub fn shutdown(mut self, options: ShutdownOptions) -> Self {
        self.wishes.shutdown = Some(options);
        self
    }

    /// A bound for everything from the signal to the closed database: a few seconds less than what
    /// the platform waits for before it kills.
    pub fn total(mut self, total: Duration) -> Self {
        self.wishes.total = Some(total);
        self
    }

    /// Goes down when `trigger` ends, and leaves the process's signals alone: for tests, and for
    /// services inside other programs. There is no second signal then, and nobody ends a process that
    /// is stuck.
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
        let Self { app, listener, router, wishes, until } = self;
        let plan = Plan::new(wishes)?;
        let signals = if until.is_some() { None } else { Some(signals::install()?) };
        // From here on the signals' thread itself quiesces the engine, and ends a process that is stuck.
        let _attendance = signals.as_ref().map(|it| it.guard(&app, plan.total));
        let mut hurry = pin!(second(signals.clone()));

        // From here on whoever requests the engine's shutdown requests this one: it is held to the end.
        let _ahead = app.hold_shutdown(plan.ahead());

        let (stop, stopped) = watch::channel(false);
        let (closing, closed) = oneshot::channel();
        let service = around::<L::Addr>(&app, router);
        let server = ::axum::serve(Closing::new(listener, stopped, closing), service).with_graceful_shutdown(async {
            let _ = closed.await;
            sleep(LINGER).await;
        });
        // It is polled here and not spawned: who drops this future closes the listener.
        let mut http = Http { server: pin!(server.into_future()), over: false };

        let asked = async {
            match until {
                Some(until) => until.await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = http.over() => {} // it ends when it is told to, so never here
            () = asked => {}
            () = app.wait_for_phase(EnginePhase::Quiesced) => {} // a signal, or a requested shutdown
        }
        let begun = Instant::now();
        app.quiesce();
        tracing::info!(target: "durable::shutdown", lb_delay = ?plan.lb_delay, "not ready any more; serving on until the balancer has noticed");
        let hurried = tokio::select! {
            () = sleep(plan.lb_delay) => false,
            () = http.over() => false,
            () = &mut hurry => true,
        };

        tracing::info!(target: "durable::shutdown", http_drain = ?plan.http_drain, "the listener closes; requests under way may come to their end");
        let _ = stop.send(true); // the listener hears it, or is gone
        let drain = async {
            if !hurried {
                tokio::select! {
                    () = sleep(plan.http_drain) => {}
                    () = &mut hurry => {}
                }
            }
        };
        tokio::select! {
            biased;
            () = http.over() => {}
            () = drain => {
                tracing::warn!(target: "durable::shutdown", "requests are still under way; those that wait for a workflow will be told to ask elsewhere");
            }
        }
        let reason = signals
            .as_ref()
            .and_then(Signals::which)
            .map_or(ShutdownReason::Triggered, |it| ShutdownReason::Signal(it.number()));
        let mut down = pin!(app.shutdown_with(plan.engine(begun.elapsed()).reason(reason)));
        let report = tokio::select! {
            report = &mut down => report,
            // The listener may still have to close, when it was hurried past.
            () = http.over() => down.await,
        };
        if !http.over {
            let left = plan.total.saturating_sub(begun.elapsed());
            let _ = timeout(left.min(LAST_WORDS), http.over()).await; // endless requests end with the process
        }
        Ok(report)
    }
}

/// The server, which may be asked again when it is over.
struct Http<'a, F> {
    server: Pin<&'a mut F>,
    over: bool,
}

impl<F: Future> Http<'_, F> {
    /// Returns when the last connection is closed, once; a second time it does not return.
    async fn over(&mut self) {
        if self.over {
            pending::<()>().await;
        }
        let _ = self.server.as_mut().await; // axum's server gives no errors
        self.over = true;
    }
}

/// Ends when whoever sent the signals does not want to wait.
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
        f.debug_struct("Serve").field("app", &self.app).field("wishes", &self.wishes).finish_non_exhaustive()
    }
}
