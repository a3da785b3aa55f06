//! What waits is not waited for, unless it comes to its end within the drain.

use std::time::Instant;

use durable::prelude::*;
use durable::{EnginePhase, ErrorKind};

use super::{arrive_at, budgets, go_down, patient};
use crate::counter::{count, counted, fresh};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    long_sleep_released_at_once,
    short_sleep_kept_in_drain,
    recv_released_at_once,
    get_event_released_at_once,
    recv_is_kept_for_the_grace_and_no_longer,
    a_sleep_that_ends_after_a_drain_that_was_shortened_is_released,
    parent_of_enqueued_children_does_not_burn_drain,
    parent_of_local_child_waits,
    whoever_waits_for_the_first_of_several_waits_for_those_that_run_here,
}

const HOUR: Duration = Duration::from_hours(1);
/// A wait that would take an hour was released at once if the shutdown took no longer, also on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

#[step]
async fn noted(key: &str) -> u32 {
    count(key)
}

#[workflow]
pub(super) async fn naps_once(key: String, millis: u64) -> Result<u32> {
    noted(&format!("{key} before")).await;
    durable::sleep(Duration::from_millis(millis)).await;
    Ok(noted(&format!("{key} after")).await)
}

async fn long_sleep_released_at_once(stage: &Stage) {
    let key = fresh("long");
    let app = stage.launch().await;
    app.scope(async { naps_once(key.clone(), 3_600_000).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} before"), 1).await;
    while app.list_steps("w").await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await; // the time of waking is not recorded yet
    }
    let wakes = app.list_steps("w").await.unwrap()[1].output.clone();
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(begun.elapsed() < AT_ONCE && report.is_clean(), "{report}");
    assert_eq!((report.suspended.len(), report.suspended[0].at.as_deref()), (1, Some("sleeping")));
    assert_eq!((report.suspended[0].steps_done, report.suspended[0].released), (2, true));

    let app = stage.launch().await;
    assert_eq!(app.list_steps("w").await.unwrap()[1].output, wakes, "the time of waking is kept");
    app.skip_time(HOUR);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    assert_eq!(counted(&format!("{key} before")), 1);
    app.shutdown().await;
}

