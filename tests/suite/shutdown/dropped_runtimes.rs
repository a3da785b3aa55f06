//! A runtime that is dropped before or during the shutdown of its engine.

use std::sync::Arc;

use durable::prelude::*;
use durable::{EnginePhase, ShutdownOutcome};

use super::closing::guards;
use crate::support::{TestDatabase, arrived, counted, database_tests, fresh, gate, on_dropped_runtime, patient};

database_tests! {
a_runtime_dropped_before_the_shutdown_loses_nothing,
a_shutdown_whose_runtime_is_dropped_reports_failure,
}

async fn a_runtime_dropped_before_the_shutdown_loses_nothing(database: &TestDatabase) {
    let key = fresh("runtime");
    let builder = database.builder("app").executor_id("same");
    let of_thread = key.clone();
    let app = on_dropped_runtime(move |runtime| {
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(async { guards(of_thread.clone()).id("w").start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
            app
        })
    })
    .await;
    assert_eq!(counted(&format!("{key} dropped")), 1, "it went with the runtime");
    let report = app.shutdown().await;
    assert_eq!((report.outcome, report.exit_code()), (ShutdownOutcome::Failed, 1), "{report}");
    drop(app);

    let app = database.builder("app").executor_id("same").launch().await.unwrap();
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    app.shutdown().await;
}

async fn a_shutdown_whose_runtime_is_dropped_reports_failure(database: &TestDatabase) {
    let key = fresh("cut off");
    let builder = database.builder("app");
    let of_thread = key.clone();
    let (app, waiter) = on_dropped_runtime(move |runtime| {
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(async { guards(of_thread.clone()).id("w").start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
            app.request_shutdown_with(patient());
            app.wait_for_phase(EnginePhase::Draining).await;
            let of_waiter = app.clone();
            (app, std::thread::spawn(move || of_waiter.shutdown_blocking(patient())))
        })
    })
    .await;
    let report = app.shutdown().await;
    assert_eq!((report.outcome, app.phase()), (ShutdownOutcome::Failed, EnginePhase::Closed), "{report}");
    let of_waiter = tokio::task::spawn_blocking(|| waiter.join().unwrap()).await.unwrap();
    assert!(Arc::ptr_eq(&report, &of_waiter), "all callers get the same report: {of_waiter}");
    assert!(report.elapsed > Duration::ZERO && !report.phases.is_empty() && report.released.is_err(), "{report:?}");
    assert_eq!(report.suspended_total + report.killed_total, 1, "what was running is named: {report}");
    assert!(report.to_string().contains("tokio runtime") && report.to_string().contains("nothing is lost"), "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 1);
}
