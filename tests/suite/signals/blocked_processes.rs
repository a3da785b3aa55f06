//! Signals to blocked processes: they are handled, and the process exits whatever blocks it.

use std::time::Duration;

use durable::Status;

use crate::support::signal_processes::{
    HANDLES_SIGNALS, start_signal_worker, status_of, times_in_ledger, wait_for_ledger_line,
};
use crate::support::tcp_proxy::{Link, tcp_proxy};
use crate::support::{ProcessDatabase, Signal, WatchedProcess, process_tests, until, url_of};

process_tests! {
    signals_are_handled_while_all_runtime_threads_are_blocked,
    a_blocked_thread_does_not_delay_the_exit,
}

async fn signals_are_handled_while_all_runtime_threads_are_blocked(database: &ProcessDatabase) {
    let mut process = start_signal_worker("blocked", 500, 2_000, &[], database);
    until("both workers are blocked", async || times_in_ledger(database, "blocks") >= 2).await;
    process.wait_for_line(HANDLES_SIGNALS).await;
    let sent = process.signal(Signal::TERM);
    let (handled, _) = process.wait_for_line("received a first signal").await;
    assert!(handled - sent < Duration::from_millis(3_500), "handled after {:?}", handled - sent);
    let ended = process.wait_for_exit().await;
    let lasted = ended.at - sent;
    println!("handled after {:?}, and the watchdog ended it after {lasted:?}", handled - sent);
    assert_eq!(ended.status.code(), Some(70), "{}", ended.output);
    // Its total and 2 s. Without the watchdog it would be the minute for which the workers are blocked.
    assert!((Duration::from_secs(4)..Duration::from_secs(20)).contains(&lasted), "it ended after {lasted:?}");
    let complaint = ended.output.lines().find(|it| it.contains("did not finish within")).expect("it logs why");
    assert!(complaint.contains("\"w\"") && complaint.contains("blocks_its_worker"), "{complaint}");
    assert_eq!(status_of(database, "w").await, Status::Pending);
}

async fn a_blocked_thread_does_not_delay_the_exit(database: &ProcessDatabase) {
    let mut process = start_signal_worker("thread", 300, 2_000, &[], database);
    wait_for_ledger_line(database, "blocks").await;
    process.wait_for_line(HANDLES_SIGNALS).await;
    let sent = process.signal(Signal::TERM);
    let ended = process.wait_for_exit().await;
    assert!(ended.at - sent < Duration::from_secs(15), "its total is 2 s: {:?}", ended.at - sent);
    assert_eq!(ended.status.code(), Some(1), "a step was dropped: {}", ended.output);
    assert_eq!(status_of(database, "w").await, Status::Pending);
}

/// The connections to the server are cut or frozen while a process shuts down: it still exits.
mod on_a_server {
    use super::{Link, ProcessDatabase};

    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_exits_although_its_connections_are_cut() {
        super::exits_although(Link::Cut, &ProcessDatabase::postgres().await).await;
    }

    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_exits_although_the_server_is_frozen() {
        super::exits_although(Link::Frozen, &ProcessDatabase::postgres().await).await;
    }
}

async fn exits_although(gone: Link, database: &ProcessDatabase) {
    let (url, switch) = tcp_proxy(&url_of(database.url())).await;
    let behind = ProcessDatabase::at(url.as_str());
    let mut process: WatchedProcess = start_signal_worker("steps", 2_000, 4_000, &[1_000, 50], &behind);
    process.wait_for_line(HANDLES_SIGNALS).await;
    wait_for_ledger_line(&behind, "w 3").await;
    process.signal(Signal::TERM);
    process.wait_for_line("received a first signal").await;
    switch.send_replace(gone);
    let cut = std::time::Instant::now();
    let ended = process.wait_for_exit().await;
    println!("{gone:?}: ended {:?} after it, with {}", ended.at - cut, ended.status);
    assert!(ended.at - cut < Duration::from_secs(20), "its total is 4 s: {:?}", ended.at - cut);
    assert_eq!(ended.status.code(), Some(1), "it could not hand over: {}", ended.output);
    assert_eq!(ended.report()["released"], false);
    assert_eq!(status_of(database, "w").await, Status::Pending);
}
