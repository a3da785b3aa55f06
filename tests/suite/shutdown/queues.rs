//! Queues and schedules: nothing is taken any more, and what was taken goes back.

use std::sync::Arc;

use durable::prelude::*;
use durable::{EnginePhase, Misfire};
use durable_core::store::Store;

use super::{arrive_at, budgets, go_down, patient};
use crate::counter::{count, counted, fresh};
use crate::restart::faulty::{Faulty, Hold, Plan};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    dequeue_stops_first,
    claim_racing_quiesce_is_returned,
    queue_task_is_never_cut_mid_claim,
    concurrency_one_queue_not_blocked_after_shutdown,
    schedule_not_fired_after_quiesce,
    run_until_idle_ends_when_the_queues_are_empty,
    run_until_idle_does_not_wait_for_what_a_quiesced_process_never_takes,
    run_until_idle_inside_a_workflow_does_not_wait_for_it,
    run_until_idle_waits_for_what_is_delayed_and_for_sleepers,
}

#[queue]
static ONE_BY_ONE: Queue = Queue::new("shutdown-one-by-one").worker_concurrency(1);
#[queue]
static RACED: Queue = Queue::new("shutdown-raced");
#[queue]
static SINGLE: Queue = Queue::new("shutdown-single").concurrency(1);

#[step]
async fn stays_in_line(key: &str, id: &str) {
    count(format!("{key} {id}"));
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn in_line(key: String, id: String) -> Result<u32> {
    stays_in_line(&key, &id).await;
    Ok(1)
}

/// Enqueues some, without taking any.
async fn enqueued(stage: &Stage, key: &str, queue: &Queue, many: u32) {
    let app = stage.builder("enqueues").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        for number in 0..many {
            let id = format!("w{number}");
            in_line(key.to_owned(), id.clone()).id(id).enqueue(queue).await.unwrap();
        }
    })
    .await;
    app.shutdown().await;
}

async fn with(stage: &Stage, status: Status) -> Vec<String> {
    stage.poll().await.into_iter().filter(|it| it.status == status).map(|it| it.id).collect()
}

async fn dequeue_stops_first(stage: &Stage) {
    let key = fresh("first");
    enqueued(stage, &key, &ONE_BY_ONE, 20).await;
    let app = stage.launch().await;
    arrived(&key, 1).await;
    app.quiesce();
    assert!(!app.readiness().is_ready() && app.phase() == EnginePhase::Quiesced);
    gate(&key).add_permits(20);
    let handle = app.retrieve_workflow::<u32>("w0").await.unwrap();
    assert_eq!(handle.await.unwrap(), 1, "what runs goes on");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(counted(&key), 1, "nothing is taken any more");
    app.shutdown().await;
    let left: Vec<_> = (1..20).map(|it| format!("w{it}")).collect();
    assert_eq!(with(stage, Status::Enqueued).await, left);

    let app = stage.launch().await;
    app.retrieve_workflow::<u32>("w19").await.unwrap().await.unwrap();
    assert_eq!(counted(&key), 20, "the last one was the last");
    app.shutdown().await;
}

/// Shuts down while a claim is held, and looks at what has become of it.
async fn shut_down_in_a_claim(stage: &Stage, hold: Hold) {
    let key = fresh("raced");
    enqueued(stage, &key, &RACED, 3).await;
    let before = stage.poll().await;
    let inner = durable_core::store::open(stage.url(), stage.schema()).await.unwrap();
    let faulty = Arc::new(Faulty::over(&inner, Plan::default()));
    faulty.hold_next("claim shutdown-raced", hold);
    let app = stage.builder("races").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    faulty.holds().await;
    let down = go_down(&app, budgets(2_000, 0));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.phase(), EnginePhase::Quiesced, "the claim is waited for");
    faulty.let_through();
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
    let app = stage.launch().await;
    for id in ["w0", "w1", "w2"] {
        assert_eq!(app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 1);
    }
    assert_eq!(counted(&key), 3);
    app.shutdown().await;
}

async fn claim_racing_quiesce_is_returned(stage: &Stage) {
    shut_down_in_a_claim(stage, Hold::After).await;
}

async fn queue_task_is_never_cut_mid_claim(stage: &Stage) {
    shut_down_in_a_claim(stage, Hold::Before).await;
}

async fn concurrency_one_queue_not_blocked_after_shutdown(stage: &Stage) {
    let key = fresh("single");
    enqueued(stage, &key, &SINGLE, 2).await;
    let app = stage.builder("a").launch().await.unwrap();
    arrived(&key, 1).await;
    let peer = stage.builder("b").launch().await.unwrap();
    peer.listening().await;
    let report = app.shutdown_with(budgets(0, 0)).await;
    assert_eq!(report.released.as_ref().unwrap().queued, 1, "{report}");
    gate(&key).add_permits(2);
    for id in ["w0", "w1"] {
        let ended = peer.retrieve_workflow::<u32>(id).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(8), ended.result()).await;
        assert_eq!(ended.expect("the dead one does not hold its place").unwrap(), 1);
    }
    peer.shutdown().await;
}

