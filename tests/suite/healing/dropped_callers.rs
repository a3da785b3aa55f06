//! Callers whose future is dropped at some moment of a call: what follows a commit happens all the same.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{
    FaultPlan, FaultyStore, HoldAt, Random, TestDatabase, arrived, count, database_tests, fresh, gate, until,
};

database_tests! {
    a_start_returns_after_its_commit,
    a_start_whose_caller_is_gone_runs,
    starts_that_are_dropped_at_random_moments_run_or_were_never_begun,
    a_child_whose_start_lost_a_select_runs,
    a_transaction_that_lost_a_select_leaves_its_workflow_going,
    a_cancellation_whose_caller_is_gone_stops_the_body,
}

#[step]
async fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[workflow]
async fn adds_two(a: u64) -> Result<u64> {
    Ok(add(add(a, 1).await, 1).await)
}

async fn faulty(database: &TestDatabase) -> (Durable, Arc<FaultyStore>) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    let app = database.builder("a").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    (app, faulty)
}

/// Returns once every workflow that was begun has run.
async fn all_succeed(app: &Durable) {
    until("all have run", async || {
        let all = app.list_workflows(Filter::new().limit(10_000)).await.unwrap();
        all.iter().all(|it| it.status == Status::Success)
    })
    .await;
}

#[queue]
static CONFIRMED: Queue = Queue::new("healing-confirmed");

async fn a_start_returns_after_its_commit(database: &TestDatabase) {
    let (app, faulty) = faulty(database).await;
    for (id, queued, held) in [("direct", false, 1), ("queued", true, 2)] {
        faulty.hold_next("commit", HoldAt::Before);
        let call = adds_two(1).id(id);
        let call = if queued { call.queue(&CONFIRMED) } else { call };
        let mut started = app.spawn_scoped(call.start());
        faulty.wait_for_held_calls(held).await;
        let early = tokio::time::timeout(Duration::from_millis(100), &mut started).await;
        assert!(early.is_err(), "{id}: nothing is stored yet, and a crash would lose it");
        faulty.release_held_call();
        assert_eq!(started.await.unwrap().unwrap().await.unwrap(), 3);
    }
    app.shutdown().await;
}

async fn a_start_whose_caller_is_gone_runs(database: &TestDatabase) {
    let (app, faulty) = faulty(database).await;
    faulty.hold_next("commit", HoldAt::After);
    let caller = app.spawn_scoped(adds_two(1).id("w"));
    faulty.wait_for_held_call().await;
    caller.abort();
    assert!(caller.await.expect_err("it was dropped").is_cancelled());
    faulty.release_held_call();

    assert_eq!(app.retrieve_workflow::<u64>("w").await.unwrap().await.unwrap(), 3);
    assert_eq!(app.scope(adds_two(1).id("w")).await.unwrap(), 3, "a second call gets the result of the first");
    app.shutdown().await;
}

async fn starts_that_are_dropped_at_random_moments_run_or_were_never_begun(database: &TestDatabase) {
    let app = database.launch().await;
    let mut random = Random::new("moments");
    for number in 0..200 {
        let start = app.scope(async { adds_two(1).id(format!("order-{number}")).start().await });
        let _ = tokio::time::timeout(Duration::from_micros(random.below(2_000)), start).await;
    }
    all_succeed(&app).await;
    for number in 0..200 {
        assert_eq!(app.scope(adds_two(1).id(format!("order-{number}"))).await.unwrap(), 3);
    }
    app.shutdown().await;
}

#[workflow(nondeterminism = "allow")] // the call is dropped at any moment of it
async fn starts_a_child_against_the_clock(micros: u64) -> Result<()> {
    tokio::select! {
        started = adds_two(1).start() => drop(started?),
        () = tokio::time::sleep(Duration::from_micros(micros)) => {}
    }
    Ok(())
}

async fn a_child_whose_start_lost_a_select_runs(database: &TestDatabase) {
    let app = database.launch().await;
    let mut random = Random::new("moments");
    for _ in 0..100 {
        app.scope(starts_a_child_against_the_clock(random.below(2_000))).await.unwrap();
    }
    all_succeed(&app).await;
    app.run_until_idle().await; // and it ends, because nothing is left
}

#[transaction]
async fn reads_one(tx: &mut sqlx::SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1").fetch_one(tx).await?)
}

#[transaction]
async fn reads_one_in_postgres(tx: &mut sqlx::PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1::bigint").fetch_one(tx).await?)
}

#[workflow(nondeterminism = "allow")] // the call is dropped at any moment of it
async fn transacts_against_the_clock(micros: u64, postgres: bool) -> Result<u64> {
    let before = add(1, 1).await; // goes along with the transaction's commit
    let transaction = async { if postgres { reads_one_in_postgres().await } else { reads_one().await } };
    tokio::select! {
        read = transaction => assert_eq!(read?, 1),
        () = tokio::time::sleep(Duration::from_micros(micros)) => {}
    }
    Ok(add(before, 1).await)
}

async fn a_transaction_that_lost_a_select_leaves_its_workflow_going(database: &TestDatabase) {
    let app = database.launch().await;
    let mut random = Random::new("moments");
    for _ in 0..100 {
        let call = transacts_against_the_clock(random.below(2_000), database.is_postgres());
        assert_eq!(app.scope(call).await.unwrap(), 3);
    }
    app.shutdown().await;
}

#[step]
async fn waits(key: &str) {
    count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

struct CountedDrop(String);

impl Drop for CountedDrop {
    fn drop(&mut self) {
        count(self.0.clone());
    }
}

#[workflow]
async fn waits_at_a_gate(key: String) -> Result<()> {
    let _dropped = CountedDrop(format!("{key} dropped"));
    waits(&key).await;
    Ok(())
}

async fn a_cancellation_whose_caller_is_gone_stops_the_body(database: &TestDatabase) {
    let key = fresh("waits");
    let (app, faulty) = faulty(database).await;
    app.scope(async { waits_at_a_gate(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    faulty.hold_next("cancel", HoldAt::After);
    let caller = app.spawn_scoped(app.cancel_workflow("w"));
    faulty.wait_for_held_call().await;
    caller.abort();
    assert!(caller.await.expect_err("it was dropped").is_cancelled());
    faulty.release_held_call();
    arrived(&format!("{key} dropped"), 1).await;
    until("nothing runs", async || app.list_workflows(Filter::new().status(Status::Pending)).await.unwrap().is_empty())
        .await;
    app.shutdown().await;
}
