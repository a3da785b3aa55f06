//! The drain suspends waits, unless they end within it.

use std::time::Instant;

use durable::prelude::*;
use durable::{EnginePhase, ErrorKind};

use crate::support::{
    TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, patient, start_shutdown,
    wait_for_steps,
};

database_tests! {
a_long_sleep_is_suspended_at_once,
a_short_sleep_completes_in_the_drain,
recv_is_suspended_at_once,
get_event_is_suspended_at_once,
recv_is_suspended_after_the_wait_grace,
a_suspended_recv_takes_no_message_while_a_step_beside_it_ends,
a_sleep_beyond_a_shortened_drain_is_suspended,
a_parent_waiting_for_queued_children_does_not_delay_the_drain,
a_parent_of_a_child_running_here_completes_in_the_drain,
wait_first_in_the_drain_waits_for_workflows_running_here,
}

const HOUR: Duration = Duration::from_hours(1);
/// A wait of an hour was suspended at once if the shutdown took no longer than this, also on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

#[step]
async fn noted(key: &str) -> u32 {
    count(key)
}

#[workflow]
pub(super) async fn sleeps_once(key: String, millis: u64) -> Result<u32> {
    noted(&format!("{key} before")).await;
    durable::sleep(Duration::from_millis(millis)).await;
    Ok(noted(&format!("{key} after")).await)
}

