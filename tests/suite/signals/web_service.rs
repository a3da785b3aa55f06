//! Stopping a web service while requests arrive.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use durable::Status;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::http::{answer, ask, get};
use crate::support::signal_processes::{status_of, times_in_ledger};
use crate::support::{ProcessDatabase, Signal, WatchedProcess, process_tests, program};

process_tests! {
    readiness_ends_before_the_listener_closes_and_requests_are_completed,
    an_endless_request_does_not_delay_the_exit,
    a_second_signal_skips_the_delays_of_the_web_service,
    internal_errors_are_hidden_from_clients,
}

/// Starts the program `web_worker`, and returns its port.
pub(super) async fn site(
    database: &ProcessDatabase,
    lb_delay: &str,
    http_drain: &str,
    total: &str,
) -> (WatchedProcess, u16) {
    let mut command = Command::new(program("web_worker"));
    command.arg(database.folder()).env("PORT", "0");
    command.env("LB_DELAY", lb_delay).env("HTTP_DRAIN", http_drain).env("DURABLE_SHUTDOWN_TOTAL", total);
    let site = WatchedProcess::run(command, database);
    let (_, line) = site.wait_for_line("READY").await;
    site.wait_for_line(crate::support::signal_processes::HANDLES_SIGNALS).await;
    let port = line.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("it prints its port");
    (site, port)
}

async fn readiness_ends_before_the_listener_closes_and_requests_are_completed(database: &ProcessDatabase) {
    let (mut site, port) = site(database, "1s", "3s", "5s").await;
    assert_eq!((get(port, "/ready").await.unwrap().status, get(port, "/live").await.unwrap().status), (200, 200));
    let mut kept = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    ask(&mut kept, "/work?ms=1").await.unwrap();
    assert!(!answer(&mut kept).await.unwrap().head.contains("connection: close"), "it may stay");

    let sent = site.signal(Signal::TERM);
    while get(port, "/ready").await.unwrap().status == 200 {
        assert!(sent.elapsed() < Duration::from_millis(900), "readiness is still on after {:?}", sent.elapsed());
    }
    let off = sent.elapsed();
    // The requests that last beyond the time at which the listener is closed.
    let across = tokio::spawn(async move { get(port, "/work?ms=1500").await });
    let workflow = tokio::spawn(async move { get(port, "/run?id=across&steps=3&ms=500").await });
    ask(&mut kept, "/work?ms=1").await.unwrap();
    assert!(answer(&mut kept).await.unwrap().head.contains("connection: close"), "it shall move");
    let queued = get(port, "/enqueue?id=queued&steps=1").await.unwrap();
    assert_eq!((queued.status, queued.body.as_str()), (200, "queued"));
    let mut served = 0;
    let refused = loop {
        match get(port, "/work?ms=1").await {
            Ok(answer) => {
                assert_eq!(answer.status, 200);
                served += 1;
            }
            Err(error) => break (sent.elapsed(), error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // the pace of the requests
    };
    assert_eq!(refused.1.kind(), ErrorKind::ConnectionRefused, "{refused:?}");
    assert!((Duration::from_millis(950)..Duration::from_secs(4)).contains(&refused.0), "{refused:?}");
    let across = across.await.unwrap().expect("it is answered");
    assert_eq!((across.status, across.body.as_str()), (200, "done"));
    let workflow = workflow.await.unwrap().expect("it is answered");
    assert_eq!((workflow.status, workflow.body.as_str()), (200, "6"), "it was run while HTTP drained: {workflow:?}");
    let ended = site.wait_for_exit().await;
    println!(
        "not ready after {off:?}, {served} requests served after that, refused after {:?}, exit after {:?}",
        refused.0,
        ended.at - sent
    );
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    assert!(ended.at - sent < Duration::from_millis(3_800), "nothing was waited for in vain: {:?}", ended.at - sent);
    assert_eq!((status_of(database, "queued").await, times_in_ledger(database, "queued 1")), (Status::Enqueued, 0));
}

async fn an_endless_request_does_not_delay_the_exit(database: &ProcessDatabase) {
    let (mut site, port) = site(database, "100ms", "400ms", "2s").await;
    let endless = tokio::spawn(async move { get(port, "/endless").await });
    let waits = tokio::spawn(async move { get(port, "/run?id=long&steps=1000&ms=50").await });
    crate::support::signal_processes::wait_for_ledger_line(database, "long 2").await;
    let sent = site.signal(Signal::TERM);
    let answer = waits.await.unwrap().expect("it is answered");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("retry-after: 2"), "{answer:?}");
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("it is JSON");
    assert_eq!((&body["error"], &body["workflow_id"]), (&"interrupted".into(), &"long".into()));
    let ended = site.wait_for_exit().await;
    assert!(ended.at - sent < Duration::from_secs(20), "its budgets are 2.5 s: {:?}", ended.at - sent);
    assert_eq!(ended.status.code(), Some(0), "of itself: {}", ended.output);
    assert!(endless.await.unwrap().is_err(), "it ended with the process");
    assert_eq!(status_of(database, "long").await, Status::Pending);
}

async fn a_second_signal_skips_the_delays_of_the_web_service(database: &ProcessDatabase) {
    let (mut site, port) = site(database, "60s", "60s", "60s").await;
    let _endless = tokio::spawn(async move { get(port, "/endless").await });
    tokio::spawn(async move { get(port, "/run?id=long&steps=1000&ms=50").await });
    crate::support::signal_processes::wait_for_ledger_line(database, "long 2").await;
    site.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(1_200)).await; // a signal counts as a duplicate of an earlier one for a second
    assert_eq!(get(port, "/work?ms=1").await.unwrap().status, 200, "it still serves");
    let second = site.signal(Signal::TERM);
    let ended = site.wait_for_exit().await;
    assert!(ended.at - second < Duration::from_secs(30), "{:?}", ended.at - second);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    assert_eq!(status_of(database, "long").await, Status::Pending);
}

async fn internal_errors_are_hidden_from_clients(database: &ProcessDatabase) {
    let (mut site, port) = site(database, "0", "1", "2").await;
    let answer = get(port, "/fails").await.unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("internal") && !answer.body.contains("canary"), "{answer:?}");
    let peer = get(port, "/peer").await.unwrap();
    assert!(peer.body.starts_with("127.0.0.1:"), "{peer:?}");
    let sent = Instant::now();
    site.signal(Signal::INT);
    let ended = site.wait_for_exit().await;
    assert!(!ended.output.contains("canary"), "nor the log: {}", ended.output);
    assert!(ended.output.contains("a handler failed") && sent.elapsed() < Duration::from_secs(20), "{}", ended.output);
}
