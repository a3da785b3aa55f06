//! SQLite files that are moved, replaced or deleted while they are in use.

use std::path::{Path, PathBuf};

use durable::prelude::*;

use crate::support::TestDatabase;

/// After this time nothing more is expected to happen.
const QUIET: Duration = Duration::from_millis(300);

#[workflow]
async fn seven_in_a_file() -> Result<u32> {
    Ok(7)
}

#[transaction]
async fn selects_one(tx: &mut sqlx::SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1").fetch_one(tx).await?)
}

#[workflow]
async fn transacts() -> Result<i64> {
    selects_one().await
}

fn path(database: &TestDatabase) -> PathBuf {
    PathBuf::from(database.url().trim_start_matches("sqlite:"))
}

/// Nothing is confirmed while the file is away, and everything continues when it is back.
async fn is_noticed(take_away: fn(&Path, &Path)) {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    assert_eq!(app.scope(seven_in_a_file().id("before")).await.unwrap(), 7);
    let (file, aside) = (path(&database), path(&database).with_extension("aside"));
    take_away(&file, &aside);
    let start = app.spawn_scoped(seven_in_a_file().id("meanwhile"));
    let transaction = app.spawn_scoped(transacts().id("transaction"));
    tokio::time::sleep(QUIET).await;
    assert!(!start.is_finished() && !transaction.is_finished(), "nothing is confirmed");
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(start.await.unwrap().unwrap(), 7);
    assert_eq!(transaction.await.unwrap().unwrap(), 1);
    app.shutdown().await;
    assert_eq!(database.workflows().await.len(), 3, "all of it is in the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_into_a_file_that_was_moved() {
    is_noticed(|file, aside| std::fs::rename(file, aside).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_into_a_file_that_was_replaced() {
    let replace = |file: &Path, aside: &Path| {
        std::fs::rename(file, aside).unwrap();
        std::fs::copy(aside, file).unwrap();
    };
    is_noticed(replace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_beside_the_log_of_a_file_that_is_gone_is_refused() {
    let database = TestDatabase::sqlite();
    let app = database.launch().await;
    let file = path(&database);
    std::fs::remove_file(&file).unwrap();
    let error = database.builder("app").launch().await.expect_err("an empty database would be made");
    let text = error.to_string();
    assert!(text.contains("the file is gone") && text.contains("app.sqlite-wal"), "{text}");
    assert!(!file.exists(), "none was made");
    app.shutdown_with(ShutdownOptions::immediate()).await;
}
