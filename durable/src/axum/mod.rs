//! Web services with axum 0.8 that shut down without a lost request: the feature `axum`.
//!
//! A process that shall stop is still being sent requests for a while: whoever balances the load
//! learns of it late. So the order matters, and [`serve`] keeps it:
//!
//! 1. A signal comes, or a handler calls [`request_shutdown`](crate::Durable::request_shutdown) (or
//!    whatever [`until`](Serve::until) says). Readiness turns 503, and the engine
//!    takes no new work from queues, schedules and other executors. Responses say `Connection: close`.
//! 2. For the **LB delay** everything is served as before, until the balancer has noticed.
//! 3. The listener closes. For the **HTTP drain**, requests under way may come to their end. Handlers
//!    may still start, enqueue and await workflows.
//! 4. The engine shuts down: workflows drain, the rest is handed over, the database closes. A handler
//!    that still waits for a workflow answers 503 with the workflow's id (see [`Failure`]).
//!
//! A second signal skips what is left of 2 and 3 and hurries 4; a third one exits at once. All of it
//! fits into one total, after which a watchdog ends the process. See [`signals`](crate::signals).
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
//!     std::process::exit(report.exit_code()) // and no `return`, which would wait for threads that block
//! }
//! ```
//!
//! # The numbers
//!
//! | | environment | method | default |
//! |---|---|---|---|
//! | LB delay | `LB_DELAY` | [`lb_delay`](Serve::lb_delay) | 5 s |
//! | HTTP drain | `HTTP_DRAIN` | [`http_drain`](Serve::http_drain) | 5 s |
//! | the engine's shutdown | `DURABLE_SHUTDOWN_TOTAL` | [`shutdown`](Serve::shutdown) | 15 s |
//! | all of it | | [`total`](Serve::total) | their sum, 25 s |
//!
//! What the code says goes before the environment, and the environment before the defaults. The
//! variables hold `15s`, `500ms`, `1m30s`, or a number of seconds. They are there because the numbers
//! belong beside the platform's own grace period, which must be longer than their sum: Kubernetes'
//! `terminationGracePeriodSeconds` (30 s by default), Heroku's 30 s, systemd's `TimeoutStopSec`.
//! The folder `examples/web/deploy` has one of each.

mod around;
mod failure;
mod listener;
mod plan;
mod serve;

use std::borrow::Borrow;

use ::axum::Router;
use ::axum::http::StatusCode;
use ::axum::routing::get;

pub use self::failure::Failure;
pub use self::serve::{Serve, serve};
use crate::{Durable, Readiness};

/// Two routes for those who watch the process:
///
/// * `GET /ready`: 200 while it takes work; 503 with the reason from the first signal on. For
///   readiness probes and for the health checks of balancers.
/// * `GET /live`: 200 to the end. For liveness probes: one that failed would kill a process that is
///   finishing its work.
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
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    Router::new().route("/ready", get(ready)).route("/live", get(async || "alive"))
}