async fn a_long_sleep_is_suspended_at_once(database: &TestDatabase) {
    let key = fresh("long");
    let app = database.launch().await;
    app.scope(async { sleeps_once(key.clone(), 3_600_000).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} before"), 1).await;
    wait_for_steps(&app, "w", 2).await; // the time of waking is recorded
    let wakes = app.list_steps("w").await.unwrap()[1].output.clone();
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(begun.elapsed() < AT_ONCE && report.is_clean(), "{report}");
    assert_eq!((report.suspended.len(), report.suspended[0].at.as_deref()), (1, Some("sleeping")));
    assert_eq!((report.suspended[0].steps_done, report.suspended[0].released), (2, true));

    let app = database.launch().await;
    assert_eq!(app.list_steps("w").await.unwrap()[1].output, wakes, "the time of waking is kept");
    app.skip_time(HOUR);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    assert_eq!(counted(&format!("{key} before")), 1);
    app.shutdown().await;
}

async fn a_short_sleep_completes_in_the_drain(database: &TestDatabase) {
    let key = fresh("short");
    let app = database.launch().await;
    app.scope(async { sleeps_once(key.clone(), 300).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} before"), 1).await;
    let report = app.shutdown_with(patient()).await;
    assert!(report.is_clean() && report.completed == 1 && report.suspended.is_empty(), "{report}");
    assert_eq!(database.workflows().await[0].status, Status::Success);
}

#[workflow]
async fn awaits_a_message(key: String, timeout: Duration) -> Result<Option<u32>> {
    noted(&key).await;
    durable::recv("n", timeout).await
}

async fn recv_is_suspended_at_once(database: &TestDatabase) {
    let key = fresh("recv");
    let app = database.launch().await;
    app.scope(async { awaits_a_message(key.clone(), HOUR).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(begun.elapsed() < AT_ONCE && report.is_clean() && report.suspended_total == 1, "{report}");

    let app = database.launch().await;
    app.scope(async { durable::send("w", "n", &7).await.unwrap() }).await;
    assert_eq!(app.retrieve_workflow::<Option<u32>>("w").await.unwrap().await.unwrap(), Some(7));
    let received = app.list_steps("w").await.unwrap().into_iter().filter(|it| it.kind == "recv").count();
    assert_eq!(received, 1);
    app.shutdown().await;
}

#[workflow]
async fn sets_event_late() -> Result<u32> {
    durable::recv::<()>("show", Duration::MAX).await?;
    durable::set_event("shown", &7).await?;
    Ok(1)
}

#[workflow]
async fn gets_event_in_drain(key: String, of: String) -> Result<Option<u32>> {
    noted(&key).await;
    durable::get_event(&of, "shown", HOUR).await
}

async fn get_event_is_suspended_at_once(database: &TestDatabase) {
    let key = fresh("event");
    let app = database.launch().await;
    app.scope(async {
        sets_event_late().id("shows").start().await.unwrap();
        gets_event_in_drain(key.clone(), "shows".into()).id("asks").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    let begun = Instant::now();
    let report = app.shutdown_with(patient()).await;
    assert!(begun.elapsed() < AT_ONCE && report.is_clean() && report.suspended_total == 2, "{report}");

    let app = database.launch().await;
    app.scope(async { durable::send("shows", "show", &()).await.unwrap() }).await;
    assert_eq!(app.retrieve_workflow::<Option<u32>>("asks").await.unwrap().await.unwrap(), Some(7));
    app.shutdown().await;
}

async fn recv_is_suspended_after_the_wait_grace(database: &TestDatabase) {
    let (gets, waits) = (fresh("gets"), fresh("waits"));
    let app = database.launch().await;
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
    let down = start_shutdown(&app, options);
    app.wait_for_phase(EnginePhase::Draining).await;
    tokio::time::sleep(Duration::from_millis(200)).await; // one without a grace would be suspended by now
    app.scope(async { durable::send("gets", "n", &7).await.unwrap() }).await;
    let report = down.await.unwrap();
    assert!(report.completed == 1 && report.suspended_total == 1, "{report}");
    assert!(begun.elapsed() >= grace && begun.elapsed() < AT_ONCE + grace, "{report}");
    let workflows = database.workflows().await;
    let output = workflows.iter().find(|it| it.id == "gets").unwrap().output.as_deref();
    assert_eq!(output, Some("7"));
}

#[step]
async fn held_beside(key: &str) -> u32 {
    let times = count(key);
    gate(key).acquire().await.unwrap().forget();
    times
}

#[workflow]
async fn receives_beside_a_step(key: String) -> Result<Option<u32>> {
    let (step, received) = (held_beside(&key), durable::recv("n", HOUR));
    tokio::join!(step, received).1
}

async fn a_suspended_recv_takes_no_message_while_a_step_beside_it_ends(database: &TestDatabase) {
    let key = fresh("beside");
    let app = database.launch().await;
    app.scope(async { receives_beside_a_step(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let grace = Duration::from_millis(300);
    let down = start_shutdown(&app, patient().wait_grace(grace));
    app.wait_for_phase(EnginePhase::Draining).await;
    tokio::time::sleep(2 * grace).await; // the wait is suspended, and the step keeps the body
    app.scope(async { durable::send("w", "n", &7).await.unwrap() }).await;
    tokio::time::sleep(grace).await; // the message is read from the database
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.suspended_total == 1, "{report}");
    let received = "select count(*) from durable.messages where received_at is not null";
    assert_eq!(database.direct_connection().await.number(received).await, 0, "a suspended wait never returns");

    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<Option<u32>>("w").await.unwrap().await.unwrap(), Some(7));
    assert_eq!(counted(&key), 1);
    app.shutdown().await;
}

async fn a_sleep_beyond_a_shortened_drain_is_suspended(database: &TestDatabase) {
    let key = fresh("shortened");
    let app = database.launch().await;
    app.scope(async { sleeps_once(key.clone(), 40_000).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} before"), 1).await;
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    tokio::time::sleep(Duration::from_millis(50)).await; // nothing may happen in it
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

async fn a_parent_waiting_for_queued_children_does_not_delay_the_drain(database: &TestDatabase) {
    let key = fresh("subs");
    let app = database.launch().await;
    app.scope(async { main_of_subs(key.clone(), 6).id("main").start().await.unwrap() }).await;
    arrived(&key, 2).await;
    let begun = Instant::now();
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(2);
    let report = down.await.unwrap();
    assert!(begun.elapsed() < AT_ONCE && report.is_clean(), "{report}");
    assert_eq!(report.completed, 2, "{report}");
    let workflows = database.workflows().await;
    let with = |status| workflows.iter().filter(|it| it.status == status).count();
    assert_eq!((with(Status::Success), with(Status::Enqueued), with(Status::Pending)), (2, 4, 1));
    assert_eq!(counted(&key), 2, "none was begun after the shutdown");

    gate(&key).add_permits(4);
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("main").await.unwrap().await.unwrap(), 6);
    assert_eq!(counted(&key), 6);
    app.shutdown().await;
}

#[workflow]
async fn main_of_one(key: String) -> Result<u32> {
    sub(key).await
}

async fn a_parent_of_a_child_running_here_completes_in_the_drain(database: &TestDatabase) {
    let key = fresh("local");
    let app = database.launch().await;
    let handle = app.scope(async { main_of_one(key.clone()).id("main").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let waiter = tokio::spawn(handle.result());
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 2, "{report}");
    assert_eq!(waiter.await.unwrap().unwrap(), 1, "a caller outside gets the value of a workflow that ends");
}

#[workflow]
async fn first_of_two(here: String) -> Result<usize> {
    let elsewhere = sub(format!("{here} elsewhere")).delay(HOUR).start().await?;
    let handles = [elsewhere, sub(here).start().await?];
    durable::wait_first(&handles).await
}

async fn wait_first_in_the_drain_waits_for_workflows_running_here(database: &TestDatabase) {
    let key = fresh("first");
    let app = database.launch().await;
    app.scope(async { first_of_two(key.clone()).id("main").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 2, "{report}");
    let workflows = database.workflows().await;
    assert_eq!(workflows.iter().find(|it| it.id == "main").unwrap().output.as_deref(), Some("1"));
}

/// Checks the error of a caller outside the workflow that waited for its result.
pub(super) fn assert_interrupted(error: &Error, id: &str) {
    assert_eq!((error.kind(), error.workflow_id()), (ErrorKind::Interrupted, Some(id)), "{error}");
    assert!(error.is_interrupted() && error.to_string().contains(id), "{error}");
}
