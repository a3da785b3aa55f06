//! Records of bodies that compute instead of waiting.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate, wait_for_steps};

database_tests! {
    a_finished_step_is_recorded_while_the_body_computes,
    records_of_a_body_that_waits_for_nothing_share_a_commit,
}

#[step]
async fn charges(key: &str) -> Result<u32> {
    Ok(count(key))
}

/// Blocks its task until the gate is opened.
fn compute(key: &str) {
    while gate(key).try_acquire().map(tokio::sync::SemaphorePermit::forget).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    count(format!("{key} computed"));
}

#[workflow]
async fn charges_and_computes(key: String) -> Result<u32> {
    let charged = charges(&key).await?;
    durable::set_event("charged", &charged).await?;
    compute(&key);
    Ok(charged)
}

async fn a_finished_step_is_recorded_while_the_body_computes(database: &TestDatabase) {
    let key = fresh("computes");
    let (builder, of_thread) = (database.builder("app").record_delay(Duration::from_millis(5)), key.clone());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let app = builder.launch().await.unwrap();
            let handle =
                app.scope(async { charges_and_computes(of_thread.clone()).id("w").start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
            let recorded = tokio::time::timeout(Duration::from_secs(10), wait_for_steps(&app, "w", 2)).await;
            let computes = counted(&format!("{of_thread} computed")) == 0;
            gate(&of_thread).add_permits(1);
            assert!(recorded.is_ok() && computes, "recorded: {}, computes: {computes}", recorded.is_ok());
            assert_eq!(handle.await.unwrap(), 1);
            app.shutdown().await;
        });
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
}

#[workflow]
async fn charges_thrice(key: String) -> Result<u32> {
    charges(&key).await?;
    charges(&key).await?;
    charges(&key).await
}

async fn records_of_a_body_that_waits_for_nothing_share_a_commit(database: &TestDatabase) {
    let key = fresh("commits");
    // On a busy machine the default delay would add a commit from time to time.
    let app = database.builder("app").record_delay(Duration::from_mins(1)).launch().await.unwrap();
    let before = app.store().statement_counts();
    assert_eq!(app.scope(async { charges_thrice(key.clone()).await }).await.unwrap(), 3);
    assert_eq!((app.store().statement_counts() - before).commits, 4);
    app.shutdown().await;
}
