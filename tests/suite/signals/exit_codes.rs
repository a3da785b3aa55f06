//! The effect of one, two and three signals.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use durable::Status;

use crate::support::signal_processes::{
    finish_workflow, start_signal_worker, status_of, times_in_ledger, wait_for_first_step, wait_for_ledger_line,
};
use crate::support::{ProcessDatabase, Signal, process_tests};

process_tests! {
    sigterm_ends_a_process_with_exit_code_0,
    sigint_ends_a_process_with_exit_code_0,
    a_second_sigterm_skips_the_drain,
    a_duplicate_sigterm_is_ignored,
    a_third_sigterm_exits_at_once_with_code_143,
    without_signal_handling_sigterm_kills_the_process,
    run_until_signal_ends_with_a_requested_shutdown,
}

const SIGTERM: i32 = 15;

async fn one_signal(database: &ProcessDatabase, signal: Signal, number: i32) {
    let mut process = start_signal_worker("steps", 10_000, 20_000, &[3, 300], database);
    wait_for_first_step(&process, database).await;
    process.signal(signal);
    let ended = process.wait_for_exit().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    let report = ended.report();
    assert_eq!((&report["completed"], &report["clean"]), (&1.into(), &true.into()), "{report}");
    assert_eq!(report["reason"], format!("signal {number}"));
    assert_eq!(status_of(database, "w").await, Status::Success);
}

async fn sigterm_ends_a_process_with_exit_code_0(database: &ProcessDatabase) {
    one_signal(database, Signal::TERM, 15).await;
}

async fn sigint_ends_a_process_with_exit_code_0(database: &ProcessDatabase) {
    one_signal(database, Signal::INT, 2).await;
}

async fn a_second_sigterm_skips_the_drain(database: &ProcessDatabase) {
    let mut process = start_signal_worker("steps", 60_000, 70_000, &[1_000, 100], database);
    wait_for_first_step(&process, database).await;
    process.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(1_500)).await; // a signal counts as a duplicate of an earlier one for a second
    assert!(!process.has_exited(), "it drains: {}", process.output());
    let second = process.signal(Signal::TERM);
    let ended = process.wait_for_exit().await;
    assert!(ended.at - second < Duration::from_secs(30), "{:?}: {}", ended.at - second, ended.output);
    assert_eq!(ended.status.code(), Some(0), "a step of 100 ms finishes: {}", ended.output);
    assert_eq!(ended.report()["suspended"], 1);
    assert_eq!(status_of(database, "w").await, Status::Pending);
}

async fn a_duplicate_sigterm_is_ignored(database: &ProcessDatabase) {
    let mut process = start_signal_worker("steps", 20_000, 30_000, &[8, 300], database);
    wait_for_first_step(&process, database).await;
    process.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(50)).await; // a wrapper passes the signal on a second time
    process.signal(Signal::TERM);
    let ended = process.wait_for_exit().await;
    assert_eq!((ended.status.code(), &ended.report()["completed"]), (Some(0), &1.into()), "{}", ended.output);
    assert_eq!(status_of(database, "w").await, Status::Success);
}

async fn a_third_sigterm_exits_at_once_with_code_143(database: &ProcessDatabase) {
    let mut process = start_signal_worker("steps", 60_000, 70_000, &[2, 600_000], database);
    wait_for_first_step(&process, database).await;
    process.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(1_100)).await; // a signal counts as a duplicate of an earlier one for a second
    process.signal(Signal::TERM);
    process.wait_for_line("received a second signal").await;
    tokio::time::sleep(Duration::from_millis(100)).await; // a signal counts as an echo of an earlier one for less
    let third = process.signal(Signal::TERM);
    let ended = process.wait_for_exit().await;
    assert!(ended.at - third < Duration::from_secs(2), "{:?}", ended.at - third);
    assert_eq!(ended.status.code(), Some(128 + SIGTERM), "{}", ended.output);
    assert_eq!(status_of(database, "w").await, Status::Pending);

    finish_workflow(database, 2).await;
    assert_eq!(
        (times_in_ledger(database, "w 1"), times_in_ledger(database, "w 2")),
        (2, 1),
        "the step that was cut off ran again"
    );
}

async fn without_signal_handling_sigterm_kills_the_process(database: &ProcessDatabase) {
    let mut process = start_signal_worker("plain", 10_000, 20_000, &[100, 100], database);
    wait_for_ledger_line(database, "w 1").await;
    let sent = process.signal(Signal::TERM);
    let ended = process.wait_for_exit().await;
    assert_eq!(ended.status.signal(), Some(SIGTERM), "killed, and not ended: {}", ended.status);
    assert!(ended.at - sent < Duration::from_secs(8));
    assert_eq!(status_of(database, "w").await, Status::Pending);
}

async fn run_until_signal_ends_with_a_requested_shutdown(database: &ProcessDatabase) {
    let mut process = start_signal_worker("steps", 10_000, 20_000, &[2, 1], database);
    process.wait_for_line("ENDED").await; // now it requests the shutdown by itself
    let ended = process.wait_for_exit().await;
    assert_eq!((ended.status.code(), ended.report()["reason"].as_str()), (Some(0), Some("requested")));
}