#[workflow]
async fn ticked() -> Result<u32> {
    Ok(1)
}

async fn schedule_not_fired_after_quiesce(stage: &Stage) {
    let key = fresh("ticks");
    let app = stage.launch().await;
    app.scope(async {
        in_line(key.clone(), "w".into()).id("w").start().await.unwrap();
        ticked().schedule("every-second", "* * * * * *").misfire(Misfire::All).await.unwrap();
    })
    .await;
    let ticks = |all: Vec<durable::WorkflowInfo>| all.into_iter().filter(|it| it.name == "ticked").collect::<Vec<_>>();
    while ticks(app.list_workflows(Filter::new()).await.unwrap()).is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let down = go_down(&app, patient());
    arrive_at(&app, EnginePhase::Draining).await;
    let then = ticks(app.list_workflows(Filter::new()).await.unwrap()).len();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(app.phase(), EnginePhase::Draining);
    assert_eq!(ticks(app.list_workflows(Filter::new()).await.unwrap()).len(), then, "the clock starts nothing");
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());

    let app = stage.launch().await;
    while ticks(app.list_workflows(Filter::new()).await.unwrap()).len() < then + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.scope(async { durable::delete_schedule("every-second").await.unwrap() }).await;
    app.shutdown().await;
    let mut ids: Vec<_> = ticks(stage.poll().await).into_iter().map(|it| it.id).collect();
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

async fn run_until_idle_ends_when_the_queues_are_empty(stage: &Stage) {
    let key = fresh("idle");
    enqueued(stage, &key, &ONE_BY_ONE, 5).await;
    gate(&key).add_permits(5);
    let app = stage.launch().await;
    let report = app.run_until_idle().await;
    assert!(report.is_clean() && report.reason == durable::ShutdownReason::Idle, "{report}");
    assert_eq!(with(stage, Status::Success).await.len(), 5);

    let app = stage.launch().await;
    assert!(app.run_until_idle().await.is_clean(), "and at once where there is nothing to do");
}

async fn run_until_idle_does_not_wait_for_what_a_quiesced_process_never_takes(stage: &Stage) {
    let key = fresh("quiesced");
    let app = stage.launch().await;
    app.quiesce();
    app.scope(async {
        naps_a_little(key.clone()).id("queued").enqueue(&ONE_BY_ONE).await.unwrap();
        naps_a_little(key.clone()).id("runs").start().await.unwrap();
    })
    .await;
    let report = tokio::time::timeout(Duration::from_secs(30), app.run_until_idle()).await;
    let report = report.expect("nothing is left that it could do");
    assert!(report.is_clean() && report.suspended_total == 0, "what runs here still counts: {report}");
    assert_eq!((with(stage, Status::Success).await.len(), with(stage, Status::Enqueued).await.len()), (1, 1));
}

static IDLE: std::sync::Mutex<Vec<(String, Durable)>> = std::sync::Mutex::new(Vec::new());

#[workflow]
async fn waits_until_it_is_idle(key: String) -> Result<String> {
    let app = IDLE.lock().unwrap().iter().find(|it| it.0 == key).unwrap().1.clone();
    let report = app.run_until_idle().await;
    Ok(format!("{:?}", report.outcome))
}

async fn run_until_idle_inside_a_workflow_does_not_wait_for_it(stage: &Stage) {
    let key = fresh("idle inside");
    let app = stage.launch().await;
    IDLE.lock().unwrap().push((key.clone(), app.clone()));
    let handle = app.scope(async { waits_until_it_is_idle(key.clone()).id("w").start().await.unwrap() }).await;
    let told = tokio::time::timeout(Duration::from_secs(30), handle.result()).await;
    assert_eq!(told.expect("it does not wait for itself").unwrap(), "Requested");
    assert!(app.shutdown().await.is_clean());
    IDLE.lock().unwrap().retain(|it| it.0 != key);
}

#[workflow]
async fn naps_a_little(key: String) -> Result<u32> {
    count(format!("{key} begun"));
    durable::sleep(Duration::from_millis(300)).await;
    Ok(1)
}

async fn run_until_idle_waits_for_what_is_delayed_and_for_sleepers(stage: &Stage) {
    let key = fresh("delayed");
    let app = stage.launch().await;
    app.scope(async {
        naps_a_little(key.clone()).id("naps").start().await.unwrap();
        let delay = Duration::from_millis(500);
        naps_a_little(key.clone()).queue(&ONE_BY_ONE).delay(delay).id("delayed").start().await.unwrap();
    })
    .await;
    let report = app.run_until_idle().await;
    assert!(report.is_clean() && report.suspended_total == 0, "{report}");
    assert_eq!(with(stage, Status::Success).await.len(), 2);
}
