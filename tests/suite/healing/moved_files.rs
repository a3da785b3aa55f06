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

/// An engine whose file is taken away, with a workflow and a transaction that are begun after that.
struct WithoutFile {
    database: TestDatabase,
    app: Durable,
    start: tokio::task::JoinHandle<Result<u32>>,
    transaction: tokio::task::JoinHandle<Result<i64>>,
}

impl WithoutFile {
    async fn new(take_away: fn(&Path, &Path)) -> Self {
        let database = TestDatabase::sqlite();
        let app = database.launch().await;
        assert_eq!(app.scope(seven_in_a_file().id("before")).await.unwrap(), 7);
        take_away(&path(&database), &path(&database).with_extension("aside"));
        let start = app.spawn_scoped(seven_in_a_file().id("meanwhile"));
        let transaction = app.spawn_scoped(transacts().id("transaction"));
        tokio::time::sleep(QUIET).await;
        assert!(!start.is_finished() && !transaction.is_finished(), "nothing is confirmed");
        Self { database, app, start, transaction }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_into_a_file_that_was_moved_until_it_is_back() {
    let moved = WithoutFile::new(|file, aside| std::fs::rename(file, aside).unwrap()).await;
    let file = path(&moved.database);
    std::fs::rename(file.with_extension("aside"), &file).unwrap();
    assert_eq!(moved.start.await.unwrap().unwrap(), 7);
    assert_eq!(moved.transaction.await.unwrap().unwrap(), 1);
    moved.app.shutdown().await;
    assert_eq!(moved.database.workflows().await.len(), 3, "all of it is in the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_into_a_file_that_was_replaced() {
    let replace = |file: &Path, aside: &Path| {
        std::fs::rename(file, aside).unwrap();
        std::fs::copy(aside, file).unwrap();
    };
    let replaced = WithoutFile::new(replace).await;
    replaced.app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(replaced.start.await.unwrap().is_err() && replaced.transaction.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_into_a_file_that_was_deleted() {
    let deleted = WithoutFile::new(|file, _| std::fs::remove_file(file).unwrap()).await;
    deleted.app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(deleted.start.await.unwrap().is_err() && deleted.transaction.await.unwrap().is_err());
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
