//! Signals and web services: real processes that are sent real signals.

mod blocked;
mod early;
mod example;
mod fleet;
mod graceful;
mod http;
mod inside;
mod killed;
mod rolling;
mod web;

use durable::Status;

use crate::crash::processes::ledger;
use crate::crash::watched::Watched;
use crate::stage::Database;

/// Starts the program `signalled` in one of its modes.
fn signalled(mode: &str, drain: u64, total: u64, numbers: &[u64], database: &Database) -> Watched {
    let folder = database.folder().display().to_string();
    let mut arguments = vec![mode.to_owned(), folder, drain.to_string(), total.to_string()];
    arguments.extend(numbers.iter().map(u64::to_string));
    Watched::start("signalled", &arguments, database)
}

/// What a process logs once it hears signals.
const HEARS: &str = "SIGTERM and SIGINT end this process in order";

/// Waits until it hears signals and is in its first step.
async fn works(process: &Watched, database: &Database) {
    process.says(HEARS).await;
    noted(database, "w 1").await;
}

/// Waits until some process has written this line to its ledger.
async fn noted(database: &Database, line: &str) {
    let written = async {
        while !ledger(database.folder()).contains_key(line) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), written).await.expect("it is written");
}

/// How often each line was written, whichever process did.
fn times(database: &Database, line: &str) -> usize {
    ledger(database.folder()).get(line).map_or(0, Vec::len)
}

/// The status of one workflow, with no engine that would go on with it.
async fn status(database: &Database, id: &str) -> Status {
    database.poll().await.into_iter().find(|it| it.id == id).expect("it is there").status
}

/// Lets a fresh process go on with the workflow "w" of the mode `steps`, and end by itself.
async fn finished(database: &Database, count: u64) {
    let mut again = signalled("steps", 10_000, 20_000, &[count, 1], database);
    again.says("ENDED").await;
    assert_eq!(again.ended().await.status.code(), Some(0));
    assert_eq!(status(database, "w").await, Status::Success);
}
