//! What the engine logs about workflows and steps.

use durable::prelude::*;
use durable_core::store::NewWorkflow;

use crate::support::store_rows::{begin, register_executor_for, workflow};
use crate::support::{LogCapture, TestDatabase, database_tests, on_dropped_runtime};

database_tests! {
    an_id_with_other_arguments_is_a_warning_that_names_it,
    a_workflow_that_fails_is_one_warning_with_its_error,
    a_retry_is_logged_at_debug_and_the_last_failed_attempt_is_a_warning,
    what_bodies_and_steps_log_is_in_their_spans,
    a_launch_names_the_functions_that_it_does_not_have,
    a_clean_run_and_shutdown_log_no_warning,
    an_engine_that_is_dropped_warns_only_of_what_still_runs,
}

/// Runs `work` with an engine of its own on one thread, and returns all that was logged.
async fn logged<F: Future<Output = ()>>(
    database: &TestDatabase,
    work: impl FnOnce(Durable) -> F + Send + 'static,
) -> LogCapture {
    // This program has transactions for databases that only some tests have.
    let builder = database.builder("logs").accept_other_transactions();
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

#[workflow]
async fn fails_with(text: String) -> Result<()> {
    Err(Error::msg(text))
}

async fn a_workflow_that_fails_is_one_warning_with_its_error(database: &TestDatabase) {
    let log = logged(database, async |_app| {
        fails_with("the card was declined".into()).id("failed").await.unwrap_err();
    })
    .await;
    let lines = log.lines("a workflow ended with an error");
    assert!(lines.len() == 1 && lines[0].contains("WARN"), "{}", log.text());
    for words in ["workflow=\"fails_with\"", "id=failed", "error=the card was declined"] {
        assert!(lines[0].contains(words), "{words}: {lines:?}");
    }
}

#[step(retries = 2, backoff = "1ms")]
async fn is_busy_at_first(until: u32) -> Result<u32> {
    let attempt = durable::step_status().unwrap().attempt;
    if attempt < until { Err(Error::msg(format!("busy at {attempt}"))) } else { Ok(attempt) }
}

#[workflow]
async fn tries_again(until: u32) -> Result<Option<u32>> {
    Ok(is_busy_at_first(until).await.ok())
}

async fn a_retry_is_logged_at_debug_and_the_last_failed_attempt_is_a_warning(database: &TestDatabase) {
    let log = logged(database, async |_app| {
        assert_eq!(tries_again(2).id("recovers").await.unwrap(), Some(2));
        assert_eq!(tries_again(9).id("gives-up").await.unwrap(), None);
    })
    .await;
    let of_steps = log.lines("is_busy_at_first");
    let has = |level: &str, words: &[&str]| {
        let lines = of_steps.iter().filter(|it| it.contains(level) && words.iter().all(|word| it.contains(word)));
        lines.count()
    };
    assert_eq!(
        has("DEBUG", &["id=recovers", "tried again", "attempt=1", "max_attempts=3", "busy at 1"]),
        1,
        "{of_steps:#?}"
    );
    assert_eq!(has("WARN", &["id=recovers"]), 0, "{of_steps:#?}");
    assert_eq!(has("DEBUG", &["id=gives-up", "tried again"]), 2, "{of_steps:#?}");
    assert_eq!(has("WARN", &["id=gives-up"]), 1, "{of_steps:#?}");
    assert_eq!(has("WARN", &["position=1", "attempt=3", "not tried again", "busy at 3"]), 1, "{of_steps:#?}");
}

#[step(name = "speaks")]
async fn speaks(what: &str) {
    tracing::info!("step says {what}");
    tokio::task::yield_now().await;
    tracing::info!("step goes on");
}

#[step(name = "blocks")]
fn blocks() {
    tracing::info!("thread says hello");
}

#[workflow]
async fn speaks_too() -> Result<()> {
    tracing::info!("body says hello");
    speaks("hello").await;
    let branch = async {
        tracing::info!("branch says hello");
        speaks("from a branch").await;
    };
    durable::join!(branch, async {});
    blocks().await;
    tracing::info!("body says goodbye");
    Ok(())
}

async fn what_bodies_and_steps_log_is_in_their_spans(database: &TestDatabase) {
    let log = logged(database, async |_app| speaks_too().id("speaker").await.unwrap()).await;
    let workflow = "workflow{name=\"speaks_too\" id=speaker attempt=1}";
    for (said, step) in [
        ("body says hello", None),
        ("step says hello", Some("step{name=\"speaks\" position=1 attempt=1}")),
        ("step goes on", Some("step{name=\"speaks\" position=1 attempt=1}")),
        ("branch says hello", None),
        ("step says from a branch", Some("step{name=\"speaks\" position=2/1 attempt=1}")),
        ("body says goodbye", None),
    ] {
        let line = log.lines(said).into_iter().next().unwrap_or_default();
        assert!(line.contains(workflow), "{said}: {}", log.text());
        assert_eq!(line.contains(":step{"), step.is_some(), "{line}");
        assert!(step.is_none_or(|step| line.contains(step)), "{line}");
    }
}

async fn a_launch_names_the_functions_that_it_does_not_have(database: &TestDatabase) {
    let app = database.launch().await;
    let store = app.store();
    let gone = register_executor_for(&*store, "gone", Duration::from_millis(1)).await;
    for (id, name) in [("unknown-0", "removed"), ("unknown-1", "renamed"), ("unknown-2", "renamed")] {
        let unknown = NewWorkflow { name: name.to_owned(), ..workflow(id) };
        store.commit(gone, &[begin(&unknown)], false).await.unwrap();
    }
    database.crash(app).await;
    let log = logged(database, async |_app| {}).await;
    let lines = log.lines("unfinished workflows call functions that this program does not have");
    assert!(lines.len() == 1 && lines[0].contains("workflows=3"), "{}", log.text());
    assert!(lines[0].contains("functions=\"removed (1), renamed (2)\""), "{lines:?}");
}

async fn a_clean_run_and_shutdown_log_no_warning(database: &TestDatabase) {
    let log = logged(database, async |_app| {
        assert_eq!(echo_logged("a".into()).id("w").await.unwrap(), "a");
    })
    .await;
    let text = log.text();
    let level = |line: &&str| line.split_whitespace().nth(1).is_some_and(|level| level == "WARN" || level == "ERROR");
    let loud: Vec<_> = text.lines().filter(level).collect();
    assert!(loud.is_empty(), "{loud:#?}");
}

async fn an_engine_that_is_dropped_warns_only_of_what_still_runs(database: &TestDatabase) {
    let builder = database.builder("dropped");
    let log = LogCapture::default();
    let captured = log.clone();
    on_dropped_runtime(move |runtime| {
        let _recording = captured.record();
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            let store = app.store();
            // Its caller goes on before its task is over.
            assert_eq!(app.scope(async { echo_logged("a".into()).id("w").await }).await.unwrap(), "a");
            drop(app);
            store.close().await;
        });
    })
    .await;
    assert!(log.lines("without `shutdown().await`").is_empty(), "{}", log.text());
}
