//! Workflows that a living executor owns and does not run: they are found and run again.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::{ClaimRequest, Fence, NewRecord, NewWorkflow, QueuePlacement, Store};

use crate::support::store_queues::on_queue;
use crate::support::store_rows::{begin, commit, record, records, workflow};
use crate::support::{
    FaultMode, FaultPlan, FaultyStore, HoldAt, TestDatabase, arrived, count, counted, database_tests, fresh, gate,
    until,
};

database_tests! {
    a_workflow_that_lost_its_task_runs_within_a_heartbeat,
    a_claimed_workflow_that_lost_its_task_returns_to_its_queue,
    a_workflow_whose_end_and_parking_are_refused_runs_again,
    starts_and_claims_under_way_are_not_taken_for_workflows_without_a_task,
    records_that_cannot_be_read_again_are_read_later,
    a_start_whose_answer_is_lost_in_an_outage_runs_once,
}

mod sqlite_only {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn damaged_rows_park_their_workflows_and_no_others() {
        let database = crate::support::TestDatabase::sqlite();
        super::damaged_rows_park_their_workflows_and_no_others(&database).await;
        database.clear().await;
    }
}

/// Heartbeats are a third of it apart.
const SHORT_LEASE: Duration = Duration::from_millis(600);

#[workflow]
async fn returns_seven() -> Result<u32> {
    Ok(7)
}

#[queue]
static LOST: Queue = Queue::new("healing-lost");

async fn own_fence(store: &dyn Store) -> Fence {
    let executor = store.executors().await.unwrap().pop().expect("one is launched");
    Fence { executor: executor.key, epoch: executor.epoch }
}

async fn a_workflow_that_lost_its_task_runs_within_a_heartbeat(database: &TestDatabase) {
    let app = database.builder("a").lease(SHORT_LEASE).launch().await.unwrap();
    let store = app.store();
    let lost = NewWorkflow { name: "returns_seven".to_owned(), input: "{}".to_owned(), ..workflow("lost") };
    commit(&*store, own_fence(&*store).await, begin(&lost)).await;
    assert_eq!(app.retrieve_workflow::<u32>("lost").await.unwrap().await.unwrap(), 7);
    let report = app.shutdown().await;
    assert_eq!(report.released_without_task, 1, "{report}");
}

async fn a_claimed_workflow_that_lost_its_task_returns_to_its_queue(database: &TestDatabase) {
    let app = database.builder("a").lease(SHORT_LEASE).launch().await.unwrap();
    let store = app.store();
    LOST.pause().await.unwrap_or_default();
    let fence = own_fence(&*store).await;
    let place = QueuePlacement { queue: "healing-claimed".to_owned(), ..on_queue() };
    let lost = NewWorkflow {
        name: "returns_seven".to_owned(),
        input: "{}".to_owned(),
        placement: Some(place),
        ..workflow("lost")
    };
    commit(&*store, fence, begin(&lost)).await;
    // No process works on this queue, so what is claimed from it has no task.
    let known = vec!["returns_seven".to_owned()];
    let claim = ClaimRequest { fence, queue: "healing-claimed".to_owned(), known, limit: 10 };
    assert_eq!(store.claim(&claim).await.unwrap().runs.len(), 1);
    until("it is back on its queue", async || {
        app.retrieve_workflow::<u32>("lost").await.unwrap().status().await.unwrap() == Status::Enqueued
    })
    .await;
    app.shutdown().await;
}

async fn a_workflow_whose_end_and_parking_are_refused_runs_again(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    // The first commit is the start. The end is refused, and so is the parking that stands in for it.
    let faults = BTreeMap::from([(2, FaultMode::Refused), (3, FaultMode::Refused)]);
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan { faults, ..FaultPlan::default() }));
    let app =
        database.builder("a").lease(SHORT_LEASE).store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async { returns_seven().id("w").start().await.unwrap() }).await;
    until("it has run again", async || {
        app.retrieve_workflow::<u32>("w").await.unwrap().status().await.unwrap() == Status::Success
    })
    .await;
    let report = app.shutdown().await;
    assert_eq!(report.released_without_task, 1, "{report}");
    inner.close().await;
}

#[step]
async fn once(key: &str) -> u32 {
    let run = count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
    run
}

#[workflow]
async fn runs_once(key: String) -> Result<u32> {
    Ok(once(&key).await)
}

