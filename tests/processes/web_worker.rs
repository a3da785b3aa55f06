//! A web service. Tests send requests and signals to it.
//!
//! ```text
//! web_worker FOLDER        serves on 127.0.0.1, on PORT or any that is free, until a signal comes
//!
//! /work?ms=N            sleeps and answers
//! /run?id=ID&steps=N&ms=N     runs a workflow and answers when it has ended
//! /start?id=ID&steps=N&ms=N   starts one and answers with its id
//! /enqueue?id=ID&steps=N&ms=N puts one on a queue and answers with its id
//! /endless              never answers
//! /fails                fails with an error of its own
//! /peer                 answers with the address of the client
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database; `LB_DELAY`, `HTTP_DRAIN` and `DURABLE_SHUTDOWN_TOTAL` are what
//! `durable::axum` reads. Each step adds a line to a file of this process in FOLDER.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use axum::Router;
use axum::extract::{ConnectInfo, Query};
use axum::routing::get;
use durable::axum::Failure;
use durable::prelude::*;
use durable::queue;
use serde::Deserialize;

#[queue]
static LINE: Queue = Queue::new("line").worker_concurrency(20);

static LEDGER: OnceLock<File> = OnceLock::new();

#[step]
async fn work(workflow: &str, number: u64, millis: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(millis)).await; // the work
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    ledger.write_all(format!("{workflow} {number}\n").as_bytes()).expect("the ledger can be written");
    number
}

#[workflow]
async fn site_steps(id: String, count: u64, millis: u64) -> Result<u64> {
    let mut sum = 0;
    for number in 1..=count {
        sum += work(&id, number, millis).await;
    }
    Ok(sum)
}

#[derive(Deserialize)]
struct Asked {
    id: String,
    #[serde(default = "one")]
    steps: u64,
    #[serde(default = "one")]
    ms: u64,
}

const fn one() -> u64 {
    1
}

#[derive(Deserialize)]
struct Pause {
    ms: u64,
}

async fn pause(Query(pause): Query<Pause>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(pause.ms)).await; // the work
    "done"
}

async fn run(Query(asked): Query<Asked>) -> Result<String, Failure> {
    let sum = site_steps(asked.id.clone(), asked.steps, asked.ms).id(asked.id).await?;
    Ok(sum.to_string())
}

async fn start(Query(asked): Query<Asked>) -> Result<String, Failure> {
    let handle = site_steps(asked.id.clone(), asked.steps, asked.ms).id(asked.id).start().await?;
    Ok(handle.id().to_owned())
}

async fn enqueue(Query(asked): Query<Asked>) -> Result<String, Failure> {
    let handle = site_steps(asked.id.clone(), asked.steps, asked.ms).id(asked.id).enqueue(&LINE).await?;
    Ok(handle.id().to_owned())
}

async fn fails() -> Result<String, Failure> {
    Err(Error::msg("the card canary-4111 was declined"))?
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_default());
    let ledger = folder.join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);

    let app = Durable::builder("web_worker").lease(Duration::from_secs(2)).launch().await?;
    let router = Router::new()
        .route("/work", get(pause))
        .route("/run", get(run))
        .route("/start", get(start))
        .route("/enqueue", get(enqueue))
        .route("/endless", get(std::future::pending::<()>))
        .route("/fails", get(fails))
        .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
        .merge(durable::axum::routes(&app));
    let port = std::env::var("PORT").unwrap_or_else(|_| "0".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("READY {}", listener.local_addr()?.port());
    let report = durable::axum::serve(&app, listener, router).await?;
    println!("{report}");
    println!(
        r#"{{"clean": {}, "completed": {}, "suspended": {}}}"#,
        report.is_clean(),
        report.completed,
        report.suspended.len()
    );
    std::process::exit(report.exit_code())
}
