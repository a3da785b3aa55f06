//! The threads of steps that block.

use std::sync::mpsc::channel;

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
    a_plain_step_runs_on_a_thread_of_the_engine,
    no_more_blocking_steps_run_at_once_than_allowed,
    a_runtime_that_is_dropped_does_not_wait_for_a_blocking_step,
}

#[step]
fn names_its_thread() -> String {
    tokio::runtime::Handle::current().block_on(async { std::thread::current().name().unwrap_or_default().to_owned() })
}

#[workflow]
async fn asks_for_the_thread() -> Result<String> {
    Ok(names_its_thread().await)
}

async fn a_plain_step_runs_on_a_thread_of_the_engine(database: &TestDatabase) {
    let app = database.launch().await;
    let names = app.scope(async { (asks_for_the_thread().await.unwrap(), asks_for_the_thread().await.unwrap()) }).await;
    assert_eq!(names, ("durable-step-1".to_owned(), "durable-step-1".to_owned()), "the idle one is used again");
    app.shutdown().await;
}

/// Blocks its thread until the gate is opened. Returns how many others ran at its beginning.
#[step]
fn blocks_until_released(key: String) -> u32 {
    let others = count(&key) - 1 - counted(&format!("{key} ended"));
    while gate(&key).try_acquire().map(tokio::sync::SemaphorePermit::forget).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    count(format!("{key} ended"));
    others
}

#[workflow]
async fn blocks_in_a_step(key: String) -> Result<u32> {
    let step = blocks_until_released(key.clone());
    count(format!("{key} made"));
    Ok(step.await)
}

async fn no_more_blocking_steps_run_at_once_than_allowed(database: &TestDatabase) {
    let key = fresh("threads");
    let app = database.builder("two threads").max_blocking_steps(2).launch().await.unwrap();
    app.scope(async {
        let mut handles = Vec::new();
        for _ in 0..5 {
            handles.push(blocks_in_a_step(key.clone()).start().await.unwrap());
        }
        arrived(&format!("{key} made"), 5).await;
        arrived(&key, 2).await;
        assert_eq!(asks_nothing_of_a_thread().await.unwrap(), 1, "the others do not block their tasks");
        assert_eq!(counted(&key), 2);
        gate(&key).add_permits(5);
        let mut others = 0;
        for handle in handles {
            others = others.max(handle.await.unwrap());
        }
        assert_eq!(others, 1);
    })
    .await;
    app.shutdown().await;
}

#[workflow]
async fn asks_nothing_of_a_thread() -> Result<u32> {
    Ok(1)
}

async fn a_runtime_that_is_dropped_does_not_wait_for_a_blocking_step(database: &TestDatabase) {
    let key = fresh("returning main");
    let (builder, of_thread) = (database.builder("app"), key.clone());
    let (ended, end) = channel();
    let main = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let app = builder.launch().await.unwrap();
            app.scope(async { blocks_in_a_step(of_thread.clone()).start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
        });
        drop(runtime); // what a returning `main` does
        ended.send(()).unwrap();
    });
    let waited = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(20))).await.unwrap();
    let blocks = counted(&format!("{key} ended")) == 0;
    gate(&key).add_permits(1);
    tokio::task::spawn_blocking(|| main.join().unwrap()).await.unwrap();
    assert!(waited.is_ok() && blocks, "the step still blocked its thread: {blocks}");
}
