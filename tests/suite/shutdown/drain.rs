//! Running workflows during the drain.

use std::time::Instant;

use durable::EnginePhase;
use durable::prelude::*;

use super::suspended_waits::assert_interrupted;
use crate::support::{TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, start_shutdown};

database_tests! {
the_drain_completes_short_workflows,
a_workflow_is_suspended_between_steps_when_the_drain_times_out,
a_running_step_finishes_and_is_recorded,
a_step_that_ignores_the_abort_is_dropped,
a_step_that_blocks_its_thread_is_reported_as_stuck,
a_workflow_that_ignores_its_suspension_cannot_complete,
a_finished_step_of_a_join_is_recorded_when_its_sibling_is_dropped,
a_child_can_be_started_during_the_drain,
the_drain_refuses_direct_starts_and_allows_enqueueing,
a_transaction_outside_a_workflow_works_during_the_drain,
waiting_for_a_result_is_interrupted_by_the_shutdown,
a_retry_backoff_does_not_delay_the_shutdown,
a_cancellation_during_the_drain_takes_effect,
a_workflow_waiting_for_a_permit_is_suspended,
}

#[queue]
static LATE: Queue = Queue::new("shutdown-late");

#[step]
async fn pass(key: &str, number: u32) -> u32 {
    count(format!("{key} {number}"));
    count(key);
    gate(key).acquire().await.unwrap().forget();
    number
}

#[workflow]
async fn passes(key: String, many: u32) -> Result<u32> {
    let mut sum = 0;
    for number in 1..=many {
        sum += pass(&key, number).await;
    }
    Ok(sum)
}

async fn the_drain_completes_short_workflows(database: &TestDatabase) {
    let key = fresh("drain");
    let app = database.launch().await;
    app.scope(async {
        for number in 0..5 {
            passes(key.clone(), 1).id(format!("w{number}")).start().await.unwrap();
        }
    })
    .await;
    arrived(&key, 5).await;
    let down = start_shutdown(&app, budgets(60_000, 0));
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(5);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 5, "{report}");

    let app = database.launch().await;
    let all = app.list_workflows(Filter::new().status(Status::Success)).await.unwrap();
    assert_eq!(all.len(), 5);
    app.shutdown().await;
}

async fn a_workflow_is_suspended_between_steps_when_the_drain_times_out(database: &TestDatabase) {
    let key = fresh("between");
    let app = database.launch().await;
    app.scope(async { passes(key.clone(), 3).id("w").start().await.unwrap() }).await;
    gate(&key).add_permits(1);
    arrived(&key, 2).await; // in the second step
    let down = start_shutdown(&app, budgets(0, 10_000));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.suspended.len() == 1, "{report}");
    assert_eq!(report.released.as_ref().unwrap().direct, 1);
    assert_eq!(counted(&format!("{key} 3")), 0, "the third step was never begun");

    let app = database.launch().await;
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!(steps.len(), 2, "the finished steps are recorded");
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 6);
    for number in 1..=3 {
        assert_eq!(counted(&format!("{key} {number}")), 1, "each step ran once");
    }
    app.shutdown().await;
}

async fn a_running_step_finishes_and_is_recorded(database: &TestDatabase) {
    let key = fresh("inflight");
    let app = database.launch().await;
    app.scope(async { passes(key.clone(), 1).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(0, 10_000));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());

    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    assert_eq!(counted(&key), 1, "the step that had finished did not run again");
    app.shutdown().await;
}

struct Dropped(String);

impl Drop for Dropped {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
    }
}

#[step]
async fn ignores_abort(key: &str) -> u32 {
    let _guard = Dropped(key.to_owned());
    let run = count(key);
    gate(key).acquire().await.unwrap().forget();
    run
}

#[workflow]
async fn endless(key: String) -> Result<u32> {
    Ok(ignores_abort(&key).await)
}

