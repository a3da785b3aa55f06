//! Queues and schedules: a shutdown claims nothing more, and returns what was claimed.

use std::sync::Arc;

use durable::prelude::*;
use durable::{EnginePhase, Misfire};
use durable_core::store::Store;

use crate::support::{
    FaultPlan, FaultyStore, HoldAt, TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate,
    patient, start_shutdown, until,
};

database_tests! {
a_quiesced_engine_claims_nothing,
a_claim_that_completes_during_the_shutdown_is_returned,
the_shutdown_waits_for_a_claim_in_flight,
a_shutdown_frees_the_slot_of_a_queue_with_concurrency_one,
a_quiesced_engine_fires_no_schedule_and_no_tick_is_lost,
run_until_idle_ends_when_the_queues_are_empty,
run_until_idle_does_not_wait_for_queues_of_a_quiesced_engine,
run_until_idle_inside_a_workflow_does_not_wait_for_that_workflow,
run_until_idle_waits_for_delayed_and_sleeping_workflows,
run_until_idle_can_leave_delayed_workflows,
}

#[queue]
static ONE_BY_ONE: Queue = Queue::new("shutdown-one-by-one").worker_concurrency(1);
#[queue]
static RACED: Queue = Queue::new("shutdown-raced");
#[queue]
static SINGLE: Queue = Queue::new("shutdown-single").concurrency(1);

#[step]
async fn hold_slot(key: &str, id: &str) {
    count(format!("{key} {id}"));
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn holds_slot(key: String, id: String) -> Result<u32> {
    hold_slot(&key, &id).await;
    Ok(1)
}

/// Enqueues some, without claiming any.
async fn enqueued(database: &TestDatabase, key: &str, queue: &Queue, many: u32) {
    let app = database.builder("enqueues").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        for number in 0..many {
            let id = format!("w{number}");
            holds_slot(key.to_owned(), id.clone()).id(id).enqueue(queue).await.unwrap();
        }
    })
    .await;
    app.shutdown().await;
}

async fn with(database: &TestDatabase, status: Status) -> Vec<String> {
    database.workflows().await.into_iter().filter(|it| it.status == status).map(|it| it.id).collect()
}

async fn a_quiesced_engine_claims_nothing(database: &TestDatabase) {
    let key = fresh("first");
    enqueued(database, &key, &ONE_BY_ONE, 20).await;
    let app = database.launch().await;
    arrived(&key, 1).await;
    app.quiesce();
    assert!(!app.readiness().is_ready() && app.phase() == EnginePhase::Quiesced);
    gate(&key).add_permits(20);
    let handle = app.retrieve_workflow::<u32>("w0").await.unwrap();
    assert_eq!(handle.await.unwrap(), 1, "what runs goes on");
    tokio::time::sleep(Duration::from_millis(500)).await; // nothing may happen in it
    assert_eq!(counted(&key), 1, "nothing is taken any more");
    app.shutdown().await;
    let left: Vec<_> = (1..20).map(|it| format!("w{it}")).collect();
    assert_eq!(with(database, Status::Enqueued).await, left);

    let app = database.launch().await;
    app.retrieve_workflow::<u32>("w19").await.unwrap().await.unwrap();
    assert_eq!(counted(&key), 20, "the last one was the last");
    app.shutdown().await;
}

/// Shuts down while a claim is held, and checks that it is returned.
async fn shut_down_in_a_claim(database: &TestDatabase, hold: HoldAt) {
    let key = fresh("raced");
    enqueued(database, &key, &RACED, 3).await;
    let before = database.workflows().await;
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    faulty.hold_next("claim shutdown-raced", hold);
    let app = database.builder("races").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    faulty.wait_for_held_call().await;
    let down = start_shutdown(&app, budgets(2_000, 0));
    tokio::time::sleep(Duration::from_millis(300)).await; // nothing may happen in it
    assert_eq!(app.phase(), EnginePhase::Quiesced, "the claim is waited for");
    faulty.release_held_call();
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.returned_claims == 3, "{report}");
    let after = inner.list(&Filter::new()).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&after.id, after.status, &after.executor), (&before.id, Status::Enqueued, &None));
        assert_eq!((after.created_at, after.recoveries), (before.created_at, before.recoveries));
        assert_eq!((after.attempts, after.started_at), (before.attempts, None));
    }
    assert_eq!(counted(&key), 0, "none of them began");
    inner.close().await;

    gate(&key).add_permits(3);
    let app = database.launch().await;
    for id in ["w0", "w1", "w2"] {
        assert_eq!(app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 1);
    }
    assert_eq!(counted(&key), 3);
    app.shutdown().await;
}

