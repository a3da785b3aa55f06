//! A program that handles signals.
//!
//! ```text
//! signal_worker MODE FOLDER DRAIN TOTAL [NUMBER ..]     budgets of the shutdown in milliseconds
//!
//! steps COUNT MILLIS      a workflow "w" of COUNT steps, each of so many milliseconds
//! many COUNT MILLIS       20 workflows of COUNT steps, and those of earlier processes
//! sleeps                  a workflow "w" that sleeps for an hour
//! blocked                 both workers of the runtime are blocked for a minute
//! thread                  a step that blocks a thread for a minute
//! line                    runs the workflows of a queue
//! fill COUNT              puts COUNT workflows on that queue, and ends
//! early                   handles signals before its launch
//! plain COUNT MILLIS      as `steps`, and leaves signals alone
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. Each step adds a line to a file of this process in FOLDER:
//! tests rely on the files and not on the database. It prints `READY` when it runs,
//! and its report as a line of JSON at the end. It ends by itself when its workflow "w" does.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::prelude::*;
use durable::{ShutdownReport, queue};

#[queue]
static LINE: Queue = Queue::new("line").worker_concurrency(20);

static LEDGER: OnceLock<File> = OnceLock::new();
/// How long a step of this process takes.
static MILLIS: AtomicU64 = AtomicU64::new(1);

/// Adds a line to the ledger, in one write, so that lines are whole even when the process is killed.
fn note(line: &str) {
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    ledger.write_all(format!("{line}\n").as_bytes()).expect("the ledger can be written");
}

#[step]
async fn work(workflow: &str, number: u64) -> u64 {
    note(&format!("{workflow} {number}"));
    tokio::time::sleep(Duration::from_millis(MILLIS.load(Ordering::Relaxed))).await; // the work
    number
}

#[workflow]
async fn steps(workflow: String, count: u64) -> Result<u64> {
    let mut sum = 0;
    for number in 1..=count {
        sum += work(&workflow, number).await;
    }
    Ok(sum)
}

#[workflow]
async fn sleeps(_hours: u64) -> Result<u64> {
    note("sleeps");
    durable::sleep(Duration::from_hours(1)).await;
    Ok(1)
}

/// How many of the blocking steps have started, plus one once the process is ready for them.
static AT_THE_GATE: AtomicU64 = AtomicU64::new(0);

/// Blocks once both steps have started: a first step that blocks alone could prevent the start of the
/// second.
#[step]
async fn blocks_its_worker(seconds: u64) {
    AT_THE_GATE.fetch_add(1, Ordering::Relaxed);
    while AT_THE_GATE.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await; // the pause of the polling
    }
    note("blocks");
    std::thread::sleep(Duration::from_secs(seconds)); // the fault that is tested here
}

/// Gives the runtime something to do from outside for a while: the second worker may be asleep, with nothing
/// left to wake it, when the first one blocks.
fn wake_worker() {
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        for _ in 0..1_000 {
            runtime.spawn(async {});
            std::thread::sleep(Duration::from_millis(5)); // the pace of the pokes
        }
    });
}

#[workflow]
async fn blocked(seconds: u64) -> Result<u64> {
    blocks_its_worker(seconds).await;
    Ok(seconds)
}

#[step]
fn blocks_a_thread(seconds: u64) {
    note("blocks");
    std::thread::sleep(Duration::from_secs(seconds)); // the fault that is tested here
}

#[workflow]
async fn on_a_thread(seconds: u64) -> Result<u64> {
    blocks_a_thread(seconds).await;
    Ok(seconds)
}

fn print_report(report: &ShutdownReport) {
    let json = serde_json::json!({
    "reason": report.reason.to_string(),
    "clean": report.is_clean(),
    "completed": report.completed,
    "suspended": report.suspended.len(),
    "killed": report.killed.len(),
    "stuck": report.stuck.len(),
    "released": report.released.is_ok(),
    "elapsed": report.elapsed.as_millis(),
    });
    println!("{json}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).map_or(Ok(0), |it| it.parse::<u64>());
    let mode = arguments[0].as_str();
    let (drain, total, count, millis) = (number(2)?, number(3)?, number(4)?, number(5)?);
    MILLIS.store(millis, Ordering::Relaxed);

    let ledger = PathBuf::from(&arguments[1]).join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);
    let options = ShutdownOptions::within(Duration::from_millis(total)).drain(Duration::from_millis(drain));

    let mut builder = Durable::builder("signal_worker").lease(Duration::from_secs(2));
    if mode == "fill" {
        builder = builder.listen_to::<&str>([]);
    }
    let app = if mode == "early" {
        let signals = durable::signals::install()?;
        println!("LAUNCHING");
        tokio::select! {
        app = builder.launch() => app?,
        _ = signals.first() => return Ok(()), // nothing has begun yet
        }
    } else {
        builder.launch().await?
    };
    let own = match mode {
        "steps" | "plain" => Some(steps("w".into(), count).id("w").start().await?),
        "sleeps" => Some(sleeps(1).id("w").start().await?),
        "blocked" => {
            let _ = blocked(60).id("b").start().await?;
            let own = blocked(60).id("w").start().await?;
            wake_worker();
            AT_THE_GATE.fetch_add(1, Ordering::Relaxed);
            Some(own)
        }
        "thread" => Some(on_a_thread(60).id("w").start().await?),
        "many" => {
            let calls = (0..20).map(|it| steps(format!("m-{it}"), count).id(format!("m-{it}")).start());
            for handle in calls.collect::<Vec<_>>() {
                handle.await?;
            }
            None
        }
        "fill" => {
            LINE.enqueue_all((0..count).map(|it| steps(format!("l-{it}"), 3).id(format!("l-{it}")))).await?;
            println!("FILLED");
            print_report(&*app.shutdown().await);
            return Ok(());
        }
        _ => None,
    };
    println!("READY");
    if mode == "plain" {
        own.expect("it was started").await?;
        return Ok(());
    }
    if mode == "many" && std::env::var_os("UNTIL_IDLE").is_some() {
        print_report(&*app.run_until_idle().await);
        return Ok(());
    }
    let ended = app.spawn_scoped({
        let app = app.clone();
        async move {
            if let Some(own) = own
                && own.await.is_ok()
            {
                println!("ENDED");
                app.request_shutdown();
            }
        }
    });
    let report = app.run_until_signal_with(options).await;
    ended.abort();
    print_report(&report);
    std::process::exit(report.exit_code());
}
