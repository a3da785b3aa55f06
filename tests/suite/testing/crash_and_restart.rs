//! `app.crash()` and `app.restart()`.

use durable::prelude::*;
use durable::testing::TestApp;

use crate::support::{app_tests, arrived, count, counted, fresh, gate, until, wait_for_steps};

app_tests! {
    a_crash_drops_what_runs_and_a_restart_recovers_it_at_once,
    a_crash_releases_nothing_and_writes_nothing_more,
    after_a_restart_the_calls_of_the_test_go_to_the_new_engine,
    calls_between_a_crash_and_the_restart_fail,
    time_that_has_passed_has_passed_after_a_restart_too,
    an_engine_that_runs_is_shut_down_by_a_restart,
    a_test_may_end_with_a_crash,
}

/// Notes that a body was dropped.
struct Dropped(String);

impl Drop for Dropped {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
    }
}

#[step]
async fn hold(key: &str) -> u32 {
    count(format!("{key} held"));
    gate(key).acquire().await.unwrap().forget();
    counted(&format!("{key} held"))
}

#[workflow]
async fn holds(key: String) -> Result<u32> {
    let _dropped = Dropped(key.clone());
    Ok(hold(&key).await)
}

async fn a_crash_drops_what_runs_and_a_restart_recovers_it_at_once(app: TestApp) {
    let key = fresh("crash");
    holds(key.clone()).id("w").start().await.unwrap();
    arrived(&format!("{key} held"), 1).await;
    app.crash().await;
    assert_eq!(counted(&format!("{key} dropped")), 1, "the body is dropped when the call returns");
    app.restart().await;
    arrived(&format!("{key} held"), 2).await;
    gate(&key).add_permits(1);
    let handle = app.retrieve_workflow::<u32>("w").await.unwrap();
    assert_eq!(handle.await.unwrap(), 2, "the step was not recorded, so it ran again");
    assert_eq!(app.workflow("w").await.unwrap().unwrap().recoveries, 1, "it was recovered and not handed over");
}

async fn a_crash_releases_nothing_and_writes_nothing_more(app: TestApp) {
    let key = fresh("crash");
    holds(key.clone()).id("w").start().await.unwrap();
    arrived(&format!("{key} held"), 1).await;
    let store = app.store();
    app.crash().await;
    gate(&key).add_permits(1);
    let refused = store.find("w").await.unwrap_err();
    assert!(refused.to_string().contains("dead"), "{refused}");
    app.restart().await;
    let executors = app.store().executors().await.unwrap();
    assert_eq!(executors.len(), 1, "the one that crashed was fenced out: {executors:?}");
    let handle = app.retrieve_workflow::<u32>("w").await.unwrap();
    assert_eq!(handle.await.unwrap(), 2);
}

#[workflow]
async fn gives_a_number(number: u32) -> Result<u32> {
    Ok(number)
}

async fn after_a_restart_the_calls_of_the_test_go_to_the_new_engine(app: TestApp) {
    assert_eq!(gives_a_number(1).id("before").await.unwrap(), 1);
    for round in 0..3 {
        app.crash().await;
        app.restart().await;
        assert_eq!(gives_a_number(round).id(format!("after {round}")).await.unwrap(), round);
        let all = durable::list_workflows(Filter::new()).await.unwrap();
        assert_eq!(all.len(), app.list_workflows(Filter::new()).await.unwrap().len());
        assert_eq!(all.len(), round as usize + 2, "the database is the same");
    }
}

async fn calls_between_a_crash_and_the_restart_fail(app: TestApp) {
    app.crash().await;
    let error = gives_a_number(1).await.unwrap_err();
    assert!(matches!(error.kind(), durable::ErrorKind::ShuttingDown), "{error:?}");
    app.restart().await;
    assert_eq!(gives_a_number(1).await.unwrap(), 1);
}

#[workflow]
async fn sleeps_for_a_month(key: String) -> Result<u32> {
    count(format!("{key} runs"));
    durable::sleep(Duration::from_hours(720)).await;
    Ok(30)
}

async fn time_that_has_passed_has_passed_after_a_restart_too(app: TestApp) {
    let key = fresh("month");
    sleeps_for_a_month(key.clone()).id("w").start().await.unwrap();
    wait_for_steps(&app, "w", 1).await; // it sleeps
    app.advance(Duration::from_hours(696)).await;
    app.crash().await;
    app.restart().await;
    arrived(&format!("{key} runs"), 2).await;
    app.advance(Duration::from_hours(24)).await;
    let handle = app.retrieve_workflow::<u32>("w").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), handle.result()).await;
    assert_eq!(ended.expect("29 days and one are over").unwrap(), 30);
}

async fn an_engine_that_runs_is_shut_down_by_a_restart(app: TestApp) {
    sleeps_for_a_month(fresh("month")).id("w").start().await.unwrap();
    wait_for_steps(&app, "w", 1).await;
    app.restart().await;
    let shown = app.workflow("w").await.unwrap().unwrap();
    assert_eq!((shown.status, shown.recoveries), (Status::Pending, 0), "it was handed over");
    until("it runs again", async || app.workflow("w").await.unwrap().unwrap().attempts == 2).await;
}

async fn a_test_may_end_with_a_crash(app: TestApp) {
    sleeps_for_a_month(fresh("month")).id("w").start().await.unwrap();
    app.crash().await;
}

#[durable::test]
#[should_panic(expected = "launch it with `app.restart()` first")]
async fn no_time_passes_after_a_crash(app: TestApp) {
    app.crash().await;
    app.advance(Duration::from_secs(1)).await;
}