async fn a_claim_that_completes_during_the_shutdown_is_returned(database: &TestDatabase) {
    shut_down_in_a_claim(database, HoldAt::After).await;
}

async fn the_shutdown_waits_for_a_claim_in_flight(database: &TestDatabase) {
    shut_down_in_a_claim(database, HoldAt::Before).await;
}

async fn a_shutdown_frees_the_slot_of_a_queue_with_concurrency_one(database: &TestDatabase) {
    let key = fresh("single");
    enqueued(database, &key, &SINGLE, 2).await;
    let app = database.builder("a").launch().await.unwrap();
    arrived(&key, 1).await;
    let peer = database.builder("b").launch().await.unwrap();
    peer.listening().await;
    let report = app.shutdown_with(budgets(0, 0)).await;
    assert_eq!(report.released.as_ref().unwrap().queued, 1, "{report}");
    gate(&key).add_permits(2);
    for id in ["w0", "w1"] {
        let ended = peer.retrieve_workflow::<u32>(id).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(8), ended.result()).await;
        assert_eq!(ended.expect("the executor that left does not keep its slot").unwrap(), 1);
    }
    peer.shutdown().await;
}

#[workflow]
async fn ticked() -> Result<u32> {
    Ok(1)
}

async fn a_quiesced_engine_fires_no_schedule_and_no_tick_is_lost(database: &TestDatabase) {
    let key = fresh("ticks");
    let app = database.launch().await;
    app.scope(async {
        holds_slot(key.clone(), "w".into()).id("w").start().await.unwrap();
        ticked().schedule("every-second", "* * * * * *").misfire(Misfire::All).await.unwrap();
    })
    .await;
    let ticks = |all: Vec<durable::WorkflowInfo>| all.into_iter().filter(|it| it.name == "ticked").collect::<Vec<_>>();
    until("the schedule fires", async || !ticks(app.list_workflows(Filter::new()).await.unwrap().items).is_empty())
        .await;
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    let then = ticks(app.list_workflows(Filter::new()).await.unwrap().items).len();
    tokio::time::sleep(Duration::from_millis(2_500)).await; // two ticks, which must not be started
    assert_eq!(app.phase(), EnginePhase::Draining);
    assert_eq!(ticks(app.list_workflows(Filter::new()).await.unwrap().items).len(), then, "the clock starts nothing");
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());

    let app = database.launch().await;
    let fired = async || ticks(app.list_workflows(Filter::new()).await.unwrap().items).len();
    until("the missed ticks are started", async || fired().await >= then + 3).await;
    app.scope(async { durable::delete_schedule("every-second").await.unwrap() }).await;
    app.shutdown().await;
    let mut ids: Vec<_> = ticks(database.workflows().await).into_iter().map(|it| it.id).collect();
    let many = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), many, "each tick once");
    let seconds: Vec<i64> = ids.iter().map(|id| second_of(id)).collect();
    assert!(seconds.windows(2).all(|pair| pair[1] == pair[0] + 1), "and none is missing: {ids:?}");
}

/// The second in the id of a tick.
fn second_of(id: &str) -> i64 {
    let moment = id.split("every-second").nth(1).unwrap().trim_start_matches(['-', '@', ':', '/']);
    DateTime::parse_from_rfc3339(moment).unwrap_or_else(|_| panic!("{id:?} ends with a moment")).timestamp()
}

