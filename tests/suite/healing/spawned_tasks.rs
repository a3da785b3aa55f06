//! Calls in tasks that a helper of a body spawned: they are not recorded, and the log says so.

use std::sync::{Arc, OnceLock};

use durable::prelude::*;
use tokio::sync::oneshot;

use crate::support::{LogCapture, TestDatabase, arrived, count, database_tests, fresh, gate, on_dropped_runtime};

database_tests! {
    a_call_in_a_task_that_a_body_spawned_is_a_warning_with_both_names,
    a_step_that_forbids_calls_outside_refuses_one_in_a_spawned_task,
    plain_calls_beside_running_workflows_are_no_warning,
}

const WARNING: &str = "in a task that the body of this workflow spawned";

#[step]
async fn notified(n: u32) -> Result<u32> {
    Ok(n)
}

#[step(outside = "deny")]
async fn charged_inside(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn child_of_a_task(n: u32) -> Result<u32> {
    notified(n).await
}

/// Spawns where the check of the body does not see it.
async fn in_a_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(work).await.unwrap()
}

/// The engine, for tasks: other tests launch others in this process.
struct LaunchedEngine(Arc<OnceLock<Durable>>);

#[workflow]
async fn spawns_in_a_helper(n: u32) -> Result<u32> {
    let recorded = notified(n).await?;
    let step = in_a_task(async move { notified(n).await }).await?;
    let app = durable::state::<LaunchedEngine>().0.get().expect("it is launched").clone();
    let child = in_a_task(async move { app.scope(child_of_a_task(n)).await }).await?;
    Ok(recorded + step + child)
}

/// Calls back when the call it waits for is under way.
async fn after_a_moment<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    in_a_task(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        work.await
    })
    .await
}

#[workflow]
async fn spawns_what_calls_later(n: u32) -> Result<u32> {
    after_a_moment(async move { notified(n).await }).await
}

#[workflow]
async fn spawns_what_is_forbidden(n: u32) -> Result<Option<u32>> {
    Ok(in_a_task(async move { charged_inside(n).await }).await.ok())
}

#[step]
async fn called_by_handlers(n: u32) -> Result<u32> {
    Ok(n)
}

#[workflow]
async fn waits_for_a_task(key: String) -> Result<()> {
    in_a_task(async move {
        count(&key);
        gate(&key).acquire().await.unwrap().forget();
    })
    .await;
    Ok(())
}

/// Runs `work` with an engine of its own on one thread, and returns all that was logged.
async fn logged<F: Future<Output = ()>>(
    database: &TestDatabase,
    work: impl FnOnce() -> F + Send + 'static,
) -> LogCapture {
    let launched = Arc::new(OnceLock::new());
    let state = LaunchedEngine(Arc::clone(&launched));
    let builder = database.builder("app").accept_other_transactions().state(state);
    let log = LogCapture::default();
    let captured = log.clone();
    on_dropped_runtime(move |runtime| {
        let _recording = captured.record();
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            let _ = launched.set(app.clone());
            app.scope(work()).await;
            app.shutdown().await;
        });
    })
    .await;
    log
}

async fn a_call_in_a_task_that_a_body_spawned_is_a_warning_with_both_names(database: &TestDatabase) {
    let log = logged(database, async || {
        assert_eq!(spawns_in_a_helper(2).id("spawns").await.unwrap(), 6);
        assert_eq!(spawns_in_a_helper(2).await.unwrap(), 6);
        assert_eq!(spawns_what_calls_later(2).await.unwrap(), 2);
    })
    .await;
    // The body can be taken for the author of a call in a task of another test that began in the same moment.
    let is_own = |it: &String| it.contains("\"notified\"") || it.contains("\"child_of_a_task\"");
    let warnings: Vec<String> = log.lines(WARNING).into_iter().filter(is_own).collect();
    assert_eq!(warnings.len(), 3, "{}", log.text());
    assert!(warnings.iter().all(|it| it.contains("WARN") && it.contains("durable::spawn")), "{warnings:?}");
    let of = |function: &str, workflow: &str| {
        let (function, workflow) = (format!("function=\"{function}\""), format!("workflow=\"{workflow}\""));
        warnings.iter().filter(|it| it.contains(&function) && it.contains(&workflow)).count()
    };
    assert_eq!(of("notified", "spawns_in_a_helper"), 1, "{warnings:?}");
    assert_eq!(of("child_of_a_task", "spawns_in_a_helper"), 1, "{warnings:?}");
    assert_eq!(of("notified", "spawns_what_calls_later"), 1, "{warnings:?}");
    assert!(warnings[0].contains("id=\"spawns\""), "{warnings:?}");
}

async fn a_step_that_forbids_calls_outside_refuses_one_in_a_spawned_task(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.scope(spawns_what_is_forbidden(2)).await.unwrap(), None);
    app.shutdown().await;
}

async fn plain_calls_beside_running_workflows_are_no_warning(database: &TestDatabase) {
    let log = logged(database, async || {
        let key = fresh("handlers");
        let (go, gone) = oneshot::channel::<()>();
        // Handlers of requests: tasks from before, and from during the wait of a body for something else.
        let earlier = tokio::spawn(async move {
            gone.await.unwrap();
            called_by_handlers(1).await
        });
        let waiting = waits_for_a_task(key.clone()).start().await.unwrap();
        arrived(&key, 1).await;
        tokio::task::yield_now().await; // its first poll has ended
        go.send(()).unwrap();
        assert_eq!(earlier.await.unwrap().unwrap(), 1);
        assert_eq!(tokio::spawn(async { called_by_handlers(2).await }).await.unwrap().unwrap(), 2);
        assert_eq!(called_by_handlers(3).await.unwrap(), 3);
        gate(&key).add_permits(1);
        waiting.await.unwrap();
    })
    .await;
    let warnings = log.lines("called_by_handlers").into_iter().filter(|it| it.contains(WARNING)).count();
    assert_eq!(warnings, 0, "{}", log.text());
}