async fn a_step_that_ignores_the_abort_is_dropped(database: &TestDatabase) {
    let key = fresh("killed");
    let app = database.launch().await;
    app.scope(async { endless(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(budgets(0, 50)).await;
    assert_eq!((report.killed.len(), report.stuck.len()), (1, 0), "{report}");
    assert_eq!(report.killed[0].at.as_deref(), Some("step `ignores_abort`"));
    assert_eq!(counted(&format!("{key} dropped")), 1, "its destructors have run");
    assert!(!report.is_clean());

    let app = database.launch().await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2, "the step ran again");
    app.shutdown().await;
}

#[step]
async fn blocks_its_thread(key: &str) -> u32 {
    let run = count(key);
    if run == 1 {
        std::thread::sleep(Duration::from_secs(4)); // a fault of the program that is tested here
    }
    run
}

#[workflow]
async fn blocking(key: String) -> Result<u32> {
    Ok(blocks_its_thread(&key).await)
}

async fn a_step_that_blocks_its_thread_is_reported_as_stuck(database: &TestDatabase) {
    let key = fresh("stuck");
    let app = database.builder("stuck").lease(Duration::from_millis(500)).launch().await.unwrap();
    app.scope(async { blocking(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let begun = Instant::now();
    let report = app.shutdown_with(ShutdownOptions::within(Duration::from_secs(2))).await;
    assert!(begun.elapsed() < Duration::from_millis(3_800), "{report}");
    assert_eq!(report.stuck.len(), 1, "{report}");
    assert_eq!(report.released.as_ref().unwrap().direct, 0, "what may still be doing something is not handed over");

    // After the lease has expired another engine takes it over, and the late record of the old body is refused.
    let app = database.builder("next").lease(Duration::from_millis(500)).launch().await.unwrap();
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    assert_eq!(app.list_steps("w").await.unwrap()[0].output.as_deref(), Some("2"));
    app.shutdown().await;
}

#[workflow]
async fn swallows_wait_error(key: String) -> Result<String> {
    let child = endless(key).await;
    Ok(child.map_or("caught".to_owned(), |it| it.to_string()))
}

#[workflow(nondeterminism = "allow")] // what must not be done is what is tested
async fn selects_around_a_wait(key: String) -> Result<String> {
    let waiting = pass(&key, 1);
    tokio::select! {
    _ = waiting => Ok("passed".into()),
    () = async { while counted(&format!("{key} open")) == 0 { tokio::task::yield_now().await } } => {
    pass(&key, 2).await;
    Ok("other arm".into())
    }
    }
}

async fn a_workflow_that_ignores_its_suspension_cannot_complete(database: &TestDatabase) {
    let (waits, selects) = (fresh("swallow"), fresh("select"));
    let app = database.launch().await;
    app.scope(async {
        swallows_wait_error(waits.clone()).id("waits").start().await.unwrap();
        selects_around_a_wait(selects.clone()).id("selects").start().await.unwrap();
    })
    .await;
    arrived(&waits, 1).await;
    arrived(&selects, 1).await;
    let down = start_shutdown(&app, budgets(0, 50));
    app.wait_for_phase(EnginePhase::Aborting).await;
    count(format!("{selects} open"));
    down.await.unwrap();

    for info in database.workflows().await {
        assert_eq!((info.status, info.output.as_deref()), (Status::Pending, None), "{}", info.id);
    }
}

#[workflow]
async fn joins(key: String) -> Result<u32> {
    let slow = format!("{key} slow");
    let (slow, quick) = tokio::join!(ignores_abort(&slow), pass_named(format!("{key} quick")));
    Ok(slow + quick)
}

#[step]
async fn pass_named(key: String) -> u32 {
    count(&key);
    gate(&key).acquire().await.unwrap().forget();
    10
}

async fn a_finished_step_of_a_join_is_recorded_when_its_sibling_is_dropped(database: &TestDatabase) {
    let key = fresh("join");
    let (slow, quick) = (format!("{key} slow"), format!("{key} quick"));
    let app = database.launch().await;
    app.scope(async { joins(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&slow, 1).await;
    arrived(&quick, 1).await;
    let down = start_shutdown(&app, budgets(0, 1000));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&quick).add_permits(1);
    down.await.unwrap();

    let app = database.launch().await;
    arrived(&slow, 2).await;
    gate(&slow).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 12);
    assert_eq!(counted(&quick), 1, "what had finished while its sibling was killed is recorded");
    app.shutdown().await;
}

#[workflow]
async fn parent_in_drain(key: String) -> Result<u32> {
    let first = pass(&key, 1).await;
    Ok(first + passes(key, 1).await?)
}

async fn a_child_can_be_started_during_the_drain(database: &TestDatabase) {
    let key = fresh("child");
    let app = database.launch().await;
    app.scope(async { parent_in_drain(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(60_000, 0));
    app.wait_for_phase(EnginePhase::Draining).await;
    gate(&key).add_permits(2);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 2, "{report}");
}

async fn the_drain_refuses_direct_starts_and_allows_enqueueing(database: &TestDatabase) {
    let key = fresh("refused");
    let app = database.launch().await;
    app.scope(async { passes(key.clone(), 1).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(60_000, 0));
    app.wait_for_phase(EnginePhase::Draining).await;
    let refused = app.scope(async { passes(key.clone(), 1).id("late").start().await }).await.unwrap_err();
    assert!(refused.is_interrupted() && refused.to_string().contains("shutting down"), "{refused}");
    app.scope(async { passes(key.clone(), 1).id("queued").enqueue(&LATE).await.unwrap() }).await;
    gate(&key).add_permits(1);
    assert!(down.await.unwrap().is_clean());
    let workflows = database.workflows().await;
    let stands: Vec<_> = workflows.iter().map(|it| (it.id.as_str(), it.status)).collect();
    assert_eq!(stands, [("w", Status::Success), ("queued", Status::Enqueued)], "nothing was written of the other");

    gate(&key).add_permits(1);
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("queued").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
}

#[transaction(read_only)]
async fn asks_lite(tx: &mut sqlx::SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1").fetch_one(tx).await?)
}

#[transaction(read_only)]
async fn asks_postgres(tx: &mut sqlx::PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1::bigint").fetch_one(tx).await?)
}

async fn a_transaction_outside_a_workflow_works_during_the_drain(database: &TestDatabase) {
    let key = fresh("plain");
    let app = database.launch().await;
    app.scope(async { passes(key.clone(), 1).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(60_000, 0));
    app.wait_for_phase(EnginePhase::Draining).await;
    // It belongs to no workflow: it may serve a request that is answered before the process ends.
    let result = async { if database.is_postgres() { asks_postgres().await } else { asks_lite().await } };
    assert_eq!(app.scope(result).await.unwrap(), 1);
    gate(&key).add_permits(1);
    assert_eq!(down.await.unwrap().completed, 1);
}

async fn waiting_for_a_result_is_interrupted_by_the_shutdown(database: &TestDatabase) {
    let key = fresh("waiter");
    let app = database.launch().await;
    let handle = app.scope(async { endless(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let waiter = tokio::spawn(handle.result());
    app.shutdown_with(budgets(0, 0)).await;
    let error = waiter.await.unwrap().unwrap_err();
    assert_interrupted(&error, "w");
}

#[step(retries = 3, backoff = "1h")]
async fn fails_once(key: &str) -> Result<u32> {
    match count(key) {
        1 => Err(Error::msg("the first attempt fails")),
        run => Ok(run),
    }
}

#[workflow]
async fn retries_for_long(key: String) -> Result<u32> {
    fails_once(&key).await
}

async fn a_retry_backoff_does_not_delay_the_shutdown(database: &TestDatabase) {
    let key = fresh("backoff");
    let app = database.launch().await;
    app.scope(async { retries_for_long(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(budgets(0, 10_000)).await;
    assert!(report.is_clean() && report.suspended.len() == 1, "{report}");

    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    assert_eq!(app.list_steps("w").await.unwrap()[0].attempts, 1, "attempts before the restart are not counted");
    app.shutdown().await;
}

async fn a_cancellation_during_the_drain_takes_effect(database: &TestDatabase) {
    let key = fresh("cancel");
    let app = database.launch().await;
    let handle = app.scope(async { endless(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(60_000, 0));
    app.wait_for_phase(EnginePhase::Draining).await;
    handle.cancel().await.unwrap();
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.completed == 1, "a cancellation is an end: {report}");

    let app = database.launch().await;
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap()[0].status, Status::Cancelled);
    app.shutdown().await;
}

async fn a_workflow_waiting_for_a_permit_is_suspended(database: &TestDatabase) {
    let key = fresh("turn");
    let app = database.builder("one").max_concurrent_workflows(1).launch().await.unwrap();
    app.scope(async {
        endless(key.clone()).id("first").start().await.unwrap();
        arrived(&key, 1).await;
        endless(key.clone()).id("second").start().await.unwrap();
    })
    .await;
    app.shutdown_with(budgets(0, 0)).await;
    assert_eq!(counted(&key), 1);

    let app = database.launch().await;
    gate(&key).add_permits(2);
    for id in ["first", "second"] {
        app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap();
    }
    app.shutdown().await;
}
