//! Released workflows continue elsewhere, at once and only once.

use std::time::Instant;

use durable::EnginePhase;
use durable::prelude::*;

use crate::support::{
    TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, patient, start_shutdown, until,
};

database_tests! {
released_workflows_are_taken_over_by_a_live_peer_at_once,
workflows_that_are_not_released_wait_for_the_restart,
two_hundred_restarts_count_as_no_recovery,
a_successor_with_the_same_executor_id_takes_nothing_while_the_first_drains,
heartbeats_continue_during_the_drain,
messages_are_received_during_the_drain,
notifications_are_sent_before_the_connections_close,
}

/// Leases are an hour long in these tests: what happens within this was not found by a heartbeat.
const SOON: Duration = Duration::from_secs(5);

#[step]
async fn marked(key: &str) -> u32 {
    count(key)
}

#[workflow(max_recoveries = 2)]
async fn waits_for_message(key: String) -> Result<u32> {
    marked(&key).await;
    let message = durable::recv::<u32>("word", Duration::MAX).await?;
    Ok(message.unwrap_or_default())
}

async fn released_workflows_are_taken_over_by_a_live_peer_at_once(database: &TestDatabase) {
    let key = fresh("peer");
    let app = database.builder("a").launch().await.unwrap();
    let peer = database.builder("b").launch().await.unwrap();
    peer.listening().await;
    app.scope(async { waits_for_message(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(patient()).await;
    assert_eq!(report.released.as_ref().unwrap().direct, 1, "{report}");
    let begun = Instant::now();
    let is_taken = async || peer.list_workflows(Filter::new()).await.unwrap()[0].executor.is_some();
    until("the peer has taken the workflow", is_taken).await;
    assert!(begun.elapsed() < SOON, "the peer was not notified: it found the workflow by itself");
    peer.scope(async { durable::send("w", "word", &7).await.unwrap() }).await;
    assert_eq!(peer.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 7);
    assert_eq!(counted(&key), 1);
    peer.shutdown().await;
}

async fn workflows_that_are_not_released_wait_for_the_restart(database: &TestDatabase) {
    let key = fresh("kept");
    let app = database.launch().await;
    let peer = database.builder("peer").launch().await.unwrap();
    peer.listening().await;
    app.scope(async { waits_for_message(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let options = patient().release(false);
    let report = app.shutdown_with(options).await;
    assert!(!report.suspended[0].released && report.is_clean(), "{report}");
    tokio::time::sleep(Duration::from_millis(700)).await; // nothing may happen in it
    let owner = peer.list_workflows(Filter::new()).await.unwrap()[0].executor.clone();
    assert!(owner.is_some(), "it is still its own");
    peer.shutdown().await;

    let app = database.launch().await;
    app.scope(async { durable::send("w", "word", &7).await.unwrap() }).await;
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap();
    let ended = tokio::time::timeout(SOON, ended.result()).await;
    assert_eq!(ended.expect("the restart takes it without waiting for a lease").unwrap(), 7);
    app.shutdown().await;
}

async fn two_hundred_restarts_count_as_no_recovery(database: &TestDatabase) {
    let key = fresh("refund");
    let app = database.launch().await;
    app.scope(async { waits_for_message(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.shutdown().await;
    for _ in 0..200 {
        let app = database.launch().await;
        let report = app.shutdown().await;
        assert_eq!(report.suspended_total, 1, "{report}");
    }
    let info = database.workflows().await.remove(0);
    assert_eq!((info.status, info.recoveries), (Status::Pending, 0), "no restart counts against it");

    // A crash does.
    for _ in 0..3 {
        let app = database.launch().await;
        let is_taken = async || app.list_workflows(Filter::new()).await.unwrap()[0].executor.is_some();
        until("the workflow is recovered", is_taken).await;
        database.crash(app).await;
    }
    let app = database.launch().await;
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap()[0].status, Status::Parked);
    app.shutdown().await;
}

#[step]
async fn at_work(key: &str) -> u32 {
    let run = count(key);
    gate(key).acquire().await.unwrap().forget();
    run
}

#[workflow]
async fn works_on(key: String) -> Result<u32> {
    Ok(at_work(&key).await)
}

#[queue]
static OVERLAP: Queue = Queue::new("shutdown-overlap").worker_concurrency(1);

async fn a_successor_with_the_same_executor_id_takes_nothing_while_the_first_drains(database: &TestDatabase) {
    let key = fresh("overlap");
    let app = database.builder("old").executor_id("pod-7").launch().await.unwrap();
    app.scope(async {
        works_on(key.clone()).id("direct").start().await.unwrap();
        works_on(key.clone()).id("queued").enqueue(&OVERLAP).await.unwrap();
    })
    .await;
    arrived(&key, 2).await;
    let down = start_shutdown(&app, budgets(1_500, 0));
    app.wait_for_phase(EnginePhase::Draining).await;

    let next = database.builder("new").executor_id("pod-7").launch().await.unwrap();
    next.listening().await;
    tokio::time::sleep(Duration::from_millis(500)).await; // nothing may happen in it
    assert_eq!((app.phase(), counted(&key)), (EnginePhase::Draining, 2), "what still runs there is not taken");
    let report = down.await.unwrap();
    assert_eq!((report.killed_total, report.is_closed()), (2, true), "{report}");
    arrived(&key, 4).await;
    gate(&key).add_permits(2);
    for id in ["direct", "queued"] {
        let ended = next.retrieve_workflow::<u32>(id).await.unwrap();
        let ended = tokio::time::timeout(SOON, ended.result()).await.expect("the next one has it").unwrap();
        assert!(ended > 2, "the first run was dropped");
    }
    assert_eq!(counted(&key), 4, "each ran once more, and never in both at once");
    next.shutdown().await;
}

async fn heartbeats_continue_during_the_drain(database: &TestDatabase) {
    let key = fresh("beats");
    let lease = Duration::from_millis(800);
    let app = database.builder("a").lease(lease).launch().await.unwrap();
    let peer = database.builder("b").lease(lease).launch().await.unwrap();
    app.scope(async { works_on(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, patient());
    tokio::time::sleep(4 * lease).await; // without heartbeats the lease would run out in it
    assert_eq!(app.phase(), EnginePhase::Draining);
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "{report}");
    let info = peer.list_workflows(Filter::new()).await.unwrap().remove(0);
    assert_eq!((info.status, info.recoveries, counted(&key)), (Status::Success, 0, 1), "it was not taken over");
    peer.shutdown().await;
}

async fn messages_are_received_during_the_drain(database: &TestDatabase) {
    let key = fresh("listens");
    let app = database.builder("a").launch().await.unwrap();
    let peer = database.builder("b").launch().await.unwrap();
    app.listening().await;
    app.scope(async { waits_for_message(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let options = patient().wait_grace(Duration::from_secs(30));
    let down = start_shutdown(&app, options);
    app.wait_for_phase(EnginePhase::Draining).await;
    let begun = Instant::now();
    peer.scope(async { durable::send("w", "word", &7).await.unwrap() }).await;
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "{report}");
    assert!(begun.elapsed() < SOON, "it was notified, and not found by polling ten seconds later");
    peer.shutdown().await;
}

#[workflow]
async fn sets_event_at_end(key: String) -> Result<u32> {
    at_work(&key).await;
    durable::set_event("last word", &7).await?;
    Ok(1)
}

async fn notifications_are_sent_before_the_connections_close(database: &TestDatabase) {
    let key = fresh("flush");
    let app = database.builder("a").launch().await.unwrap();
    let reader = database.builder("b").launch().await.unwrap();
    reader.listening().await;
    app.scope(async { sets_event_at_end(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let asks = reader.spawn_scoped(durable::get_event::<u32>("w", "last word", Duration::from_mins(1)));
    tokio::time::sleep(Duration::from_millis(100)).await; // it has polled once, and waits for a notification
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    let begun = Instant::now();
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());
    assert_eq!(asks.await.unwrap().unwrap(), Some(7));
    assert!(begun.elapsed() < SOON, "it was notified before the connections were closed");
    reader.shutdown().await;
}
