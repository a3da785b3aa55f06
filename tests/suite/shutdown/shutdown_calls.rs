//! Calling for a shutdown twice, dropping the call, launching again.

use std::sync::Arc;
use std::time::Instant;

use durable::prelude::*;
use durable::{EnginePhase, Readiness, ShutdownReason};

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate, patient, start_shutdown};

database_tests! {
the_drain_ends_as_soon_as_nothing_runs,
shutdown_is_idempotent,
concurrent_shutdown_calls_get_the_same_report,
a_later_shutdown_call_shortens_the_budgets,
dropping_the_shutdown_future_does_not_stop_the_shutdown,
shutdown_inside_a_workflow_only_requests_it,

a_workflow_can_request_the_shutdown_and_still_complete,
launching_the_same_application_during_its_shutdown_is_refused,
readiness_ends_as_soon_as_a_shutdown_is_requested,
run_until_shuts_down_when_its_future_ends,
run_until_ends_with_a_shutdown_from_elsewhere,
shutdown_blocking_works_outside_the_runtime,
the_first_shutdown_reason_is_reported,
}

#[step]
pub(super) async fn stay(key: &str) -> u32 {
    let run = count(key);
    gate(key).acquire().await.unwrap().forget();
    run
}

#[workflow]
pub(super) async fn stays(key: String) -> Result<u32> {
    Ok(stay(&key).await)
}

/// An engine in which one workflow stays in its step.
pub(super) async fn busy(database: &TestDatabase, key: &str) -> Durable {
    let app = database.launch().await;
    app.scope(async { stays(key.to_owned()).id("w").start().await.unwrap() }).await;
    arrived(key, 1).await;
    app
}

pub(super) async fn the_drain_ends_as_soon_as_nothing_runs(database: &TestDatabase) {
    let app = database.launch().await;
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(report.is_clean(), "{report}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{report}");

    let key = fresh("short");
    let app = busy(database, &key).await;
    let begun = Instant::now();
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "{report}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it ends with the last workflow: {report}");
    let phases: Vec<_> = report.phases.iter().map(|it| &*it.phase).collect();
    assert_eq!(phases, ["quiesce", "drain", "abort", "stop", "hand-off", "background", "close"]);
    assert!(report.phases.iter().all(|it| !it.timed_out && !it.panicked), "{:?}", report.phases);
}

pub(super) async fn shutdown_is_idempotent(database: &TestDatabase) {
    let app = database.launch().await;
    let first = app.shutdown().await;
    assert!(Arc::ptr_eq(&first, &app.shutdown().await));
    assert_eq!(app.phase(), EnginePhase::Closed);
}

