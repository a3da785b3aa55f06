//! What a body logs while it replays was logged by an earlier run, and is not logged again.

use durable::prelude::*;

use crate::support::{LogCapture, TestDatabase, arrived, count, fresh, gate, one_thread_tests, until, wait_for_steps};

one_thread_tests! {
    without a recorder:
    what_a_body_logged_before_a_crash_is_not_logged_again,
    a_replay_is_logged_where_that_is_asked_for,
    what_follows_a_sleep_that_was_recorded_is_logged,
    what_each_of_several_new_branches_does_is_logged,
    what_follows_a_wait_behind_a_select_is_logged,
    a_verification_of_a_replay_logs_nothing_of_the_body,
}

#[step]
async fn logged_first(_key: &str) -> u32 {
    1
}

#[step]
async fn logged_second(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    2
}

#[workflow]
async fn logs_between_steps(key: String) -> Result<u32> {
    tracing::info!("the body begins");
    let first = logged_first(&key).await;
    tracing::info!("the first step is behind it");
    let sum = first + logged_second(&key).await;
    tracing::info!("the second step is behind it");
    Ok(sum)
}

/// Crashes it in its second step, ends it with another engine, and gives what was logged.
async fn crashed_and_recovered(database: &TestDatabase, log_replays: bool) -> LogCapture {
    let (log, key) = (LogCapture::default(), fresh("logs"));
    let recording = log.record();
    let app = database.launch().await;
    app.scope(async { logs_between_steps(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;
    let builder = database.builder("app");
    let app = if log_replays { builder.log_replays() } else { builder }.launch().await.unwrap();
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 3);
    app.shutdown().await;
    drop(recording);
    log
}

async fn what_a_body_logged_before_a_crash_is_not_logged_again(database: &TestDatabase) {
    let log = crashed_and_recovered(database, false).await;
    for line in ["the body begins", "the first step is behind it", "the second step is behind it"] {
        assert_eq!(log.lines(line).len(), 1, "{line}: {}", log.text());
    }
}

async fn a_replay_is_logged_where_that_is_asked_for(database: &TestDatabase) {
    let log = crashed_and_recovered(database, true).await;
    let counts = ["the body begins", "the first step is behind it", "the second step is behind it"]
        .map(|line| log.lines(line).len());
    assert_eq!(counts, [2, 2, 1], "{}", log.text());
}

#[workflow]
async fn logs_after_a_sleep(key: String, length: Duration) -> Result<()> {
    count(&key);
    durable::sleep(length).await;
    tracing::info!("it has slept");
    Ok(())
}

async fn what_follows_a_sleep_that_was_recorded_is_logged(database: &TestDatabase) {
    // A sleep that is over by the time of the recovery, and one that is not.
    for length in [Duration::from_secs(2), Duration::from_hours(1)] {
        let (log, key) = (LogCapture::default(), fresh("logs"));
        let _recording = log.record();
        let app = database.launch().await;
        app.scope(async { logs_after_a_sleep(key.clone(), length).id(&key).start().await.unwrap() }).await;
        arrived(&key, 1).await;
        wait_for_steps(&app, &key, 1).await;
        database.crash(app).await;
        tokio::time::sleep(length.min(Duration::from_millis(2_100))).await;
        let app = database.launch().await;
        arrived(&key, 2).await;
        app.skip_time(length);
        app.retrieve_workflow::<()>(&key).await.unwrap().await.unwrap();
        app.shutdown().await;
        // On a slow machine the short sleep is over before the crash, and what follows runs twice.
        assert!(!log.lines("it has slept").is_empty(), "{}", log.text());
    }
}

#[step]
async fn logged_arm(key: &str, arm: &str) -> u32 {
    tracing::info!("the arm {arm} runs");
    count(key);
    gate(key).acquire().await.unwrap().forget();
    1
}

#[workflow]
async fn logs_in_arms(key: String) -> Result<u32> {
    let first = logged_first(&key).await;
    let (one, two) = durable::join!(logged_arm(&key, "one"), logged_arm(&key, "two"));
    Ok(first + one + two)
}

async fn what_each_of_several_new_branches_does_is_logged(database: &TestDatabase) {
    let (log, key) = (LogCapture::default(), fresh("logs"));
    let _recording = log.record();
    let app = database.launch().await;
    app.scope(async { logs_in_arms(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 2).await;
    database.crash(app).await;
    let app = database.launch().await;
    arrived(&key, 4).await;
    gate(&key).add_permits(2);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 3);
    app.shutdown().await;
    for arm in ["the arm one runs", "the arm two runs"] {
        assert_eq!(log.lines(arm).len(), 2, "{arm}: {}", log.text());
    }
}

#[workflow]
async fn waits_behind_a_select(key: String, in_branches: bool) -> Result<()> {
    let day = Duration::from_hours(24);
    durable::select! {
        () = durable::sleep(day) => unreachable!("the other arm is faster"),
        _ = logged_first(&key) => {}
    }
    if in_branches {
        durable::join!(durable::sleep(day), durable::sleep(day));
    } else {
        durable::sleep(day).await;
    }
    tracing::info!("it has waited behind a select");
    count(&key);
    gate(&key).acquire().await.unwrap().forget(); // no call, so that the replay ends with the wait
    Ok(())
}

/// The records of an arm that lost are never asked for.
async fn what_follows_a_wait_behind_a_select_is_logged(database: &TestDatabase) {
    // The sleep of the arm that lost, the step, the winner; and one sleep, or two.
    for (in_branches, records) in [(false, 4), (true, 5)] {
        let (log, key) = (LogCapture::default(), fresh("logs"));
        let _recording = log.record();
        let app = database.launch().await;
        app.scope(async { waits_behind_a_select(key.clone(), in_branches).id(&key).start().await.unwrap() }).await;
        wait_for_steps(&app, &key, records).await;
        database.crash(app).await;
        let app = database.launch().await;
        let sleeps = || app.activities(&key).iter().filter(|it| it.until.is_some()).count();
        until("it sleeps again", async || sleeps() == records - 3).await;
        app.skip_time(Duration::from_hours(25));
        arrived(&key, 1).await;
        assert_eq!(log.lines("it has waited behind a select").len(), 1, "{in_branches}: {}", log.text());
        gate(&key).add_permits(1);
        app.retrieve_workflow::<()>(&key).await.unwrap().await.unwrap();
        app.shutdown().await;
    }
}

async fn a_verification_of_a_replay_logs_nothing_of_the_body(database: &TestDatabase) {
    let (log, key) = (LogCapture::default(), fresh("logs"));
    let _recording = log.record();
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async { logs_between_steps(key.clone()).id("w").await.unwrap() }).await;
    assert!(app.verify_replay("w").await.unwrap().is_match());
    assert_eq!(log.lines("the body begins").len(), 1, "{}", log.text());
    app.shutdown().await;
}
