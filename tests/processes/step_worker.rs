//! A program that runs many workflows of ten steps. Tests start it, kill it and start it again.
//!
//! ```text
//! step_worker many FOLDER COUNT CONCURRENCY   starts COUNT workflows of 10 steps, so many at a time
//! step_worker same FOLDER COUNT               starts COUNT given ids, which another process starts too
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. Each step adds a line to a file of this process in
//! FOLDER. The tests rely on the files and not on the database.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use durable::prelude::*;
use tokio::sync::Semaphore;

static LEDGER: OnceLock<File> = OnceLock::new();

/// Adds a line to the ledger, in one write, so that lines are whole even when the process is killed.
fn note(line: &str) {
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    ledger.write_all(format!("{line}\n").as_bytes()).expect("the ledger can be written");
}

#[step]
async fn work(workflow: u32, step: u32) -> u64 {
    note(&format!("{workflow} {step}"));
    u64::from(workflow) * 1000 + u64::from(step)
}

#[workflow]
async fn ten_steps(workflow: u32) -> Result<u64> {
    let mut sum = 0;
    for step in 0..10 {
        sum += work(workflow, step).await;
    }
    Ok(sum)
}

fn expected(workflow: u32) -> u64 {
    (0..10).map(|step| u64::from(workflow) * 1000 + step).sum()
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    let count: u32 = arguments.next().unwrap_or_default().parse()?;
    let concurrency: usize = arguments.next().map_or(Ok(usize::MAX), |it| it.parse())?;

    let ledger = folder.join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);
    let app = Durable::builder("step_worker").lease(Duration::from_hours(1)).launch().await?;
    println!("READY");

    let permits = Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)));
    let mut calls = Vec::new();
    for workflow in 0..count {
        let permits = Arc::clone(&permits);
        calls.push(tokio::spawn(async move {
            let _permit = permits.acquire_owned().await?;
            ten_steps(workflow).id(format!("w-{workflow}")).await
        }));
    }
    let mut right = 0;
    for (workflow, call) in (0..).zip(calls) {
        right += u32::from(call.await?? == expected(workflow));
    }
    println!("{mode} DONE {right}");
    app.shutdown().await;
    Ok(())
}