async fn run_until_idle_ends_when_the_queues_are_empty(database: &TestDatabase) {
    let key = fresh("idle");
    enqueued(database, &key, &ONE_BY_ONE, 5).await;
    gate(&key).add_permits(5);
    let app = database.launch().await;
    let report = app.run_until_idle().await;
    assert!(report.is_clean() && report.reason == durable::ShutdownReason::Idle, "{report}");
    assert_eq!(with(database, Status::Success).await.len(), 5);

    let app = database.launch().await;
    assert!(app.run_until_idle().await.is_clean(), "and at once where there is nothing to do");
}

async fn run_until_idle_does_not_wait_for_queues_of_a_quiesced_engine(database: &TestDatabase) {
    let key = fresh("quiesced");
    let app = database.launch().await;
    app.quiesce();
    app.scope(async {
        sleeps_briefly(key.clone()).id("queued").enqueue(&ONE_BY_ONE).await.unwrap();
        sleeps_briefly(key.clone()).id("runs").start().await.unwrap();
    })
    .await;
    let report = tokio::time::timeout(Duration::from_secs(30), app.run_until_idle()).await;
    let report = report.expect("nothing is left that it could do");
    assert!(report.is_clean() && report.suspended_total == 0, "what runs here still counts: {report}");
    assert_eq!((with(database, Status::Success).await.len(), with(database, Status::Enqueued).await.len()), (1, 1));
}

static IDLE: std::sync::Mutex<Vec<(String, Durable)>> = std::sync::Mutex::new(Vec::new());

#[workflow]
async fn waits_until_it_is_idle(key: String) -> Result<String> {
    let app = IDLE.lock().unwrap().iter().find(|it| it.0 == key).unwrap().1.clone();
    let report = app.run_until_idle().await;
    Ok(format!("{:?}", report.outcome))
}

async fn run_until_idle_inside_a_workflow_does_not_wait_for_that_workflow(database: &TestDatabase) {
    let key = fresh("idle inside");
    let app = database.launch().await;
    IDLE.lock().unwrap().push((key.clone(), app.clone()));
    let handle = app.scope(async { waits_until_it_is_idle(key.clone()).id("w").start().await.unwrap() }).await;
    let state = tokio::time::timeout(Duration::from_secs(30), handle.result()).await;
    assert_eq!(state.expect("it does not wait for itself").unwrap(), "Requested");
    assert!(app.shutdown().await.is_clean());
    IDLE.lock().unwrap().retain(|it| it.0 != key);
}

#[workflow]
async fn sleeps_briefly(key: String) -> Result<u32> {
    count(format!("{key} begun"));
    durable::sleep(Duration::from_millis(300)).await;
    Ok(1)
}

async fn run_until_idle_waits_for_delayed_and_sleeping_workflows(database: &TestDatabase) {
    let key = fresh("delayed");
    let app = database.launch().await;
    app.scope(async {
        sleeps_briefly(key.clone()).id("naps").start().await.unwrap();
        let delay = Duration::from_millis(500);
        sleeps_briefly(key.clone()).queue(&ONE_BY_ONE).delay(delay).id("delayed").start().await.unwrap();
    })
    .await;
    let report = app.run_until_idle().await;
    assert!(report.is_clean() && report.suspended_total == 0, "{report}");
    assert_eq!(with(database, Status::Success).await.len(), 2);
}

async fn run_until_idle_can_leave_delayed_workflows(database: &TestDatabase) {
    let key = fresh("left");
    let app = database.launch().await;
    app.scope(async {
        sleeps_briefly(key.clone()).queue(&ONE_BY_ONE).id("now").start().await.unwrap();
        sleeps_briefly(key.clone())
            .queue(&ONE_BY_ONE)
            .delay(Duration::from_hours(1))
            .id("later")
            .start()
            .await
            .unwrap();
    })
    .await;
    let report = app.run_until_idle().ignore_delayed().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(with(database, Status::Success).await.len(), 1);
    assert_eq!(with(database, Status::Delayed).await.len(), 1);
}
