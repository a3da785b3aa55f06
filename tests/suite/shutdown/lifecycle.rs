//! Calling it twice, dropping it, launching again.

use std::sync::Arc;
use std::time::Instant;

use durable::prelude::*;
use durable::{Level, ShutdownState};

use crate::counter::{count, counted, fresh};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    drain_returns_as_soon_as_idle,
    shutdown_is_idempotent,
    concurrent_shutdown_calls_share_report,
    later_call_shortens_never_extends,
    dropped_caller_does_not_stop_teardown,
    shutdown_inside_workflow_errors,
    drop_without_shutdown,
    relaunch_in_same_process_x20,
    sqlite_wal_gone_after_clean_shutdown,
    panic_in_a_destructor_does_not_stop_the_teardown,
}

#[step]
async fn stay(key: &str) -> u32 {
    let run = count(key);
    gate(key).acquire().await.unwrap().forget();
    run
}

#[workflow]
async fn stays(key: String) -> Result<u32> {
    Ok(stay(&key).await)
}

/// An engine in which one workflow stays in its step.
async fn busy(stage: &Stage, key: &str) -> Durable {
    let app = stage.launch().await;
    app.scope(async { stays(key.to_owned()).id("w").start().await.unwrap() }).await;
    arrived(key, 1).await;
    app
}

async fn drain_returns_as_soon_as_idle(stage: &Stage) {
    let app = stage.launch().await;
    let begun = Instant::now();
    let report = app.shutdown_with(ShutdownOptions::within(Duration::from_mins(1))).await;
    assert!(report.is_clean(), "{report}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{report}");
}

async fn shutdown_is_idempotent(stage: &Stage) {
    let app = stage.launch().await;
    let first = app.shutdown().await;
    assert!(Arc::ptr_eq(&first, &app.shutdown().await));
    assert_eq!(app.state(), Level::Closed);
}

async fn concurrent_shutdown_calls_share_report(stage: &Stage) {
    let app = stage.launch().await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.shutdown().await })
        })
        .collect();
    let mut reports = Vec::new();
    for call in calls {
        reports.push(call.await.unwrap());
    }
    assert!(reports.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
}

async fn later_call_shortens_never_extends(stage: &Stage) {
    let key = fresh("shorten");
    let app = busy(stage, &key).await;
    let patient = tokio::spawn({
        let app = app.clone();
        async move { app.shutdown_with(ShutdownOptions::within(Duration::from_mins(2))).await }
    });
    while app.state() < Level::Draining {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{report}");
    assert!(Arc::ptr_eq(&report, &patient.await.unwrap()));
}

async fn dropped_caller_does_not_stop_teardown(stage: &Stage) {
    let key = fresh("caller");
    let app = busy(stage, &key).await;
    let caller = tokio::spawn({
        let app = app.clone();
        async move { app.shutdown_with(ShutdownOptions::within(Duration::from_mins(2))).await }
    });
    while app.state() < Level::Draining {
        tokio::task::yield_now().await;
    }
    caller.abort();
    gate(&key).add_permits(1);
    let report = app.shutdown().await;
    assert!(report.is_clean() && report.completed == 1, "{report}");
}

#[step]
async fn fetch_app(key: &str) -> u32 {
    count(key)
}

static APP: std::sync::Mutex<Vec<(String, Durable)>> = std::sync::Mutex::new(Vec::new());

#[workflow]
async fn shuts_down(key: String) -> Result<String> {
    fetch_app(&key).await;
    let app = APP.lock().unwrap().iter().find(|it| it.0 == key).unwrap().1.clone();
    let report = app.shutdown().await;
    Ok(format!("{:?}", report.state))
}

async fn shutdown_inside_workflow_errors(stage: &Stage) {
    let key = fresh("inside");
    let app = stage.launch().await;
    APP.lock().unwrap().push((key.clone(), app.clone()));
    let handle = app.scope(async { shuts_down(key.clone()).id("w").start().await.unwrap() }).await;
    assert_eq!(handle.await.unwrap(), "Requested", "the report says that nothing has been done yet");
    let report = app.shutdown().await;
    assert!(report.is_clean() && report.completed == 1, "{report}");
    APP.lock().unwrap().retain(|it| it.0 != key);
}

async fn drop_without_shutdown(stage: &Stage) {
    let key = fresh("dropped");
    let app = busy(stage, &key).await;
    stage.crash(app).await;

    let app = stage.launch().await;
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    app.shutdown().await;
}

async fn relaunch_in_same_process_x20(stage: &Stage) {
    let mut alive = Vec::new();
    for round in 0..20 {
        let app = stage.launch().await;
        app.scope(async {
            gate(&format!("round {round}")).add_permits(1);
            stays(format!("round {round}")).await.unwrap();
        })
        .await;
        assert!(app.shutdown().await.is_clean());
        drop(app);
        alive.push(tokio::runtime::Handle::current().metrics().num_alive_tasks());
    }
    // A task that has just ended may be counted for a moment longer, so a few are no leak.
    assert!(alive.iter().all(|it| *it <= 4), "tasks after each round: {alive:?}");
}

async fn sqlite_wal_gone_after_clean_shutdown(stage: &Stage) {
    let key = fresh("wal");
    let app = stage.launch().await;
    gate(&key).add_permits(1);
    app.scope(async { stays(key.clone()).await.unwrap() }).await;
    assert!(app.shutdown().await.is_clean());
    let mut files: Vec<_> =
        std::fs::read_dir(stage.folder()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let expected: &[&str] = if stage.is_postgres() { &[] } else { &["stage.sqlite"] };
    assert_eq!(files, expected, "one file is left, which can be copied or deleted");
}

struct PanicsOnDrop(String);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
        panic!("a destructor that panics");
    }
}

#[workflow]
async fn holds_a_mine(key: String) -> Result<u32> {
    let _mine = PanicsOnDrop(key.clone());
    Ok(stay(&key).await)
}

async fn panic_in_a_destructor_does_not_stop_the_teardown(stage: &Stage) {
    let key = fresh("mine");
    let app = stage.launch().await;
    app.scope(async { holds_a_mine(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(report.is_closed() && report.state == ShutdownState::Closed, "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 1);

    assert_eq!(stage.look().await[0].status, Status::Pending);
}
