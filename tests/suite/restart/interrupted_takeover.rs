//! A takeover on a connection that breaks: the workflows are still run.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{FaultPlan, FaultyStore, TestDatabase, arrived, database_tests, fresh, gate};

database_tests! {
    workflows_are_run_although_reading_their_records_failed_once,
    workflows_are_run_although_the_answer_of_the_takeover_was_lost,
}

#[step]
async fn hold(key: &str) {
    crate::support::count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[workflow]
async fn left_behind(key: String) -> Result<u32> {
    hold(&key).await;
    Ok(7)
}

/// A live executor takes over from a crashed one, and the reply to one of its calls is lost.
async fn heir_loses(database: &TestDatabase, call: &'static str) {
    let key = fresh("left behind");
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    let short = Duration::from_millis(600);
    let heir =
        database.builder("heir").lease(short).store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let dead = database.builder("dead").lease(short).launch().await.unwrap();
    dead.scope(async { left_behind(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    faulty.lose_next_answer(call);
    database.crash(dead).await;

    gate(&key).add_permits(2);
    let handle = heir.retrieve_workflow::<u32>("w").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), handle.result()).await;
    assert_eq!(ended.expect("it is not forgotten").unwrap(), 7);
    assert!(faulty.lost_an_answer(), "the fault has happened");
    heir.shutdown().await;
    inner.close().await;
}

async fn workflows_are_run_although_reading_their_records_failed_once(database: &TestDatabase) {
    heir_loses(database, "records").await;
}

async fn workflows_are_run_although_the_answer_of_the_takeover_was_lost(database: &TestDatabase) {
    heir_loses(database, "take_over").await;
}
