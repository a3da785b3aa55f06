//! A program with a given lease, whose workflows sleep before their step. Tests stop it and let it continue.
//!
//! ```text
//! lease_worker FOLDER COUNT LEASE     starts COUNT workflows, and runs what there is until it is killed;
//!                                     LEASE is in milliseconds
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. Each step adds a line to a file of this process in FOLDER.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use durable::prelude::*;

static LEDGER: OnceLock<File> = OnceLock::new();

#[step]
async fn charge(number: u32) {
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    ledger.write_all(format!("charge {number}\n").as_bytes()).expect("the ledger can be written");
}

#[workflow]
async fn charges_later(number: u32) -> Result<()> {
    durable::sleep(Duration::from_millis(700)).await;
    charge(number).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    let count: u32 = arguments.next().unwrap_or_default().parse()?;
    let lease = Duration::from_millis(arguments.next().unwrap_or_default().parse()?);

    let ledger = folder.join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);
    let app = Durable::builder("lease_worker").lease(lease).launch().await?;
    for number in 0..count {
        charges_later(number).id(number.to_string()).start().await?;
    }
    println!("STARTED");
    std::future::pending::<()>().await;
    app.shutdown().await;
    Ok(())
}
