//! Counters and histograms: each thing is counted once, where it happens, also over crashes and replays.

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{Recorder, TestDatabase, arrived, fresh, gate, one_thread_tests, until};

one_thread_tests! {
    each_workflow_is_counted_at_its_begin_and_at_its_end,
    a_cancellation_is_counted_wherever_the_workflow_was,
    a_later_run_is_no_start_and_a_replayed_step_is_not_counted,
    a_workflow_that_was_recovered_too_often_is_counted_as_parked,
    steps_are_counted_by_outcome_and_their_retries_apart,
    a_transaction_is_counted_like_a_step,
    a_queued_workflow_is_counted_with_its_queue_and_how_long_it_waited,
    a_write_after_a_takeover_is_counted_as_fenced,
    a_tick_is_counted_once_however_many_processes_try_it,
    the_first_run_of_a_fork_is_a_start,
    what_has_no_labels_is_counted_from_0,
}

#[queue]
static METERED: Queue = Queue::new("metered");

#[step]
async fn metered_step(fails: bool) -> Result<u32> {
    if fails { Err(Error::msg("as the test wants")) } else { Ok(1) }
}

#[workflow]
async fn metered_workflow(fails: bool) -> Result<u32> {
    metered_step(fails).await
}

async fn each_workflow_is_counted_at_its_begin_and_at_its_end(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    app.scope(async {
        metered_workflow(false).id("good").await.unwrap();
        metered_workflow(false).id("good").await.unwrap(); // it exists, and is not started again
        metered_workflow(true).id("bad").await.unwrap_err();
    })
    .await;
    recorder.assert(&[
        (r#"durable_workflows_started_total{name="metered_workflow",queue=""}"#, 2.0),
        (r#"durable_workflows_completed_total{name="metered_workflow",queue=""}"#, 1.0),
        (r#"durable_workflows_failed_total{name="metered_workflow",queue=""}"#, 1.0),
        (r#"durable_workflows_recovered_total{name="metered_workflow",queue=""}"#, 0.0),
        (r#"durable_steps_total{name="metered_step",outcome="success"}"#, 1.0),
        (r#"durable_steps_total{name="metered_step",outcome="error"}"#, 1.0),
        (r#"durable_step_duration_seconds_count{name="metered_step"}"#, 2.0),
    ]);
    assert!(recorder.value("durable_writer_commit_seconds_count") >= 2.0, "{}", recorder.text());
    assert!(recorder.value("durable_writer_batch_entries_sum") >= 4.0, "{}", recorder.text());
    app.shutdown().await;
}

#[workflow]
async fn metered_wait(_key: String) -> Result<()> {
    durable::sleep(Duration::from_hours(1)).await;
    Ok(())
}

#[workflow]
async fn metered_parent(key: String) -> Result<()> {
    metered_wait(key).await
}

async fn a_cancellation_is_counted_wherever_the_workflow_was(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    app.scope(async {
        let late = metered_wait("late".into()).id("late").timeout(Duration::from_millis(1)).start().await.unwrap();
        late.await.unwrap_err();
        metered_parent("with children".into()).id("parent").start().await.unwrap();
        let children = async || app.list_workflows(Filter::new().name("metered_wait")).await.unwrap().items.len();
        until("the child is there", async || children().await >= 2).await;
        durable::cancel_workflow("parent").cancel_children().await.unwrap();
        durable::cancel_workflow("parent").await.unwrap(); // it was cancelled before
        metered_wait("delayed".into())
            .id("delayed")
            .queue(&METERED)
            .delay(Duration::from_hours(1))
            .start()
            .await
            .unwrap();
        durable::cancel_workflow("delayed").await.unwrap();
    })
    .await;
    recorder.assert(&[
        (r#"durable_workflows_cancelled_total{name="metered_wait",queue=""}"#, 2.0),
        (r#"durable_workflows_cancelled_total{name="metered_parent",queue=""}"#, 1.0),
        (r#"durable_workflows_cancelled_total{name="metered_wait",queue="metered"}"#, 1.0),
        (r#"durable_workflows_started_total{name="metered_wait",queue="metered"}"#, 0.0),
    ]);
    app.shutdown().await;
}

#[step]
async fn metered_first(_key: &str) -> u32 {
    1
}

#[step]
async fn metered_second(key: &str) -> u32 {
    crate::support::count(key);
    gate(key).acquire().await.unwrap().forget();
    2
}

#[workflow(max_recoveries = 1)]
async fn metered_two_steps(key: String) -> Result<u32> {
    Ok(metered_first(&key).await + metered_second(&key).await)
}

async fn a_later_run_is_no_start_and_a_replayed_step_is_not_counted(database: &TestDatabase, recorder: &Recorder) {
    let key = fresh("metered");
    let app = database.launch().await;
    app.scope(async { metered_two_steps(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;
    let app = database.launch().await;
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 3);
    recorder.assert(&[
        (r#"durable_workflows_started_total{name="metered_two_steps",queue=""}"#, 1.0),
        (r#"durable_workflows_recovered_total{name="metered_two_steps",queue=""}"#, 1.0),
        (r#"durable_workflows_completed_total{name="metered_two_steps",queue=""}"#, 1.0),
        (r#"durable_steps_total{name="metered_first",outcome="success"}"#, 1.0),
        (r#"durable_steps_total{name="metered_second",outcome="success"}"#, 1.0),
        ("durable_recoveries_total", 1.0),
        ("durable_takeovers_total", 1.0),
    ]);
    app.shutdown().await;
}

async fn a_workflow_that_was_recovered_too_often_is_counted_as_parked(database: &TestDatabase, recorder: &Recorder) {
    let key = fresh("metered");
    let app = database.launch().await;
    app.scope(async { metered_two_steps(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;
    let app = database.launch().await;
    arrived(&key, 2).await;
    database.crash(app).await;
    let app = database.launch().await;
    recorder.read_gauges(&app).await;
    recorder.assert(&[
        (r#"durable_workflows_parked_total{name="metered_two_steps",queue=""}"#, 1.0),
        (r#"durable_workflows_recovered_total{name="metered_two_steps",queue=""}"#, 1.0),
        (r#"durable_workflows_parked{name="metered_two_steps"}"#, 1.0),
    ]);
    app.shutdown().await;
}

#[step(retries = 2, backoff = "1ms")]
async fn metered_flaky(key: &str) -> Result<u32> {
    match crate::support::count(key) {
        1 | 2 => Err(Error::msg("not yet")),
        many => Ok(many),
    }
}

#[step(timeout = "1ms")]
async fn metered_slow() -> Result<()> {
    std::future::pending().await
}

#[step]
async fn metered_panic() -> Result<()> {
    panic!("as the test wants")
}

#[workflow]
async fn metered_outcomes(key: String) -> Result<u32> {
    let many = metered_flaky(&key).await?;
    let _ = metered_slow().await;
    metered_panic().await?;
    Ok(many)
}

async fn steps_are_counted_by_outcome_and_their_retries_apart(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    app.scope(async { metered_outcomes(fresh("metered")).await.unwrap_err() }).await;
    recorder.assert(&[
        (r#"durable_steps_total{name="metered_flaky",outcome="success"}"#, 1.0),
        (r#"durable_steps_total{name="metered_flaky",outcome="error"}"#, 0.0),
        (r#"durable_step_retries_total{name="metered_flaky"}"#, 2.0),
        (r#"durable_step_duration_seconds_count{name="metered_flaky"}"#, 3.0),
        (r#"durable_steps_total{name="metered_slow",outcome="timeout"}"#, 1.0),
        (r#"durable_steps_total{name="metered_panic",outcome="panic"}"#, 1.0),
        (r#"durable_workflows_failed_total{name="metered_outcomes",queue=""}"#, 1.0),
    ]);
    app.shutdown().await;
}

#[transaction]
async fn metered_on_sqlite(tx: &mut sqlx::SqliteConnection, fails: bool) -> Result<i64> {
    let (one,): (i64,) = sqlx::query_as("select 1").fetch_one(&mut *tx).await?;
    if fails { Err(Error::msg("as the test wants")) } else { Ok(one) }
}

#[transaction]
async fn metered_on_postgres(tx: &mut sqlx::PgConnection, fails: bool) -> Result<i64> {
    let (one,): (i64,) = sqlx::query_as("select 1::bigint").fetch_one(&mut *tx).await?;
    if fails { Err(Error::msg("as the test wants")) } else { Ok(one) }
}

#[workflow]
async fn metered_transactions(postgres: bool) -> Result<()> {
    for fails in [false, true] {
        let _ = if postgres { metered_on_postgres(fails).await } else { metered_on_sqlite(fails).await };
    }
    Ok(())
}

async fn a_transaction_is_counted_like_a_step(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    app.scope(async { metered_transactions(database.is_postgres()).await.unwrap() }).await;
    let name = if database.is_postgres() { "metered_on_postgres" } else { "metered_on_sqlite" };
    recorder.assert(&[
        (&format!(r#"durable_steps_total{{name="{name}",outcome="success"}}"#), 1.0),
        (&format!(r#"durable_steps_total{{name="{name}",outcome="error"}}"#), 1.0),
        (&format!(r#"durable_step_duration_seconds_count{{name="{name}"}}"#), 2.0),
    ]);
    app.shutdown().await;
}

async fn a_queued_workflow_is_counted_with_its_queue_and_how_long_it_waited(
    database: &TestDatabase,
    recorder: &Recorder,
) {
    let app = database.builder("enqueues").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async { metered_workflow(false).id("w").enqueue(&METERED).await.unwrap() }).await;
    tokio::time::sleep(Duration::from_millis(20)).await; // it waits for so long at least
    app.shutdown().await;
    recorder.assert(&[(r#"durable_workflows_started_total{name="metered_workflow",queue="metered"}"#, 0.0)]);
    let app = database.launch().await;
    app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap();
    recorder.assert(&[
        (r#"durable_workflows_started_total{name="metered_workflow",queue="metered"}"#, 1.0),
        (r#"durable_workflows_completed_total{name="metered_workflow",queue="metered"}"#, 1.0),
        (r#"durable_queue_claims_total{queue="metered"}"#, 1.0),
        (r#"durable_dequeue_latency_seconds_count{queue="metered"}"#, 1.0),
    ]);
    let waited = recorder.value(r#"durable_dequeue_latency_seconds_sum{queue="metered"}"#);
    assert!(waited >= 0.019, "it waited for {waited} s");
    app.shutdown().await;
}

async fn a_write_after_a_takeover_is_counted_as_fenced(database: &TestDatabase, recorder: &Recorder) {
    let key = fresh("metered");
    let app = database.launch().await;
    app.scope(async { metered_two_steps(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let store: std::sync::Arc<dyn Store> = app.store();
    let executor = store.executors().await.unwrap().remove(0);
    assert!(store.fence_out(executor.key, executor.epoch).await.unwrap());
    gate(&key).add_permits(1);
    until("the write is refused", async || recorder.value("durable_fenced_writes_total") > 0.0).await;
    recorder.assert(&[(r#"durable_workflows_completed_total{name="metered_two_steps",queue=""}"#, 0.0)]);
    database.crash(app).await;
}

async fn a_tick_is_counted_once_however_many_processes_try_it(database: &TestDatabase, recorder: &Recorder) {
    let (one, two) = (database.builder("one").launch().await.unwrap(), database.builder("two").launch().await.unwrap());
    let hour = Duration::from_hours(1);
    // Half an hour from now at first: no tick falls into the time that a test takes.
    let minute = (Utc::now().timestamp() / 60 + 30) % 60;
    let schedule = metered_workflow(false).schedule("metered-hourly", format!("{minute} * * * *"));
    one.scope(async { schedule.misfire(durable::Misfire::All).await.unwrap() }).await;
    for app in [&one, &two] {
        app.listening().await;
        app.skip_time(hour);
    }
    for app in [&one, &two] {
        let handled = async || {
            let schedules = app.list_schedules().await.unwrap();
            schedules.iter().all(|it| it.name != "metered-hourly" || it.last_tick > Utc::now())
        };
        until("the tick is noted", handled).await;
    }
    one.shutdown().await;
    two.shutdown().await;
    // It was made at run time, and is not a name of the program.
    recorder.assert(&[(r#"durable_schedule_lateness_seconds_count{schedule="other"}"#, 1.0)]);
}

async fn the_first_run_of_a_fork_is_a_start(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    app.scope(async {
        metered_workflow(false).id("direct").await.unwrap();
        metered_workflow(false).id("queued").enqueue(&METERED).await.unwrap().await.unwrap();
    })
    .await;
    for id in ["direct", "queued"] {
        for position in [1, 2] {
            app.fork_workflow(id, position).await.unwrap().result().await.unwrap();
        }
    }
    recorder.assert(&[
        (r#"durable_workflows_started_total{name="metered_workflow",queue=""}"#, 3.0),
        (r#"durable_workflows_started_total{name="metered_workflow",queue="metered"}"#, 3.0),
        (r#"durable_workflows_recovered_total{name="metered_workflow",queue=""}"#, 0.0),
        (r#"durable_workflows_recovered_total{name="metered_workflow",queue="metered"}"#, 0.0),
        (r#"durable_dequeue_latency_seconds_count{queue="metered"}"#, 3.0),
    ]);
    app.shutdown().await;
}

/// Prometheus sees no increase in the first value of a counter.
async fn what_has_no_labels_is_counted_from_0(database: &TestDatabase, recorder: &Recorder) {
    let app = database.launch().await;
    for counter in durable::metrics::METRICS {
        if counter.kind == durable::metrics::MetricKind::Counter && counter.labels.is_empty() {
            assert!(recorder.shown(counter.name).is_some(), "{}:\n{}", counter.name, recorder.text());
        }
    }
    assert_eq!(recorder.shown("durable_leases_lost_total"), Some(0.0));
    app.shutdown().await;
}
