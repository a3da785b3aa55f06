//! Counters where something fails, or is not this program's own.

use std::sync::Arc;

use durable::prelude::*;
use durable::sqlx::{self, SqliteConnection, SqlitePool};
use durable_core::store::Store;

use crate::support::{
    FaultMode, FaultPlan, FaultyStore, HoldAt, Recorder, TestDatabase, failing_at, fresh, one_thread_tests, until,
};

one_thread_tests! {
    a_lost_lease_is_counted_once_however_often_registering_again_fails,
    a_transaction_that_an_earlier_run_has_committed_is_counted_where_it_is_recorded,
    what_this_program_does_not_declare_is_counted_as_other,
}

async fn a_lost_lease_is_counted_once_however_often_registering_again_fails(
    database: &TestDatabase,
    recorder: &Recorder,
) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    // Heartbeats are sent at a third of the lease. There is no other process that could take over.
    let builder = database.builder("app").lease(Duration::from_secs(2));
    let app = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let heartbeats = |outcome: &str| recorder.value(&format!(r#"durable_heartbeats_total{{outcome="{outcome}"}}"#));
    let executor = inner.executors().await.unwrap().remove(0);
    faulty.hold_next("note_alive", HoldAt::After);
    assert!(inner.fence_out(executor.key, executor.epoch).await.unwrap());
    faulty.wait_for_held_call().await;
    let failed = heartbeats("error");
    faulty.set_unreachable(true);
    faulty.release_held_call();
    until("registering again has failed", async || heartbeats("error") > failed).await;
    let succeeded = heartbeats("success");
    faulty.set_unreachable(false);
    until("it has registered again", async || heartbeats("success") > succeeded).await;
    recorder.assert(&[("durable_leases_lost_total", 1.0)]);
    assert!(inner.executors().await.unwrap().iter().any(|it| it.key != executor.key), "it is another executor now");
    app.shutdown().await;
}

#[transaction(database = "metered-elsewhere")]
async fn metered_elsewhere(tx: &mut SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1").fetch_one(tx).await?)
}

#[workflow]
async fn metered_in_two_databases() -> Result<i64> {
    metered_elsewhere().await
}

async fn a_transaction_that_an_earlier_run_has_committed_is_counted_where_it_is_recorded(
    database: &TestDatabase,
    _: &Recorder,
) {
    let url = format!("sqlite:{}?mode=rwc", database.folder().join("elsewhere.sqlite").display());
    let pool = SqlitePool::connect(&url).await.unwrap();
    // The first commit is the start, and the second one that of the record, which is lost.
    let faulty = failing_at(database, FaultMode::Before, 2).await;
    let builder = database.builder("app").database("metered-elsewhere", pool.clone());
    let app = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    faulty.result_or_death(app.spawn_scoped(metered_in_two_databases().id("w"))).await;
    assert!(faulty.is_dead());
    drop(app);
    faulty.close().await;
    // Another process has a recorder of its own.
    let recorder = Recorder::new();
    let recording = recorder.record();
    let app = database.builder("app").database("metered-elsewhere", pool.clone()).launch().await.unwrap();
    assert_eq!(app.retrieve_workflow::<i64>("w").await.unwrap().await.unwrap(), 1);
    recorder.assert(&[
        (r#"durable_steps_total{name="metered_elsewhere",outcome="success"}"#, 1.0),
        (r#"durable_step_retries_total{name="metered_elsewhere"}"#, 0.0),
        (r#"durable_step_duration_seconds_count{name="metered_elsewhere"}"#, 0.0),
    ]);
    app.shutdown().await;
    drop(recording);
    pool.close().await;
}

async fn what_this_program_does_not_declare_is_counted_as_other(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    let client = durable::Client::builder(database.url()).schema(database.schema()).connect().await.unwrap();
    let (name, queue) = (fresh("removed"), fresh("removed"));
    client.enqueue(&name, serde_json::json!({})).id("w").queue(&queue).await.unwrap();
    app.cancel_workflow("w").await.unwrap();
    recorder.assert(&[(r#"durable_workflows_cancelled_total{name="other",queue="other"}"#, 1.0)]);
    assert!(!recorder.text().contains("removed"), "{}", recorder.text());
    client.close().await;
    app.shutdown().await;
}
