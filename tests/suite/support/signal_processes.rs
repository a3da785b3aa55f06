//! The program `signal_worker`: starting it, and its effects.

use durable::Status;

use super::processes::ledger;
use super::{ProcessDatabase, WatchedProcess, until};

/// Starts the program `signal_worker` in one of its modes.
pub(crate) fn start_signal_worker(
    mode: &str,
    drain: u64,
    total: u64,
    numbers: &[u64],
    database: &ProcessDatabase,
) -> WatchedProcess {
    let folder = database.folder().display().to_string();
    let mut arguments = vec![mode.to_owned(), folder, drain.to_string(), total.to_string()];
    arguments.extend(numbers.iter().map(u64::to_string));
    WatchedProcess::start("signal_worker", &arguments, database)
}

/// The log line of a process once it handles signals.
pub(crate) const HANDLES_SIGNALS: &str = "SIGTERM and SIGINT shut this process down from now on";

/// Waits until it handles signals and is in its first step.
pub(crate) async fn wait_for_first_step(process: &WatchedProcess, database: &ProcessDatabase) {
    process.wait_for_line(HANDLES_SIGNALS).await;
    wait_for_ledger_line(database, "w 1").await;
}

/// Waits until a process has written this line to its ledger.
pub(crate) async fn wait_for_ledger_line(database: &ProcessDatabase, line: &str) {
    until("the line is in a ledger", async || ledger(database.folder()).contains_key(line)).await;
}

/// How often each line was written, by all processes together.
pub(crate) fn times_in_ledger(database: &ProcessDatabase, line: &str) -> usize {
    ledger(database.folder()).get(line).map_or(0, Vec::len)
}

/// The status of one workflow, read without an engine, which would run it.
pub(crate) async fn status_of(database: &ProcessDatabase, id: &str) -> Status {
    database.workflows().await.into_iter().find(|it| it.id == id).expect("it is there").status
}

/// Runs a new process that completes the workflow "w" of the mode `steps`.
pub(crate) async fn finish_workflow(database: &ProcessDatabase, count: u64) {
    let mut again = start_signal_worker("steps", 10_000, 20_000, &[count, 1], database);
    again.wait_for_line("ENDED").await;
    assert_eq!(again.wait_for_exit().await.status.code(), Some(0));
    assert_eq!(status_of(database, "w").await, Status::Success);
}
