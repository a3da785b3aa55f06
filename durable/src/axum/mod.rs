//! Web services with axum 0.8 that shut down without losing a request: the feature `axum`.
//!
//! Load balancers keep sending requests for some time to a process that is shutting down. So the order
//! matters, and [`serve`] keeps it:
//!
//! 1. A signal arrives, or a handler calls [`request_shutdown`](crate::Durable::request_shutdown), or the
//!    trigger of [`until`](Serve::until) completes. The readiness route returns 503, and the engine takes no
//!    new work from queues, schedules and other executors. Responses have `Connection: close`.
//! 2. For the **LB delay**, requests are served as before, until load balancers have noticed.
//! 3. The listener closes. For the **HTTP drain**, open requests may finish. Handlers can still start,
//!    enqueue and await workflows.
//! 4. The engine shuts down: running workflows may finish, the rest are handed over, the database closes. A
//!    handler that still waits for a workflow responds 503 with the workflow's id (see [`Failure`]).
//!
//! A second signal skips what is left of 2 and 3 and shortens 4; a third one exits at once. One total limits
//! all of it, after which a watchdog ends the process. See [`signals`](crate::signals).
//!
//! ```no_run
//! use axum::extract::Path;
//! use axum::routing::post;
//! use durable::axum::Failure;
//! use durable::prelude::*;
//!
//! #[workflow]
//! async fn checkout(order: String) -> Result<String> {
//!     Ok(format!("{order} is on its way"))
//! }
//!
//! async fn order(Path(id): Path<String>) -> Result<String, Failure> {
//!     Ok(checkout(id.clone()).id(id).await?)
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let app = Durable::launch("shop").await?;
//!     let router = axum::Router::new().route("/orders/{id}", post(order)).merge(durable::axum::routes(&app));
//!     let listener = tokio::net::TcpListener::bind("0.0.0.0:8000").await?;
//!     let report = durable::axum::serve(&app, listener, router).await?;
//!     println!("{report}");
//!     std::process::exit(report.exit_code()) // returning from `main` would wait for blocking threads
//! }
//! ```
//!
//! # The times
//!
//! | | environment variable | method | default |
//! |---|---|---|---|
//! | LB delay | `LB_DELAY` | [`lb_delay`](Serve::lb_delay) | 5 s |
//! | HTTP drain | `HTTP_DRAIN` | [`http_drain`](Serve::http_drain) | 5 s |
//! | the engine's shutdown | `DURABLE_SHUTDOWN_TOTAL` | [`shutdown`](Serve::shutdown) | 15 s |
//! | everything | | [`total`](Serve::total) | their sum, 25 s |
//!
//! The method has precedence over the environment variable, and that over the default. A variable holds
//! `15s`, `500ms`, `1m30s`, or a number of seconds. Set them where the platform's grace period is set, which
//! must be longer than their sum: Kubernetes' `terminationGracePeriodSeconds` (30 s by default), Heroku's
//! 30 s, systemd's `TimeoutStopSec`. The folder `examples/web/deploy` has one of each.

#[cfg(feature = "dashboard")]
mod dashboard;
mod draining_listener;
mod failure;
#[cfg(feature = "metrics")]
mod metrics_route;
mod middleware;
mod serve;
mod serve_timings;

use std::borrow::Borrow;

use ::axum::Router;
use ::axum::http::StatusCode;
use ::axum::routing::get;

#[cfg(feature = "dashboard")]
pub use self::dashboard::{Access, AuditUser, DashboardRouter, DashboardSource, dashboard};
pub use self::failure::Failure;
#[cfg(feature = "metrics")]
pub use self::metrics_route::{MetricsRoute, metrics};
pub use self::serve::{Serve, serve};
use crate::{Durable, Readiness};

/// Two routes for probes:
///
/// * `GET /ready`: 200 while the process takes new work, 503 with the reason from the start of a shutdown on.
///   For readiness probes and the health checks of load balancers.
/// * `GET /live`: 200 until the process ends. For liveness probes: a failing one would kill a process that is
///   still finishing its work.
///
/// # Example
///
/// ```no_run
/// # fn example(app: durable::Durable) -> axum::Router {
/// axum::Router::new().merge(durable::axum::routes(&app))
/// # }
/// ```
pub fn routes<S: Clone + Send + Sync + 'static>(app: impl Borrow<Durable>) -> Router<S> {
    let app = app.borrow().clone();
    let ready = async move || match app.readiness() {
        Readiness::Ready => (StatusCode::OK, "ready"),
        Readiness::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    Router::new().route("/ready", get(ready)).route("/live", get(async || "alive"))
}
