//! A runtime that is dropped before the engine on it was shut down, or in the middle of that.

use std::sync::Arc;

use durable::prelude::*;
use durable::{EnginePhase, ShutdownOutcome};

use super::closing::guards;
use super::{arrive_at, patient};
use crate::counter::{counted, fresh};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    a_runtime_that_is_dropped_first_loses_nothing,
    a_shutdown_whose_runtime_is_dropped_says_so,
}

/// Runs on a runtime of its own with one thread, which is dropped with whatever is still in it.
pub(crate) async fn on_a_runtime_that_is_dropped<R: Send + 'static>(
    work: impl FnOnce(&tokio::runtime::Runtime) -> R + Send + 'static,
) -> R {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = work(&runtime);
        drop(runtime);
        result
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap()
}

async fn a_runtime_that_is_dropped_first_loses_nothing(stage: &Stage) {
    let key = fresh("runtime");
    let builder = stage.builder("stage").executor_id("same");
    let of_thread = key.clone();
    let app = on_a_runtime_that_is_dropped(move |runtime| {
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

    let app = stage.builder("stage").executor_id("same").launch().await.unwrap();
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    app.shutdown().await;
}

async fn a_shutdown_whose_runtime_is_dropped_says_so(stage: &Stage) {
    let key = fresh("cut off");
    let builder = stage.builder("stage");
    let of_thread = key.clone();
    let (app, waiter) = on_a_runtime_that_is_dropped(move |runtime| {
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(async { guards(of_thread.clone()).id("w").start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
            app.request_shutdown_with(patient());
            arrive_at(&app, EnginePhase::Draining).await;
            let of_waiter = app.clone();
            (app, std::thread::spawn(move || of_waiter.shutdown_blocking(patient())))
        })
    })
    .await;
    let report = app.shutdown().await;
    assert_eq!((report.outcome, app.phase()), (ShutdownOutcome::Failed, EnginePhase::Closed), "{report}");
    let of_waiter = tokio::task::spawn_blocking(|| waiter.join().unwrap()).await.unwrap();
    assert!(Arc::ptr_eq(&report, &of_waiter), "all are told the same: {of_waiter}");
    assert!(report.elapsed > Duration::ZERO && !report.phases.is_empty() && report.released.is_err(), "{report:?}");
    assert_eq!(report.suspended_total + report.killed_total, 1, "what was running is named: {report}");
    assert!(report.to_string().contains("tokio runtime") && report.to_string().contains("nothing is lost"), "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 1);
}