async fn concurrent_shutdown_calls_get_the_same_report(database: &TestDatabase) {
    let app = database.launch().await;
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

async fn a_later_shutdown_call_shortens_the_budgets(database: &TestDatabase) {
    let key = fresh("shorten");
    let app = busy(database, &key).await;
    let patient = tokio::spawn({
        let app = app.clone();
        async move { app.shutdown_with(ShutdownOptions::within(Duration::from_mins(2))).await }
    });
    app.wait_for_phase(EnginePhase::Draining).await;
    let begun = Instant::now();
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{report}");
    assert!(Arc::ptr_eq(&report, &patient.await.unwrap()));
}

async fn dropping_the_shutdown_future_does_not_stop_the_shutdown(database: &TestDatabase) {
    let key = fresh("caller");
    let app = busy(database, &key).await;
    let caller = tokio::spawn({
        let app = app.clone();
        async move { app.shutdown_with(ShutdownOptions::within(Duration::from_mins(2))).await }
    });
    app.wait_for_phase(EnginePhase::Draining).await;
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
    Ok(format!("{:?}", report.outcome))
}

async fn shutdown_inside_a_workflow_only_requests_it(database: &TestDatabase) {
    let key = fresh("inside");
    let app = database.launch().await;
    APP.lock().unwrap().push((key.clone(), app.clone()));
    let handle = app.scope(async { shuts_down(key.clone()).id("w").start().await.unwrap() }).await;
    assert_eq!(handle.await.unwrap(), "Requested", "the report says that nothing has been done yet");
    let report = app.shutdown().await;
    assert!(report.is_clean() && report.completed == 1, "{report}");
    APP.lock().unwrap().retain(|it| it.0 != key);
}

#[workflow]
async fn requests_a_shutdown(key: String) -> Result<u32> {
    let app = APP.lock().unwrap().iter().find(|it| it.0 == key).unwrap().1.clone();
    app.request_shutdown();
    Ok(fetch_app(&key).await)
}

async fn a_workflow_can_request_the_shutdown_and_still_complete(database: &TestDatabase) {
    let key = fresh("requests");
    let app = database.launch().await;
    APP.lock().unwrap().push((key.clone(), app.clone()));
    let handle = app.scope(async { requests_a_shutdown(key.clone()).id("w").start().await.unwrap() }).await;
    assert_eq!(handle.await.unwrap(), 1);
    let report = app.shutdown().await;
    assert!(report.is_clean() && report.completed == 1, "{report}");
    APP.lock().unwrap().retain(|it| it.0 != key);
}

async fn launching_the_same_application_during_its_shutdown_is_refused(database: &TestDatabase) {
    let key = fresh("still down");
    let app = busy(database, &key).await;
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    let refused = database.builder("app").launch().await.unwrap_err();
    assert_eq!(refused.kind(), durable::ErrorKind::ShuttingDown, "{refused}");
    let other = database.builder("another").launch().await.expect("another application may come up");
    other.shutdown().await;
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());
    let app = database.builder("app").launch().await.expect("it is down");
    app.shutdown().await;
}

async fn readiness_ends_as_soon_as_a_shutdown_is_requested(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.readiness(), Readiness::Ready);
    app.quiesce();
    let Readiness::NotReady(why) = app.readiness() else { panic!("it shuts down") };
    assert!(why.contains("shutdown is coming"), "{why}");
    app.shutdown().await;
    assert_eq!(app.readiness(), Readiness::NotReady("shut down"));

    let app = database.launch().await;
    app.request_shutdown();
    assert!(!app.readiness().is_ready(), "at once, and not when the task comes to it");
    app.shutdown().await;
}

async fn run_until_shuts_down_when_its_future_ends(database: &TestDatabase) {
    let key = fresh("until");
    let app = busy(database, &key).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let runs = tokio::spawn({
        let app = app.clone();
        async move { app.run_until(stopped).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await; // nothing may happen in it
    assert_eq!(app.phase(), EnginePhase::Running);
    stop.send(()).unwrap();
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = runs.await.unwrap();
    assert!(report.is_clean() && report.reason == ShutdownReason::Triggered, "{report}");
}

async fn run_until_ends_with_a_shutdown_from_elsewhere(database: &TestDatabase) {
    let app = database.launch().await;
    let runs = tokio::spawn({
        let app = app.clone();
        async move { app.run_until(std::future::pending::<()>()).await }
    });
    let idle = tokio::spawn({
        let app = app.clone();
        async move { app.run_until_idle().await }
    });
    let first = app.shutdown().await;
    assert!(Arc::ptr_eq(&first, &runs.await.unwrap()));
    assert!(Arc::ptr_eq(&idle.await.unwrap(), &first));
}

async fn shutdown_blocking_works_outside_the_runtime(database: &TestDatabase) {
    let key = fresh("outside");
    let app = busy(database, &key).await;
    let thread = std::thread::spawn({
        let app = app.clone();
        move || app.shutdown_blocking(patient())
    });
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "{report}");
    assert!(Arc::ptr_eq(&report, &app.shutdown().await));
}

async fn the_first_shutdown_reason_is_reported(database: &TestDatabase) {
    let key = fresh("reason");
    let app = busy(database, &key).await;
    app.request_shutdown_with(patient().reason(ShutdownReason::Signal(15)));
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert_eq!(report.reason, ShutdownReason::Signal(15));
    assert!(report.to_string().contains("(signal 15)") && report.to_string().contains("killed: stays"), "{report}");
}
