//! What one, two and three signals do to a process that works.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use durable::Status;

use super::{finished, noted, signalled, status, times, works};
use crate::crash::processes::on_every_database;
use crate::stage::Database;

on_every_database! {
    sigterm_graceful_exit_0,
    sigint_same,
    second_sigterm_aborts,
    duplicate_sigterm_debounced,
    third_signal_exits_143,
    no_signal_takeover_by_default,
    a_shutdown_without_a_signal_ends_the_run_too,
}

const SIGTERM: i32 = 15;

async fn one_signal(database: &Database, name: &str, number: i32) {
    let mut process = signalled("steps", 10_000, 20_000, &[3, 300], database);
    works(&process, database).await;
    process.signal(name);
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.told);
    let report = ended.report();
    assert_eq!((&report["completed"], &report["clean"]), (&1.into(), &true.into()), "{report}");
    assert_eq!(report["reason"], format!("signal {number}"));
    assert_eq!(status(database, "w").await, Status::Success);
}

async fn sigterm_graceful_exit_0(database: &Database) {
    one_signal(database, "TERM", 15).await;
}

async fn sigint_same(database: &Database) {
    one_signal(database, "INT", 2).await;
}

async fn second_sigterm_aborts(database: &Database) {
    let mut process = signalled("steps", 60_000, 70_000, &[1_000, 100], database);
    works(&process, database).await;
    process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(1_500)).await; // longer than duplicates are forgiven
    assert!(!process.is_over(), "it drains: {}", process.told());
    let second = process.signal("TERM");
    let ended = process.ended().await;
    assert!(ended.at - second < Duration::from_secs(3), "{:?}: {}", ended.at - second, ended.told);
    assert_eq!(ended.status.code(), Some(0), "a step of 100 ms comes to its end: {}", ended.told);
    assert_eq!(ended.report()["suspended"], 1);
    assert_eq!(status(database, "w").await, Status::Pending);
}

async fn duplicate_sigterm_debounced(database: &Database) {
    let mut process = signalled("steps", 20_000, 30_000, &[8, 300], database);
    works(&process, database).await;
    process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(50)).await; // as a wrapper that passes it on
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!((ended.status.code(), &ended.report()["completed"]), (Some(0), &1.into()), "{}", ended.told);
    assert_eq!(status(database, "w").await, Status::Success);
}

async fn third_signal_exits_143(database: &Database) {
    let mut process = signalled("steps", 60_000, 70_000, &[2, 600_000], database);
    works(&process, database).await;
    process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(1_100)).await; // longer than duplicates are forgiven
    process.signal("TERM");
    process.says("received a second signal").await;
    tokio::time::sleep(Duration::from_millis(100)).await; // longer than an echo
    let third = process.signal("TERM");
    let ended = process.ended().await;
    assert!(ended.at - third < Duration::from_millis(500), "{:?}", ended.at - third);
    assert_eq!(ended.status.code(), Some(128 + SIGTERM), "{}", ended.told);
    assert_eq!(status(database, "w").await, Status::Pending);

    finished(database, 2).await;
    assert_eq!((times(database, "w 1"), times(database, "w 2")), (2, 1), "the step that was cut off ran again");
}

async fn no_signal_takeover_by_default(database: &Database) {
    let mut process = signalled("plain", 10_000, 20_000, &[100, 100], database);
    noted(database, "w 1").await;
    let sent = process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.status.signal(), Some(SIGTERM), "killed, and not ended: {}", ended.status);
    assert!(ended.at - sent < Duration::from_millis(500));
    assert_eq!(status(database, "w").await, Status::Pending);
}

async fn a_shutdown_without_a_signal_ends_the_run_too(database: &Database) {
    let mut process = signalled("steps", 10_000, 20_000, &[2, 1], database);
    process.says("ENDED").await; // now it requests the shutdown by itself
    let ended = process.ended().await;
    assert_eq!((ended.status.code(), ended.report()["reason"].as_str()), (Some(0), Some("requested")));
}
