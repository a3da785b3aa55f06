//! What a body logs while it replays was logged by an earlier run, and is not logged again.

use durable::prelude::*;

use crate::support::{LogCapture, Recorder, TestDatabase, arrived, count, fresh, gate, one_thread_tests};

one_thread_tests! {
    what_a_body_logged_before_a_crash_is_not_logged_again,
    a_replay_is_logged_where_that_is_asked_for,
    what_follows_a_sleep_that_was_recorded_is_logged,
    a_verification_of_a_replay_logs_nothing_of_the_body,
    the_trace_of_the_caller_is_stored_with_the_workflow,
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

async fn what_a_body_logged_before_a_crash_is_not_logged_again(database: &TestDatabase, _: &Recorder) {
    let log = crashed_and_recovered(database, false).await;
    for line in ["the body begins", "the first step is behind it", "the second step is behind it"] {
        assert_eq!(log.lines(line).len(), 1, "{line}: {}", log.text());
    }
}

async fn a_replay_is_logged_where_that_is_asked_for(database: &TestDatabase, _: &Recorder) {
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

async fn what_follows_a_sleep_that_was_recorded_is_logged(database: &TestDatabase, _: &Recorder) {
    // A sleep that is over by the time of the recovery, and one that is not.
    for length in [Duration::from_secs(2), Duration::from_hours(1)] {
        let (log, key) = (LogCapture::default(), fresh("logs"));
        let _recording = log.record();
        let app = database.launch().await;
        app.scope(async { logs_after_a_sleep(key.clone(), length).id(&key).start().await.unwrap() }).await;
        arrived(&key, 1).await;
        crate::support::wait_for_steps(&app, &key, 1).await;
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

async fn a_verification_of_a_replay_logs_nothing_of_the_body(database: &TestDatabase, _: &Recorder) {
    let (log, key) = (LogCapture::default(), fresh("logs"));
    let _recording = log.record();
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async { logs_between_steps(key.clone()).id("w").await.unwrap() }).await;
    assert!(app.verify_replay("w").await.unwrap().is_match());
    assert_eq!(log.lines("the body begins").len(), 1, "{}", log.text());
    app.shutdown().await;
}

/// A tracer that knows one trace.
#[derive(Debug)]
struct OneTrace;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

impl durable::TraceContext for OneTrace {
    fn traceparent(&self, _span: &tracing::Span) -> Option<String> {
        Some(TRACE.to_owned())
    }

    fn continue_trace(&self, _span: &tracing::Span, traceparent: &str) {
        count(format!("continued {traceparent}"));
    }

    fn link(&self, _span: &tracing::Span, _traceparent: &str) {}
}

#[queue]
static TRACED: Queue = Queue::new("traced");

async fn the_trace_of_the_caller_is_stored_with_the_workflow(database: &TestDatabase, _: &Recorder) {
    let key = fresh("logs");
    let app = database.builder("app").trace_context(OneTrace).launch().await.unwrap();
    gate(&key).add_permits(2);
    app.scope(async {
        logs_between_steps(key.clone()).id("direct").await.unwrap();
        logs_between_steps(key.clone()).id("queued").enqueue(&TRACED).await.unwrap().await.unwrap();
    })
    .await;
    for id in ["direct", "queued"] {
        let listed = app.workflow(id).await.unwrap().expect("it is there");
        assert_eq!(listed.trace_context.as_deref(), Some(TRACE), "{id}");
    }
    assert!(crate::support::counted(&format!("continued {TRACE}")) >= 2);
    app.shutdown().await;
}