async fn starts_and_claims_under_way_are_not_taken_for_workflows_without_a_task(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    let short = Duration::from_millis(150);
    let app = database.builder("a").lease(short).store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let (started, claimed) = (fresh("started"), fresh("claimed"));
    for (key, held) in [(&started, "commit"), (&claimed, "claim healing-lost")] {
        faulty.hold_next(held, HoldAt::After);
        let call = runs_once(key.clone()).id(key);
        let call = app.spawn_scoped(if held == "commit" { call } else { call.queue(&LOST) });
        faulty.wait_for_held_calls(if held == "commit" { 1 } else { 2 }).await;
        tokio::time::sleep(10 * short / 3).await; // ten heartbeats, none of which may release it
        faulty.release_held_call();
        arrived(key, 1).await;
        gate(key).add_permits(10);
        assert_eq!(call.await.unwrap().unwrap(), 1);
        assert_eq!(app.list_workflows(Filter::new().id(key)).await.unwrap()[0].attempts, 1);
        assert_eq!(counted(key), 1);
    }
    let report = app.shutdown().await;
    assert_eq!(report.released_without_task, 0, "{report}");
}

#[step]
async fn number(it: u32) -> u32 {
    it
}

#[workflow]
async fn two_numbers(key: String) -> Result<(u32, u32)> {
    let first = number(1).await;
    once(&key).await;
    Ok((first, number(2).await))
}

async fn records_that_cannot_be_read_again_are_read_later(database: &TestDatabase) {
    let key = fresh("reload");
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    let app = database.builder("a").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let handle = app.scope(async { two_numbers(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    // Another run records the second step first, so this run has to read the journal again.
    let row = inner.find("w").await.unwrap().expect("it runs");
    let other = NewRecord { name: "once".into(), ..record(row.key, 2, "5") };
    commit(&*inner, own_fence(&*inner).await, records([other])).await;
    faulty.lose_next_answer("records");
    gate(&key).add_permits(1);
    assert_eq!(handle.await.unwrap(), (1, 2));
    assert!(faulty.lost_an_answer());
    app.shutdown().await;
}

async fn damaged_rows_park_their_workflows_and_no_others(database: &TestDatabase) {
    let (damaged, fine) = (fresh("damaged"), fresh("fine"));
    let app = database.launch().await;
    app.scope(async {
        runs_once(fine.clone()).id("fine").start().await.unwrap();
        runs_once(damaged.clone()).id("input").start().await.unwrap();
        two_numbers(damaged.clone()).id("record").start().await.unwrap();
    })
    .await;
    arrived(&damaged, 2).await;
    arrived(&fine, 1).await;
    until("the first step is recorded", async || app.list_steps("record").await.unwrap().len() == 1).await;
    database.crash(app).await;
    let pool = sqlx::SqlitePool::connect(database.url()).await.unwrap();
    for statement in [
        "update durable_workflows set input = cast(x'ff' as text) where id = 'input'",
        "update durable_steps set output = cast(x'ff' as text)",
    ] {
        assert_eq!(sqlx::query(statement).execute(&pool).await.unwrap().rows_affected(), 1, "{statement}");
    }
    pool.close().await;

    let app = database.builder("app").executor_id("again").lease(SHORT_LEASE).launch().await.unwrap();
    app.store().executors().await.unwrap();
    arrived(&fine, 2).await;
    gate(&fine).add_permits(2);
    app.retrieve_workflow::<u32>("fine").await.unwrap().await.unwrap();
    for (id, reason) in [("input", "the arguments cannot be read"), ("record", "the record of `number` at position 1")]
    {
        let error = app.retrieve_workflow::<u32>(id).await.unwrap().await.expect_err("it is parked");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap().len(), 3, "and they can be listed");
    app.shutdown().await;
}

async fn a_start_whose_answer_is_lost_in_an_outage_runs_once(database: &TestDatabase) {
    let key = fresh("lost-answer");
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    // The start is stored, and for many heartbeats the writer does not learn that.
    let lost = (1, FaultMode::LostAnswer);
    let faults = std::iter::once(lost).chain((2..=11).map(|number| (number, FaultMode::Unreachable))).collect();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan { faults, ..FaultPlan::default() }));
    let short = Duration::from_millis(150);
    let app = database.builder("a").lease(short).store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    gate(&key).add_permits(10);
    assert_eq!(app.scope(runs_once(key.clone()).id("w")).await.unwrap(), 1);
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap()[0].attempts, 1);
    let report = app.shutdown().await;
    assert_eq!((report.released_without_task, counted(&key)), (0, 1), "{report}");
    inner.close().await;
}
