//! A program whose workflows sleep. Tests kill it.
//!
//! ```text
//! sleep_worker FOLDER COUNT LONGEST     starts COUNT workflows that sleep up to LONGEST milliseconds, and awaits them
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. Going to sleep and waking up are lines in a file of this
//! process in FOLDER.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use durable::prelude::*;

static LEDGER: OnceLock<File> = OnceLock::new();

/// Adds a line to the ledger, in one write, so that lines are whole even when the process is killed.
#[step]
async fn noted(line: String) {
    let line = format!("{line} {}", Utc::now().timestamp_micros()); // the clock of the database, too
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    ledger.write_all(format!("{line}\n").as_bytes()).expect("the ledger can be written");
}

#[workflow]
async fn sleeps(number: u32, millis: u64) -> Result<u32> {
    noted(format!("{number} goes to sleep")).await;
    durable::sleep(Duration::from_millis(millis)).await;
    noted(format!("{number} wakes up")).await;
    Ok(number)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    let count: u32 = arguments.next().unwrap_or_default().parse()?;
    let longest: u64 = arguments.next().unwrap_or_default().parse()?;

    let ledger = folder.join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);
    let app = Durable::builder("sleep_worker").lease(Duration::from_hours(1)).launch().await?;
    let mut calls = Vec::new();
    for number in 0..count {
        let millis = longest * u64::from(number) / u64::from(count);
        calls.push(app.spawn_scoped(async move { sleeps(number, millis).id(format!("s-{number}")).await }));
    }
    let mut woken = 0;
    for (number, call) in (0..).zip(calls) {
        woken += u32::from(call.await?? == number);
    }
    println!("DONE {woken}");
    app.shutdown().await;
    Ok(())
}
