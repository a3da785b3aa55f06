//! What is left goes on elsewhere, at once and never twice.

use std::time::Instant;

use durable::EnginePhase;
use durable::prelude::*;

use super::{arrive_at, budgets, go_down, patient};
use crate::counter::{count, counted, fresh};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    released_rows_taken_by_live_peer,
    what_is_not_to_be_released_waits_for_the_restart,
    shutdown_refunds_attempt,
    same_executor_id_overlap,
    heartbeat_outlives_drain,
    listener_alive_during_drain,
    notifier_flushes_before_close,
}

/// Leases are an hour long in these tests: what happens within this was not found by a heartbeat.
const SOON: Duration = Duration::from_secs(5);

#[step]
async fn marked(key: &str) -> u32 {
    count(key)
}

#[workflow(max_recoveries = 2)]
async fn waits_for_word(key: String) -> Result<u32> {
    marked(&key).await;
    let word = durable::recv::<u32>("word", Duration::MAX).await?;
    Ok(word.unwrap_or_default())
}

async fn released_rows_taken_by_live_peer(stage: &Stage) {
    let key = fresh("peer");
    let app = stage.builder("a").launch().await.unwrap();
    let peer = stage.builder("b").launch().await.unwrap();
    peer.listening().await;
    app.scope(async { waits_for_word(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(patient()).await;
    assert_eq!(report.released.as_ref().unwrap().direct, 1, "{report}");
    let begun = Instant::now();
    while peer.list_workflows(Filter::new()).await.unwrap()[0].executor.is_none() {
        assert!(begun.elapsed() < SOON, "nobody has told the peer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    peer.scope(async { durable::send("w", "word", &7).await.unwrap() }).await;
    assert_eq!(peer.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 7);
    assert_eq!(counted(&key), 1);
    peer.shutdown().await;
}

async fn what_is_not_to_be_released_waits_for_the_restart(stage: &Stage) {
    let key = fresh("kept");
    let app = stage.launch().await;
    let peer = stage.builder("peer").launch().await.unwrap();
    peer.listening().await;
    app.scope(async { waits_for_word(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let mut options = patient();
    options = options.release(false);
    let report = app.shutdown_with(options).await;
    assert!(!report.suspended[0].released && report.is_clean(), "{report}");
    tokio::time::sleep(Duration::from_millis(700)).await;
    let owner = peer.list_workflows(Filter::new()).await.unwrap()[0].executor.clone();
    assert!(owner.is_some(), "it is still its own");
    peer.shutdown().await;

    let app = stage.launch().await;
    app.scope(async { durable::send("w", "word", &7).await.unwrap() }).await;
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap();
    let ended = tokio::time::timeout(SOON, ended.result()).await;
    assert_eq!(ended.expect("the restart takes it without waiting for a lease").unwrap(), 7);
    app.shutdown().await;
}

async fn shutdown_refunds_attempt(stage: &Stage) {
    let key = fresh("refund");
    let app = stage.launch().await;
    app.scope(async { waits_for_word(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.shutdown().await;
    for _ in 0..200 {
        let app = stage.launch().await;
        let report = app.shutdown().await;
        assert_eq!(report.suspended_total, 1, "{report}");
    }
    let info = stage.poll().await.remove(0);
    assert_eq!((info.status, info.recoveries), (Status::Pending, 0), "no restart counts against it");

    // A crash does.
    for _ in 0..3 {
        let app = stage.launch().await;
        while app.list_workflows(Filter::new()).await.unwrap()[0].executor.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stage.crash(app).await;
    }
    let app = stage.launch().await;
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

async fn same_executor_id_overlap(stage: &Stage) {
    let key = fresh("overlap");
    let app = stage.builder("old").executor_id("pod-7").launch().await.unwrap();
    app.scope(async {
        works_on(key.clone()).id("direct").start().await.unwrap();
        works_on(key.clone()).id("queued").enqueue(&OVERLAP).await.unwrap();
    })
    .await;
    arrived(&key, 2).await;
    let down = go_down(&app, budgets(1_500, 0));
    arrive_at(&app, EnginePhase::Draining).await;

    let next = stage.builder("new").executor_id("pod-7").launch().await.unwrap();
    next.listening().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
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

async fn heartbeat_outlives_drain(stage: &Stage) {
    let key = fresh("beats");
    let lease = Duration::from_millis(800);
    let app = stage.builder("a").lease(lease).launch().await.unwrap();
    let peer = stage.builder("b").lease(lease).launch().await.unwrap();
    app.scope(async { works_on(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = go_down(&app, patient());
    tokio::time::sleep(4 * lease).await;
    assert_eq!(app.phase(), EnginePhase::Draining);
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "{report}");
    let info = peer.list_workflows(Filter::new()).await.unwrap().remove(0);
    assert_eq!((info.status, info.recoveries, counted(&key)), (Status::Success, 0, 1), "nobody took it for dead");
    peer.shutdown().await;
}

async fn listener_alive_during_drain(stage: &Stage) {
    let key = fresh("listens");
    let app = stage.builder("a").launch().await.unwrap();
    let peer = stage.builder("b").launch().await.unwrap();
    app.listening().await;
    app.scope(async { waits_for_word(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let mut options = patient();
    options = options.wait_grace(Duration::from_secs(30));
    let down = go_down(&app, options);
    arrive_at(&app, EnginePhase::Draining).await;
    let begun = Instant::now();
    peer.scope(async { durable::send("w", "word", &7).await.unwrap() }).await;
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "{report}");
    assert!(begun.elapsed() < SOON, "it was heard, and not found ten seconds later");
    peer.shutdown().await;
}

#[workflow]
async fn shows_at_the_end(key: String) -> Result<u32> {
    at_work(&key).await;
    durable::set_event("last word", &7).await?;
    Ok(1)
}

async fn notifier_flushes_before_close(stage: &Stage) {
    let key = fresh("flush");
    let app = stage.builder("a").launch().await.unwrap();
    let reader = stage.builder("b").launch().await.unwrap();
    reader.listening().await;
    app.scope(async { shows_at_the_end(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let asks = reader.spawn(durable::get_event::<u32>("w", "last word", Duration::from_mins(1)));
    tokio::time::sleep(Duration::from_millis(100)).await; // it has looked, and waits for news
    let down = go_down(&app, patient());
    arrive_at(&app, EnginePhase::Draining).await;
    let begun = Instant::now();
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());
    assert_eq!(asks.await.unwrap().unwrap(), Some(7));
    assert!(begun.elapsed() < SOON, "it was told before the connections were closed");
    reader.shutdown().await;
}
