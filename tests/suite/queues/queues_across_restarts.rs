//! Queues across crashes and shutdowns.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{
    FaultPlan, FaultyStore, HoldAt, TestDatabase, arrived, count, counted, database_tests, fresh, gate,
};

database_tests! {
an_enqueued_workflow_survives_a_crash,
slots_of_a_crashed_process_become_free,
a_shutdown_returns_queued_workflows_without_counting_a_recovery,
a_queued_workflow_that_a_shutdown_returned_runs_no_recorded_step_again,
a_panic_releases_the_slot,
workflows_of_a_claim_without_an_answer_are_run,
a_claimed_workflow_that_could_not_start_is_run_after_the_outage,
a_queued_workflow_unknown_to_this_program_stays_enqueued,
enqueueing_works_until_the_end_of_the_drain,
}

#[queue]
static ONE: Queue = Queue::new("lifetime-one").concurrency(1);

#[step]
async fn holding(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[step]
async fn recorded_before(key: &str) -> u32 {
    count(format!("{key} before"))
}

#[workflow]
async fn queued_with_records(key: String) -> Result<u32> {
    let first = recorded_before(&key).await;
    holding(&key).await;
    Ok(first)
}

#[workflow]
async fn queued(key: String) -> Result<u32> {
    holding(&key).await;
    Ok(1)
}

async fn an_enqueued_workflow_survives_a_crash(database: &TestDatabase) {
    let key = fresh("survives");
    let app = database.builder("enqueues").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async { queued(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    database.crash(app).await;
    gate(&key).add_permits(1);
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
}

async fn slots_of_a_crashed_process_become_free(database: &TestDatabase) {
    let key = fresh("dead");
    let app = database.launch().await;
    app.scope(async {
        queued(key.clone()).queue(&ONE).id("a").start().await.unwrap();
        queued(key.clone()).queue(&ONE).id("b").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    database.crash(app).await;

    gate(&key).add_permits(3);
    let app = database.launch().await;
    for id in ["a", "b"] {
        assert_eq!(app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 1);
    }
    let infos = app.list_workflows(Filter::new()).await.unwrap();
    assert_eq!(infos.iter().map(|it| it.recoveries).collect::<Vec<_>>(), [1, 0]);
    app.shutdown().await;
}

async fn a_shutdown_returns_queued_workflows_without_counting_a_recovery(database: &TestDatabase) {
    let key = fresh("back");
    let app = database.launch().await;
    app.scope(async { queued(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.shutdown_with(ShutdownOptions::immediate()).await;
    let info = database.workflows().await.remove(0);
    assert_eq!((info.status, info.recoveries, info.executor), (Status::Enqueued, 0, None));
    gate(&key).add_permits(2);
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
}

async fn a_queued_workflow_that_a_shutdown_returned_runs_no_recorded_step_again(database: &TestDatabase) {
    let key = fresh("returned with records");
    let app = database.launch().await;
    app.scope(async { queued_with_records(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.shutdown_with(ShutdownOptions::immediate()).await;
    assert_eq!(database.workflows().await[0].status, Status::Enqueued);
    gate(&key).add_permits(2);
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    assert_eq!(counted(&format!("{key} before")), 1, "it was recorded before the shutdown");
    app.shutdown().await;
}

#[workflow]
async fn panics_in_the_queue() -> Result<u32> {
    panic!("it was meant to")
}

async fn workflows_of_a_claim_without_an_answer_are_run(database: &TestDatabase) {
    let key = fresh("lost-claim");
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    let app = database.builder("deaf").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.listening().await;
    faulty.lose_next_answer("claim");
    gate(&key).add_permits(2);
    app.scope(async {
        let handles =
            [queued(key.clone()).enqueue(&ONE).await.unwrap(), queued(key.clone()).enqueue(&ONE).await.unwrap()];
        for handle in handles {
            assert_eq!(handle.await.unwrap(), 1);
        }
    })
    .await;
    assert!(faulty.lost_an_answer());
    app.shutdown().await;
    assert_eq!(counted(&key), 2);
    inner.close().await;
}

async fn a_claimed_workflow_that_could_not_start_is_run_after_the_outage(database: &TestDatabase) {
    let key = fresh("neither");
    let app = database.launch().await;
    app.scope(async { queued(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    faulty.hold_next("records", HoldAt::Before);
    let app = database.builder("suite").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    // It is claimed; now its records cannot be read, and the claim cannot be returned.
    faulty.wait_for_held_calls(1).await;
    faulty.set_unreachable(true);
    faulty.hold_next("release_unknown_claims", HoldAt::Before);
    faulty.release_held_call();
    let returned = tokio::time::timeout(Duration::from_secs(20), faulty.wait_for_held_calls(2)).await;
    returned.expect("the dispatcher remembers that it may hold something");
    faulty.set_unreachable(false);
    faulty.release_held_call();
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
    inner.close().await;
}

async fn a_panic_releases_the_slot(database: &TestDatabase) {
    let key = fresh("panic");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async {
        let panics = panics_in_the_queue().enqueue(&ONE).await.unwrap();
        let after = queued(key.clone()).enqueue(&ONE).await.unwrap();
        assert!(panics.await.is_err());
        assert_eq!(after.await.unwrap(), 1);
    })
    .await;
    app.shutdown().await;
}

async fn a_queued_workflow_unknown_to_this_program_stays_enqueued(database: &TestDatabase) {
    let key = fresh("unknown");
    let app = database.launch().await;
    let mut foreign = durable_core::store::NewWorkflow {
        key: 1.into(),
        id: "foreign".to_owned(),
        name: "of_another_program".to_owned(),
        input: "{}".to_owned(),
        instance: None,
        parent: None,
        version: None,
        fingerprint: 0.into(),
        timeout: None,
        deadline: None,
        placement: None,
        context: durable_core::store::StartContext::default(),
    };
    foreign.placement = Some(durable_core::store::QueuePlacement {
        queue: ONE.name().to_owned(),
        ..durable_core::store::QueuePlacement::default()
    });
    let executor = durable_core::store::NewExecutor {
        key: 2.into(),
        name: "other".to_owned(),
        host: "other".to_owned(),
        lock_file: None,
        version: String::new(),
        takes: None,
        lease: Duration::from_hours(1),
    };
    let store = app.store();
    let fence = store.register_executor(&executor).await.unwrap();
    let entry = durable_core::store::Entry { start: Some(foreign.into()), ..durable_core::store::Entry::default() };
    store.commit(fence, &[entry], false).await.unwrap();
    gate(&key).add_permits(1);
    app.scope(async { assert_eq!(queued(key.clone()).enqueue(&ONE).await.unwrap().await.unwrap(), 1) }).await;
    let foreign = app.retrieve_workflow::<u32>("foreign").await.unwrap();
    assert_eq!(foreign.status().await.unwrap(), Status::Enqueued);
    app.shutdown().await;
}

#[workflow]
async fn enqueues_late(key: String) -> Result<String> {
    holding(&key).await;
    let handle = queued(key).id("late").enqueue(&ONE).await?;
    Ok(handle.id().to_owned())
}

async fn enqueueing_works_until_the_end_of_the_drain(database: &TestDatabase) {
    let key = fresh("late");
    let app = database.launch().await;
    let handle = app.scope(async { enqueues_late(key.clone()).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.request_shutdown();
    gate(&key).add_permits(1);
    assert_eq!(handle.await.unwrap(), "late");
    app.shutdown().await;
    let late = database.workflows().await.into_iter().find(|it| it.id == "late").unwrap();
    assert_eq!(late.status, Status::Enqueued, "it is not claimed here any more");
}
