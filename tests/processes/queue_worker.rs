//! A program that fills queues or runs their workflows. Tests start and kill several of them.
//!
//! ```text
//! queue_worker fill FOLDER KIND COUNT     enqueues COUNT workflows of a kind, and ends
//! queue_worker work FOLDER                takes work from all queues, until it is killed
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. Each workflow adds a line when its step begins and one
//! when it ends to a file of this process in FOLDER, with the time. The tests rely on the files and
//! not on the database.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use durable::prelude::*;

#[queue]
static WORKER: Queue = Queue::new("worker").worker_concurrency(5);
#[queue]
static FLEET: Queue = Queue::new("fleet").concurrency(7);
#[queue]
static RATED: Queue = Queue::new("rated").rate_limit(100, Duration::from_millis(500));
#[queue]
static PARTED: Queue = Queue::new("parted").partitioned().worker_concurrency(50);
#[queue]
static ALL: Queue = Queue::new("all")
    .worker_concurrency(5)
    .concurrency(9)
    .rate_limit(200, Duration::from_millis(500))
    .partition_concurrency(2);

static LEDGER: OnceLock<File> = OnceLock::new();

/// Adds a line to the ledger, in one write, so that lines are whole even when the process is killed.
fn note(line: &str) {
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_micros();
    ledger.write_all(format!("{now} {line}\n").as_bytes()).expect("the ledger can be written");
}

#[step]
async fn work(queue: &str, key: &str, number: u32) {
    note(&format!("begin {queue} {key} {number}"));
    tokio::time::sleep(Duration::from_millis(u64::from(number % 3))).await; // the work
    note(&format!("end {queue} {key} {number}"));
}

#[workflow]
async fn item(queue: String, key: String, number: u32) -> Result<()> {
    work(&queue, &key, number).await;
    Ok(())
}

#[step]
async fn ticked(at: DateTime<Utc>) {
    note(&format!("begin tick {} 0", at.timestamp()));
}

#[scheduled("* * * * * *", misfire = "all")]
#[workflow]
async fn every_second(scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    ticked(scheduled).await;
    Ok(())
}

#[scheduled("* * * * * *")]
#[workflow]
async fn seconds_in_time(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    Ok(())
}

/// The queue of a kind, and how many partition keys its workflows have.
///
/// Without a limit per key they have none: workflows of one key run one at a time, on every queue.
fn queue_of(kind: &str) -> (&'static Queue, u32) {
    match kind {
        "worker" => (&WORKER, 0),
        "fleet" => (&FLEET, 0),
        "rated" => (&RATED, 0),
        "parted" => (&PARTED, 200),
        "all" => (&ALL, 20),
        other => panic!("no queue is called {other}"),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    let ledger = folder.join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);

    let mut builder = Durable::builder("queue_worker").lease(Duration::from_secs(2));
    if mode == "fill" {
        builder = builder.listen_to::<&str>([]);
    }
    let app = builder.launch().await?;
    println!("READY");
    if mode == "fill" {
        let kind = arguments.next().unwrap_or_default();
        let count: u32 = arguments.next().unwrap_or_default().parse()?;
        let (queue, keys) = queue_of(&kind);
        let call = |number: u32| {
            let id = format!("{kind}-{number}");
            let Some(key) = number.checked_rem(keys) else {
                return item(kind.clone(), "none".to_owned(), number).id(id);
            };
            let key = format!("k{key}");
            item(kind.clone(), key.clone(), number).partition(key).id(id)
        };
        let handles = queue.enqueue_all((0..count).map(call)).await?;
        println!("FILLED {}", handles.len());
        app.shutdown().await;
        return Ok(());
    }
    std::future::pending::<()>().await;
    Ok(())
}
