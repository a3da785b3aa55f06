//! What the engine logs about workflows and steps.

use durable::prelude::*;

use crate::support::{LogCapture, TestDatabase, database_tests, on_dropped_runtime};

database_tests! {
    an_id_with_other_arguments_is_a_warning_that_names_it,
}

/// Runs `work` with an engine of its own on one thread, and returns all that was logged.
async fn logged<F: Future<Output = ()>>(
    database: &TestDatabase,
    work: impl FnOnce(Durable) -> F + Send + 'static,
) -> LogCapture {
    let builder = database.builder("logs");
    let log = LogCapture::default();
    let captured = log.clone();
    on_dropped_runtime(move |runtime| {
        let _recording = captured.record();
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(work(app.clone())).await;
            app.shutdown().await;
        });
    })
    .await;
    log
}

#[step]
async fn quiet(text: String) -> String {
    text
}

#[workflow]
async fn echo_logged(text: String) -> Result<String> {
    Ok(quiet(text).await)
}

#[workflow]
async fn starts_child_twice(text: String) -> Result<String> {
    let _first = echo_logged(text).id("child").start().await?;
    echo_logged("kept out of logs".into()).id("child").await
}

async fn an_id_with_other_arguments_is_a_warning_that_names_it(database: &TestDatabase) {
    let log = logged(database, async |_app| {
        assert_eq!(echo_logged("a".into()).id("same").await.unwrap(), "a");
        assert_eq!(echo_logged("a".into()).id("same").await.unwrap(), "a");
        assert_eq!(echo_logged("b".into()).id("other").await.unwrap(), "b");
        assert_eq!(echo_logged("kept out of logs".into()).id("other").await.unwrap(), "b", "the first arguments count");
        assert_eq!(starts_child_twice("c".into()).id("parent").await.unwrap(), "c");
    })
    .await;
    let lines = log.lines("the workflow id is in use with other arguments");
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("WARN")), "{}", log.text());
    assert!(lines[0].contains("id=other") && lines[0].contains("workflow=\"echo_logged\""), "{lines:?}");
    assert!(lines[1].contains("id=child"), "{lines:?}");
    assert!(!log.text().contains("kept out of logs"), "no argument is in the log");
}
