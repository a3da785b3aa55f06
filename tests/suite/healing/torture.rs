//! Short torture runs. Longer ones are started by hand: see the head of `tests/torture/main.rs`.

use std::process::Output;

use tokio::process::Command;

use crate::support::program;

async fn torture(nemesis: &str, store: &str) -> (Output, String) {
    torture_with(nemesis, store, |_| {}).await
}

async fn torture_with(nemesis: &str, store: &str, change: impl FnOnce(&mut Command)) -> (Output, String) {
    let mut command = Command::new(program("torture"));
    command.args(["--nemesis", nemesis, "--store", store, "--seconds", "5", "--seed", "1"]).kill_on_drop(true);
    change(&mut command);
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
async fn the_checker_of_torture_runs_finds_what_is_planted() {
    let (output, text) = torture("sabotage", "sqlite").await;
    assert!(!output.status.success(), "{text}");
    for fault in [
        "was acknowledged and is lost",
        "failed for good",
        "is PARKED instead of SUCCESS: sabotage",
        "received [2, 1, 3, 4]",
        "received [1, 2, 3]",
        "was applied 2 times",
        "the accounts hold 20001 cents",
        "ran again after it was recorded",
        "of the queue `limited` ran at once",
        "ran in the order [\"1\", \"0\"]",
        "workflows of key-b ran at once",
        "began after it was cancelled",
        "has the stream [\"1\", \"2\", \"2\", \"3\", \"4\", \"5\", \"end\"]",
        "has the event [\"1\", \"2\", \"4\", \"5\"]",
        "got the items 1,2,4,5",
        "got the value 4",
        "was started 2 times",
        "ran in 2 workflows",
        "ended before its time was up",
        "began after its time was up",
        "is CANCELLED, and the reason is sabotage",
        "returned [false,null]",
        "was early",
    ] {
        assert!(text.contains(fault), "{fault}: {text}");
    }
    // These words are in the lines of other faults, too.
    for begin in ["the transfer of order-", "the transfer of batch-", "the tick of every_second at "] {
        let line = |it: &str| it.trim().strip_prefix("violation: ").is_some_and(|it| it.starts_with(begin));
        assert!(text.lines().any(|it| line(it) && it.ends_with("is lost")), "{begin}: {text}");
    }
}

#[tokio::test]
async fn a_nemesis_without_the_tools_it_needs_is_no_success() {
    // No program can be found there, so no disk can be mounted.
    let (output, text) = torture_with("disk-full", "sqlite", |command| {
        command.env("PATH", "/nowhere");
    })
    .await;
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("not possible on this machine"), "{text}");
}

#[tokio::test]
async fn a_run_puts_its_figures_into_the_table_in_place_of_the_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.md");
    let marks = "before\n<!-- written by `torture --write`: begin -->\n\n| none, SQLite | 1 | old |\n| kill, SQLite: x1 | 1 | kept |\n\n<!-- end -->\nafter\n";
    std::fs::write(&file, marks).unwrap();
    let (output, text) = torture_with("none", "sqlite", |command| {
        command.arg("--write").arg(&file);
    })
    .await;
    assert!(output.status.success(), "{text}");
    let figures = std::fs::read_to_string(&file).unwrap();
    let rows: Vec<&str> = figures.lines().filter(|it| it.starts_with("| none") || it.starts_with("| kill")).collect();
    assert_eq!(rows, ["| kill, SQLite: x1 | 1 | kept |", text.trim()], "{figures}");
    assert!(figures.starts_with("before\n") && figures.ends_with("after\n"), "{figures}");
}
