//! Repairs of workflows with transactions in a database of the application, whose records are there.

use durable::prelude::*;
use durable::sqlx::{self, SqliteConnection, SqlitePool};

use crate::support::{TestDatabase, count, counted, fresh};

#[transaction(database = "accounts")]
async fn add_entry(tx: &mut SqliteConnection, text: &str, works: &str) -> Result<u32> {
    sqlx::query("insert into entries values ($1)").bind(text).execute(&mut *tx).await?;
    if counted(works) == 0 { Err(Error::msg("not yet")) } else { Ok(count(text)) }
}

#[workflow]
async fn adds_entries(text: String, works: String) -> Result<u32> {
    add_entry(&text, &works).await
}

async fn with_entries() -> (TestDatabase, SqlitePool, Durable) {
    let database = TestDatabase::sqlite();
    let other = format!("sqlite:{}?mode=rwc", database.folder().join("other.sqlite").display());
    let pool = SqlitePool::connect(&other).await.unwrap();
    sqlx::query("create table entries (text text)").execute(&pool).await.unwrap();
    let app = database.builder("app").database("accounts", pool.clone()).launch().await.unwrap();
    (database, pool, app)
}

async fn entries(pool: &SqlitePool) -> Vec<String> {
    sqlx::query_scalar("select text from entries order by text").fetch_all(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_id_runs_its_transactions_again() {
    let (database, pool, app) = with_entries().await;
    app.scope(async {
        let works = fresh("works");
        count(&works);
        for text in ["first", "second"] {
            let text = fresh(text);
            assert_eq!(adds_entries(text, works.clone()).id("w").await.unwrap(), 1);
            assert_eq!(app.delete_workflow("w").await.unwrap(), 1);
        }
        assert_eq!(entries(&pool).await.len(), 2);
    })
    .await;
    app.shutdown().await;
    pool.close().await;
    database.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_transaction_runs_again_when_its_workflow_is_resumed() {
    let (database, pool, app) = with_entries().await;
    app.scope(async {
        let (text, works) = (fresh("entry"), fresh("works"));
        adds_entries(text.clone(), works.clone()).id("w").await.unwrap_err();
        count(&works);
        app.resume_workflow("w").await.unwrap();
        assert_eq!(durable::retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 1);
        assert_eq!(entries(&pool).await, [text]);
    })
    .await;
    app.shutdown().await;
    pool.close().await;
    database.clear().await;
}