async fn short_sleep_kept_in_drain(stage: &Stage) {
    let key = fresh("short");
    let app = stage.launch().await;
    app.scope(async { naps_once(key.clone(), 300).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} before"), 1).await;
    let report = app.shutdown_with(patient()).await;
    assert!(report.is_clean() && report.completed == 1 && report.suspended.is_empty(), "{report}");
    assert_eq!(stage.poll().await[0].status, Status::Success);
}

#[workflow]
async fn awaits_a_message(key: String, timeout: Duration) -> Result<Option<u32>> {
    noted(&key).await;
    durable::recv("n", timeout).await
}

async fn recv_released_at_once(stage: &Stage) {
    let key = fresh("recv");
    let app = stage.launch().await;
    app.scope(async { awaits_a_message(key.clone(), HOUR).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(begun.elapsed() < AT_ONCE && report.is_clean() && report.suspended_total == 1, "{report}");

    let app = stage.launch().await;
    app.scope(async { durable::send("w", "n", &7).await.unwrap() }).await;
    assert_eq!(app.retrieve_workflow::<Option<u32>>("w").await.unwrap().await.unwrap(), Some(7));
    let received = app.list_steps("w").await.unwrap().into_iter().filter(|it| it.kind == "recv").count();
    assert_eq!(received, 1);
    app.shutdown().await;
}

#[workflow]
async fn shows_late() -> Result<u32> {
    durable::recv::<()>("show", Duration::MAX).await?;
    durable::set_event("shown", &7).await?;
    Ok(1)
}

#[workflow]
async fn asks_for_an_event(key: String, of: String) -> Result<Option<u32>> {
    noted(&key).await;
    durable::get_event(&of, "shown", HOUR).await
}

async fn get_event_released_at_once(stage: &Stage) {
    let key = fresh("event");
    let app = stage.launch().await;
    app.scope(async {
        shows_late().id("shows").start().await.unwrap();
        asks_for_an_event(key.clone(), "shows".into()).id("asks").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(begun.elapsed() < AT_ONCE && report.is_clean() && report.suspended_total == 2, "{report}");

    let app = stage.launch().await;
    app.scope(async { durable::send("shows", "show", &()).await.unwrap() }).await;
    assert_eq!(app.retrieve_workflow::<Option<u32>>("asks").await.unwrap().await.unwrap(), Some(7));
    app.shutdown().await;
}

async fn recv_is_kept_for_the_grace_and_no_longer(stage: &Stage) {
    let (gets, waits) = (fresh("gets"), fresh("waits"));
    let app = stage.launch().await;
    app.scope(async {
        awaits_a_message(gets.clone(), HOUR).id("gets").start().await.unwrap();
        awaits_a_message(waits.clone(), HOUR).id("waits").start().await.unwrap();
    })
    .await;
    arrived(&gets, 1).await;
    arrived(&waits, 1).await;
    let mut options = patient();
    let grace = Duration::from_millis(1_500);
    options = options.wait_grace(grace);
    let begun = Instant::now();
    let down = go_down(&app, options);
    arrive_at(&app, EnginePhase::Draining).await;
    tokio::time::sleep(Duration::from_millis(200)).await; // one without a grace would be gone by now
    app.scope(async { durable::send("gets", "n", &7).await.unwrap() }).await;
    let report = down.await.unwrap();
    assert!(report.completed == 1 && report.suspended_total == 1, "{report}");
    assert!(begun.elapsed() >= grace && begun.elapsed() < AT_ONCE + grace, "{report}");
    let look = stage.poll().await;
    let output = look.iter().find(|it| it.id == "gets").unwrap().output.as_deref();
    assert_eq!(output, Some("7"));
}

async fn a_sleep_that_ends_after_a_drain_that_was_shortened_is_released(stage: &Stage) {
    let key = fresh("shortened");
    let app = stage.launch().await;
    app.scope(async { naps_once(key.clone(), 40_000).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} before"), 1).await;
    let down = go_down(&app, patient());
    arrive_at(&app, EnginePhase::Draining).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(app.phase(), EnginePhase::Draining, "a sleep of 40 s ends within a drain of 60 s");
    let begun = Instant::now();
    // It still drains for 20 s, which the sleep does not end in.
    app.request_shutdown_with(budgets(20_000, 0));
    let report = down.await.unwrap();
    assert!(begun.elapsed() < AT_ONCE && report.suspended_total == 1, "{report}");
}

#[queue]
static SUBS: Queue = Queue::new("shutdown-subs").worker_concurrency(2);

#[workflow]
async fn sub(key: String) -> Result<u32> {
    held(&key).await;
    Ok(1)
}

#[step]
async fn held(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn main_of_subs(key: String, many: u32) -> Result<u32> {
    let mut handles = Vec::new();
    for _ in 0..many {
        handles.push(sub(key.clone()).enqueue(&SUBS).await?);
    }
    let mut sum = 0;
    for handle in handles {
        sum += handle.await?;
    }
    Ok(sum)
}

async fn parent_of_enqueued_children_does_not_burn_drain(stage: &Stage) {
    let key = fresh("subs");
    let app = stage.launch().await;
    app.scope(async { main_of_subs(key.clone(), 6).id("main").start().await.unwrap() }).await;
    arrived(&key, 2).await;
    let begun = Instant::now();
    let down = go_down(&app, patient());
    arrive_at(&app, EnginePhase::Draining).await;
    gate(&key).add_permits(2);
    let report = down.await.unwrap();
    assert!(begun.elapsed() < AT_ONCE && report.is_clean(), "{report}");
    assert_eq!(report.completed, 2, "{report}");
    let look = stage.poll().await;
    let with = |status| look.iter().filter(|it| it.status == status).count();
    assert_eq!((with(Status::Success), with(Status::Enqueued), with(Status::Pending)), (2, 4, 1));
    assert_eq!(counted(&key), 2, "none was begun after the shutdown");

    gate(&key).add_permits(4);
    let app = stage.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("main").await.unwrap().await.unwrap(), 6);
    assert_eq!(counted(&key), 6);
    app.shutdown().await;
}

#[workflow]
async fn main_of_one(key: String) -> Result<u32> {
    sub(key).await
}

async fn parent_of_local_child_waits(stage: &Stage) {
    let key = fresh("local");
    let app = stage.launch().await;
    let handle = app.scope(async { main_of_one(key.clone()).id("main").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let waiter = tokio::spawn(handle.result());
    let down = go_down(&app, patient());
    arrive_at(&app, EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 2, "{report}");
    assert_eq!(waiter.await.unwrap().unwrap(), 1, "who waits outside gets the value of one that ends");
}

#[workflow]
async fn first_of_two(here: String) -> Result<usize> {
    let elsewhere = sub(format!("{here} elsewhere")).delay(HOUR).start().await?;
    let handles = [elsewhere, sub(here).start().await?];
    durable::wait_first(&handles).await
}

async fn whoever_waits_for_the_first_of_several_waits_for_those_that_run_here(stage: &Stage) {
    let key = fresh("first");
    let app = stage.launch().await;
    app.scope(async { first_of_two(key.clone()).id("main").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = go_down(&app, patient());
    arrive_at(&app, EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 2, "{report}");
    let look = stage.poll().await;
    assert_eq!(look.iter().find(|it| it.id == "main").unwrap().output.as_deref(), Some("1"));
}

/// The error that whoever waits outside is given: the one place that knows what is in it.
pub(super) fn assert_interrupted(error: &Error, id: &str) {
    assert_eq!((error.kind(), error.workflow_id()), (ErrorKind::Interrupted, Some(id)), "{error}");
    assert!(error.is_interrupted() && error.to_string().contains(id), "{error}");
}
