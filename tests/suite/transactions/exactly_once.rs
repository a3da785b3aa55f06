//! A crash before and after every commit of five transactions: each takes effect once.

use std::sync::Arc;

use durable::prelude::*;
use durable::sqlx::{self, AssertSqlSafe, PgConnection, SqliteConnection};
use durable_core::store::Store;

use crate::support::{FaultMode, TestDatabase, arrived, count, database_tests, failing_at, fresh, gate};

database_tests! {
a_crash_before_any_commit_applies_each_transaction_once,
a_crash_after_any_commit_applies_each_transaction_once,
losing_the_answer_of_any_commit_applies_each_transaction_once,
}

#[transaction]
async fn add_lite(tx: &mut SqliteConnection, text: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(tx).await?;
    Ok(())
}

#[transaction]
async fn add_pg(tx: &mut PgConnection, text: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(tx).await?;
    Ok(())
}

#[transaction(database = "other")]
async fn add_elsewhere(tx: &mut SqliteConnection, text: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(tx).await?;
    Ok(())
}

#[transaction(read_only)]
async fn count_lite(tx: &mut SqliteConnection, text: String) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(tx).await?)
}

#[transaction(read_only)]
async fn count_pg(tx: &mut PgConnection, text: String) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(tx).await?)
}

#[step]
async fn between(number: u32) -> u32 {
    number
}

/// Five transactions, and a step between the second and the third, whose record is committed with the third.
#[workflow]
async fn five_transactions(table: String, key: String, postgres: bool) -> Result<u32> {
    let mut sum = 0;
    for number in 1..=5 {
        let text = format!("insert into {table} values ('{key}', {number})");
        if postgres {
            add_pg(text).await?;
        } else {
            add_lite(text).await?;
        }
        if number == 2 {
            sum += between(40).await;
        }
    }
    Ok(sum)
}

async fn run(database: &TestDatabase, mode: FaultMode) {
    let postgres = database.is_postgres();
    let table = if postgres { format!("\"{}\".applied", database.schema()) } else { "applied".to_owned() };
    let app = database.launch().await;
    let create = format!("create table {table} (key text, number bigint)");
    app.scope(async { if postgres { add_pg(create).await } else { add_lite(create).await } }).await.unwrap();
    app.shutdown().await;

    for at in 1.. {
        let key = fresh("five");
        let faulty = failing_at(database, mode, at).await;
        let app = database.builder("faulty").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let call = app.spawn_scoped(five_transactions(table.clone(), key.clone(), postgres).id(&key));
        faulty.result_or_death(call).await;
        drop(app);
        faulty.close().await;

        let app = database.launch().await;
        let again = app.spawn_scoped(five_transactions(table.clone(), key.clone(), postgres).id(&key));
        assert_eq!(again.await.unwrap().unwrap(), 40, "{mode:?} at commit {at}");
        let text = format!("select count(*) from {table} where key = '{key}'");
        let counted = app.scope(async { if postgres { count_pg(text).await } else { count_lite(text).await } });
        assert_eq!(counted.await.unwrap(), 5, "{mode:?} at commit {at}: each is applied once");
        assert_eq!(app.list_steps(&key).await.unwrap().len(), 6);
        app.shutdown().await;
        if !faulty.was_reached() {
            assert!(at > 6, "the start, five transactions and the end were all tried");
            return;
        }
    }
}

async fn a_crash_before_any_commit_applies_each_transaction_once(database: &TestDatabase) {
    run(database, FaultMode::Before).await;
}

async fn a_crash_after_any_commit_applies_each_transaction_once(database: &TestDatabase) {
    run(database, FaultMode::After).await;
}

async fn losing_the_answer_of_any_commit_applies_each_transaction_once(database: &TestDatabase) {
    run(database, FaultMode::LostAnswer).await;
}

#[workflow]
async fn five_elsewhere(key: String) -> Result<u32> {
    for number in 1..=5 {
        add_elsewhere(format!("insert into applied values ('{key}', {number})")).await?;
    }
    Ok(between(5).await)
}

/// The commit in the other database and the record in the journal are two commits: a crash between
/// them must not apply the transaction again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_two_databases_applies_each_transaction_once() {
    let database = TestDatabase::sqlite();
    let other = format!("sqlite:{}?mode=rwc", database.folder().join("other.sqlite").display());
    let pool = sqlx::SqlitePool::connect(&other).await.unwrap();
    sqlx::query("create table applied (key text, number bigint)").execute(&pool).await.unwrap();
    for mode in [FaultMode::Before, FaultMode::After, FaultMode::LostAnswer] {
        for at in 1.. {
            let key = fresh("elsewhere");
            let faulty = failing_at(&database, mode, at).await;
            let builder = database.builder("faulty").database("other", pool.clone());
            let app = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
            faulty.result_or_death(app.spawn_scoped(five_elsewhere(key.clone()).id(&key))).await;
            drop(app);
            faulty.close().await;

            let app = database.builder("again").database("other", pool.clone()).launch().await.unwrap();
            let again = app.spawn_scoped(five_elsewhere(key.clone()).id(&key));
            assert_eq!(again.await.unwrap().unwrap(), 5, "{mode:?} at commit {at}");
            let count = "select count(*) from applied where key = $1";
            let applied: i64 = sqlx::query_scalar(count).bind(&key).fetch_one(&pool).await.unwrap();
            assert_eq!(applied, 5, "{mode:?} at commit {at}: each is applied once");
            assert_eq!(app.list_steps(&key).await.unwrap().len(), 6);
            app.shutdown().await;
            if !faulty.was_reached() {
                assert!(at > 5, "every commit of the journal was tried");
                break;
            }
        }
    }
    pool.close().await;
}

#[transaction(database = "other")]
async fn add_when_opened(tx: &mut SqliteConnection, key: &str) -> Result<()> {
    let insert = "insert into applied values ($1, 1)";
    sqlx::query(insert).bind(key).execute(&mut *tx).await?;
    count(key);
    gate(key).acquire().await?.forget();
    Ok(())
}

#[workflow]
async fn adds_when_opened(key: String) -> Result<()> {
    add_when_opened(&key).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_executor_commits_nothing_in_another_database() {
    let database = TestDatabase::sqlite();
    let other = format!("sqlite:{}?mode=rwc", database.folder().join("other.sqlite").display());
    let pool = sqlx::SqlitePool::connect(&other).await.unwrap();
    sqlx::query("create table applied (key text, number bigint)").execute(&pool).await.unwrap();
    let key = fresh("deposed");
    let app = database.builder("a").database("other", pool.clone()).launch().await.unwrap();
    app.spawn_scoped(adds_when_opened(key.clone()).id("w"));
    arrived(&key, 1).await;
    let store = app.store();
    let me = store.executors().await.unwrap().pop().unwrap();
    assert!(store.fence_out(me.key, me.epoch).await.unwrap());
    gate(&key).add_permits(1);
    let report = app.shutdown().await; // returns when the body is gone
    assert_eq!(report.completed, 0, "{report}");
    let applied: i64 = sqlx::query_scalar("select count(*) from applied").fetch_one(&pool).await.unwrap();
    assert_eq!(applied, 0, "it was undone, for the workflow was no longer its own");
    pool.close().await;
}
