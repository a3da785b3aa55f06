//! Short torture runs. Longer ones are started by hand: see the head of `tests/torture/main.rs`.

use std::process::Output;

use tokio::process::Command;

use crate::support::program;

async fn torture(nemesis: &str, store: &str) -> (Output, String) {
    let mut command = Command::new(program("torture"));
    command.args(["--nemesis", nemesis, "--store", store, "--seconds", "5", "--seed", "1"]).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[tokio::test]
async fn killed_processes_lose_and_double_nothing_in_sqlite() {
    let (output, text) = torture("kill", "sqlite").await;
    assert!(output.status.success(), "{text}");
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test]
async fn killed_processes_lose_and_double_nothing_in_postgres() {
    let (output, text) = torture("kill", "postgres").await;
    assert!(output.status.success(), "{text}");
}

#[tokio::test]
async fn the_checker_of_torture_runs_finds_every_kind_of_fault() {
    let (output, text) = torture("sabotage", "sqlite").await;
    assert!(!output.status.success(), "{text}");
    for fault in [
        "was acknowledged and is lost",
        "failed for good",
        "is PARKED instead of SUCCESS: sabotage",
        "received [2, 1, 3, 4]",
        "received [1, 2, 3]",
        "was applied 2 times",
        "the transfer of",
        "is lost",
        "the accounts hold 20001 cents",
        "ran again after it was recorded",
        "of the queue `limited` ran at once",
        "ran in the order [\"1\", \"0\"]",
        "workflows of key-b ran at once",
        "began after it was cancelled",
    ] {
        assert!(text.contains(fault), "{fault}: {text}");
    }
}
