//! Sleeping.

use std::time::Instant;

use durable::prelude::*;

use crate::support::{TestDatabase, database_tests, fresh, gate, wait_for_steps};

database_tests! {
a_sleep_never_ends_early,
a_sleep_of_a_year_ends_after_a_year,
after_a_restart_a_sleep_lasts_only_for_the_rest_of_its_time,
a_sleep_until_a_past_time_ends_at_once,
a_long_sleep_does_not_delay_the_shutdown,
a_short_sleep_ends_during_the_drain,
a_sleep_in_a_step_parks_the_workflow,
}

#[workflow]
async fn sleeps(duration: Duration) -> Result<()> {
    durable::sleep(duration).await;
    Ok(())
}

/// Returns how long the sleep was. It is measured here, because the time of a start would hide a sleep that is too short.
#[workflow(nondeterminism = "allow")]
async fn measures_its_sleep(duration: Duration) -> Result<Duration> {
    let begun = Instant::now();
    durable::sleep(duration).await;
    Ok(begun.elapsed())
}

async fn a_sleep_never_ends_early(database: &TestDatabase) {
    let app = database.launch().await;
    let calls = (0..50_u32).map(|n| {
        app.spawn_scoped(async move {
            let duration = Duration::from_millis(u64::from(n) * 7);
            let slept = measures_its_sleep(duration).await.unwrap();
            assert!(slept >= duration, "{slept:?} instead of {duration:?}");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    app.shutdown().await;
}

const YEAR: Duration = Duration::from_hours(365 * 24);
const MOST_OF_A_YEAR: Duration = Duration::from_hours(364 * 24);

async fn a_sleep_of_a_year_ends_after_a_year(database: &TestDatabase) {
    let app = database.launch().await;
    let handle = app.scope(async { sleeps(YEAR).id("w").start().await.unwrap() }).await;
    wait_for_steps(&app, "w", 1).await; // the time of waking is recorded
    app.skip_time(MOST_OF_A_YEAR);
    assert_eq!(handle.status().await.unwrap(), Status::Pending);
    app.skip_time(Duration::from_hours(24));
    handle.await.unwrap();
    app.shutdown().await;
}

#[workflow]
async fn sleeps_behind_a_gate(key: String, duration: Duration) -> Result<()> {
    gate(&key).acquire().await.unwrap().forget(); // not durable: each run waits here
    durable::sleep(duration).await;
    Ok(())
}

async fn after_a_restart_a_sleep_lasts_only_for_the_rest_of_its_time(database: &TestDatabase) {
    let key = fresh("rest of a sleep");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async { sleeps_behind_a_gate(key.clone(), YEAR).id("w").start().await.unwrap() }).await;
    wait_for_steps(&app, "w", 1).await; // the time of waking is recorded
    let recorded = app.list_steps("w").await.unwrap().remove(0).output.unwrap();
    database.crash(app).await;

    // Most of the year is over before the second run reaches its sleep: a whole year from then on would
    // last another 364 days after the last day.
    let app = database.launch().await;
    app.skip_time(MOST_OF_A_YEAR);
    gate(&key).add_permits(1);
    let handle = app.retrieve_workflow::<()>("w").await.unwrap();
    assert_eq!(handle.status().await.unwrap(), Status::Pending);
    app.skip_time(Duration::from_hours(24));
    tokio::time::timeout(Duration::from_secs(20), handle).await.expect("the rest of the year has passed").unwrap();
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!((steps.len(), steps[0].output.as_deref()), (1, Some(recorded.as_str())), "the deadline stays as it was");
    app.shutdown().await;
}

#[workflow]
async fn sleeps_until(moment: DateTime<Utc>) -> Result<()> {
    durable::sleep_until(moment).await;
    Ok(())
}

async fn a_sleep_until_a_past_time_ends_at_once(database: &TestDatabase) {
    let app = database.launch().await;
    let steps = app.scope(async {
        sleeps_until(DateTime::<Utc>::MIN_UTC).id("past").await.unwrap();
        sleeps_until(Utc::now()).await.unwrap();
        app.list_steps("past").await.unwrap()
    });
    assert_eq!(steps.await[0].kind, "sleep");
    app.shutdown().await;
}

async fn a_long_sleep_does_not_delay_the_shutdown(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async { sleeps(YEAR).id("w").start().await.unwrap() }).await;
    wait_for_steps(&app, "w", 1).await; // the time of waking is recorded
    let report = app.shutdown().await;
    assert!(report.elapsed < Duration::from_secs(5), "{report}");
    assert_eq!(database.workflows().await[0].status, Status::Pending);
}

async fn a_short_sleep_ends_during_the_drain(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async { sleeps(Duration::from_millis(300)).id("w").start().await.unwrap() }).await;
    let report = app.shutdown().await;
    assert_eq!((report.completed, report.suspended.len()), (1, 0), "{report}");
    assert_eq!(database.workflows().await[0].status, Status::Success);
}

#[step]
async fn step_that_sleeps() -> u32 {
    durable::sleep(Duration::from_millis(1)).await;
    1
}

#[workflow]
async fn sleeps_in_a_step() -> Result<u32> {
    Ok(step_that_sleeps().await)
}

async fn a_sleep_in_a_step_parks_the_workflow(database: &TestDatabase) {
    let app = database.launch().await;
    let error = app.scope(async { sleeps_in_a_step().await }).await.expect_err("it could not be recorded");
    assert!(error.is_parked() && error.to_string().contains("`tokio::time::sleep`"), "{error}");
    app.shutdown().await;
}
