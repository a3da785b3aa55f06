//! A web service whose workflows survive every stop: SIGTERM at any moment, `kill -9`, a new deployment.
//!
//! ```text
//! cargo run --example web
//! curl 'http://localhost:8000/?n_sub_workflows=2&n_steps_per_workflow=3'
//! kill -TERM $(pgrep -x web)      then run it again
//! ```
//!
//! Its state is in `web.sqlite`. `DURABLE_DATABASE_URL=postgres://user@host/database` selects Postgres, and `PORT`
//! another port. A program of your own needs this file and a few lines of `Cargo.toml`: see `README.md` beside it,
//! which also has the settings for Kubernetes, Heroku, systemd and Docker.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Path, Query, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use durable::axum::{Access, Failure};
use durable::prelude::*;
use durable::queue;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Main workflows and sub-workflows have different queues. On one queue with a limit, parents could take
/// every slot and wait for children that never get one.
#[queue]
static WORKFLOWS: Queue = Queue::new("workflows");
#[queue]
static SUB_WORKFLOWS: Queue = Queue::new("sub-workflows").worker_concurrency(4);

/// Any side effect: an HTTP call, an e-mail. Here it takes some time.
#[step]
async fn step(workflow: u32, number: u32, seconds: f64) {
    tracing::info!("sub-workflow {workflow}: step {number} begins, and takes {seconds:.1} s");
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    tracing::info!("sub-workflow {workflow}: step {number} is done");
}

#[workflow]
async fn sub_workflow(workflow: u32, n_steps: u32) -> Result<u32> {
    tracing::info!("sub-workflow {workflow} runs");
    for number in 1..=n_steps {
        let chance = durable::random().await; // recorded: the same whenever this runs again
        step(workflow, number, 0.2 + chance).await;
    }
    Ok(n_steps)
}

/// Enqueues its sub-workflows and waits for all of them.
#[workflow]
async fn main_workflow(n_sub_workflows: u32, n_steps_per_workflow: u32) -> Result<u32> {
    tracing::info!("a workflow with {n_sub_workflows} sub-workflows runs");
    let mut handles = Vec::new();
    for number in 1..=n_sub_workflows {
        handles.push(sub_workflow(number, n_steps_per_workflow).enqueue(&SUB_WORKFLOWS).await?);
    }
    let mut steps = 0;
    for handle in handles {
        steps += handle.await?;
    }
    tracing::info!("the workflow has ended: {steps} steps");
    Ok(steps)
}

#[derive(Deserialize)]
struct Size {
    #[serde(default = "six")]
    n_sub_workflows: u32,
    #[serde(default = "five")]
    n_steps_per_workflow: u32,
}

const fn six() -> u32 {
    6
}

const fn five() -> u32 {
    5
}

#[derive(Serialize)]
struct Shown {
    workflow_id: String,
    status: String,
}

/// `GET /`: enqueues a workflow. After the response it runs to its end, even if this process crashes.
async fn enqueue(Query(size): Query<Size>) -> Result<Json<Shown>, Failure> {
    let handle = main_workflow(size.n_sub_workflows, size.n_steps_per_workflow).enqueue(&WORKFLOWS).await?;
    Ok(Json(Shown { workflow_id: handle.id().to_owned(), status: Status::Enqueued.to_string() }))
}

/// `GET /workflows/{id}`: its status.
async fn show(Path(id): Path<String>) -> Result<Json<Shown>, Failure> {
    let handle = durable::retrieve_workflow::<u32>(id).await?;
    Ok(Json(Shown { workflow_id: handle.id().to_owned(), status: handle.status().await?.to_string() }))
}

/// `GET /workflows/{id}/result`: waits for its end. If this process stops first, the response is 503 with
/// `Retry-After` and the id, to ask another process with.
async fn result(Path(id): Path<String>) -> Result<String, Failure> {
    let steps = durable::retrieve_workflow::<u32>(id).await?.await?;
    Ok(format!("{steps} steps\n"))
}

/// `/durable`: what runs, waits and fails. Put the login of your service in the place of this layer, which lets requests
/// from this machine through: behind a proxy on the same host, that is every request. Then `Access::full()` allows actions.
fn dashboard(app: &Durable) -> Router {
    durable::axum::dashboard(app).access(Access::read_only()).layer(from_fn(from_this_machine))
}

async fn from_this_machine(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if peer.ip().is_loopback() { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

/// Log lines with the time and no date.
struct TimeOnly;

impl FormatTime for TimeOnly {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", Utc::now().format("%H:%M:%S"))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_timer(TimeOnly).with_target(false).init();
    // First of all: process 1 of a container ignores signals that it does not handle, and the launch may
    // have to wait for a database.
    let signals = durable::signals::install()?;
    let app = tokio::select! {
        app = Durable::launch("web") => app?,
        _ = signals.first() => return Ok(()), // nothing has begun
    };

    let router = Router::new()
        .route("/", get(enqueue))
        .route("/workflows/{id}", get(show))
        .route("/workflows/{id}/result", get(result))
        .nest("/durable", dashboard(&app))
        .merge(durable::axum::metrics(&app)) // /metrics
        .merge(durable::axum::routes(&app)); // /ready and /live
    let port = std::env::var("PORT").unwrap_or_else(|_| "8000".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    tracing::info!("serving on http://localhost:{}, process {}", listener.local_addr()?.port(), std::process::id());

    // Until SIGTERM or Ctrl-C. Then in order: not ready, requests finish, workflows finish, database closes.
    let report = durable::axum::serve(&app, listener, router).await?;
    std::process::exit(report.exit_code()) // not `return`, which waits for steps that block a thread
}
