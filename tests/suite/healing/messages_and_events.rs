//! Messages, events and streams that are not as expected: their readers get an answer.

use std::time::Instant;

use durable::ErrorKind;
use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate, until};

database_tests! {
    a_message_of_another_type_is_an_error_with_its_text,
    an_event_of_another_type_is_an_error_with_its_text,
    events_and_streams_of_a_parked_workflow_answer_at_once,
    a_message_to_a_parked_workflow_is_stored,
    writing_to_a_closed_stream_is_an_error,
    one_idempotency_key_on_two_topics_is_two_messages,
    a_result_after_the_deadline_is_a_timeout,
}

const LONG: Duration = Duration::from_mins(10);

#[step]
async fn pauses(key: &str) {
    count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[workflow]
async fn receives_a_number(key: String) -> Result<(String, u32)> {
    let error = durable::recv::<u32>("numbers", LONG).await.expect_err("the first is a text");
    assert_eq!(error.kind(), ErrorKind::Payload, "{error}");
    let text = error.payload().expect("the text is at hand").to_owned();
    assert!(!error.to_string().contains("secret") && !format!("{error:?}").contains("secret"), "{error:?}");
    pauses(&key).await;
    let number = durable::recv::<u32>("numbers", LONG).await?.expect("the second is a number");
    Ok((text, number))
}

async fn a_message_of_another_type_is_an_error_with_its_text(database: &TestDatabase) {
    let key = fresh("numbers");
    let app = database.launch().await;
    app.scope(async {
        receives_a_number(key.clone()).id("w").start().await.unwrap();
        durable::send("w", "numbers", &"secret").await.unwrap();
        durable::send("w", "numbers", &7).await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    // The error is recorded: a replay has it too.
    until("it is recorded", async || app.list_steps("w").await.unwrap().iter().any(|it| it.kind == "recv")).await;
    database.crash(app).await;
    let app = database.builder("app").launch().await.unwrap();
    let store = app.store();
    for executor in store.executors().await.unwrap() {
        drop(executor);
    }
    gate(&key).add_permits(2);
    let result: (String, u32) = app.retrieve_workflow("w").await.unwrap().await.unwrap();
    assert_eq!(result, ("\"secret\"".to_owned(), 7));
    app.shutdown().await;
}

#[workflow]
async fn sets_a_text() -> Result<()> {
    durable::set_event("state", &"text").await
}

#[workflow]
async fn reads_a_number(of: String) -> Result<String> {
    let error = durable::get_event::<u32>(of, "state", LONG).await.expect_err("it is a text");
    Ok(error.payload().expect("the text is at hand").to_owned())
}

async fn an_event_of_another_type_is_an_error_with_its_text(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        sets_a_text().id("source").await.unwrap();
        assert_eq!(reads_a_number("source".to_owned()).id("reader").await.unwrap(), "\"text\"");
        let error = durable::get_event::<u32>("source", "state", LONG).await.expect_err("it is a text");
        assert_eq!(error.payload(), Some("\"text\""));
    })
    .await;
    app.shutdown().await;
}

/// Parks itself: the record of its second call is one of another operation.
async fn parked(database: &TestDatabase, key: &str) -> Durable {
    let app = database.launch().await;
    app.scope(async { pauses_and_writes(key.to_owned()).id("parked").start().await.unwrap() }).await;
    arrived(key, 1).await;
    let store = app.store();
    let row = store.find("parked").await.unwrap().expect("it runs");
    let executor = store.executors().await.unwrap().pop().expect("it is launched");
    let fence = durable_core::store::Fence { executor: executor.key, epoch: executor.epoch };
    let other = crate::support::store_rows::record(row.key, 3, "1");
    crate::support::store_rows::commit(&*store, fence, crate::support::store_rows::records([other])).await;
    gate(key).add_permits(2);
    until("it is parked", async || {
        app.retrieve_workflow::<()>("parked").await.unwrap().status().await.unwrap() == Status::Parked
    })
    .await;
    app
}

#[workflow]
async fn pauses_and_writes(key: String) -> Result<()> {
    durable::write_stream("items", &1).await?;
    pauses(&key).await;
    durable::write_stream("items", &2).await
}

async fn events_and_streams_of_a_parked_workflow_answer_at_once(database: &TestDatabase) {
    let app = parked(database, &fresh("parked")).await;
    let started = Instant::now();
    let event = app.scope(durable::get_event::<u32>("parked", "state", LONG)).await;
    assert!(event.as_ref().is_err_and(Error::is_parked), "{event:?}");
    let mut items = app.read_stream::<u32>("parked", "items");
    assert_eq!(items.next().await.unwrap().unwrap(), 1);
    let end = items.next().await.expect("it is not complete");
    assert!(end.as_ref().is_err_and(Error::is_parked), "{end:?}");
    assert!(started.elapsed() < LONG / 10);
    app.shutdown().await;
}

async fn a_message_to_a_parked_workflow_is_stored(database: &TestDatabase) {
    let app = parked(database, &fresh("to-parked")).await;
    app.scope(async { durable::send("parked", "topic", &1).await.unwrap() }).await;
    let store = app.store();
    let key = store.find("parked").await.unwrap().expect("it is there").key;
    assert!(crate::support::store_rows::waiting_message(&*store, key, "topic").await.is_some());
    app.shutdown().await;
}

#[workflow]
async fn writes_after_close(key: String) -> Result<bool> {
    durable::write_stream("items", &1).await?;
    durable::close_stream("items").await?;
    let error = durable::write_stream("items", &2).await.expect_err("it is closed");
    assert!(error.to_string().contains("\"items\""), "{error}");
    let in_step =
        durable::step("writes", || async { Ok::<_, Error>(durable::write_stream("items", &3).await.is_err()) });
    assert!(in_step.await?, "a step may not either");
    pauses(&key).await;
    Ok(durable::write_stream("items", &4).await.is_err())
}

async fn writing_to_a_closed_stream_is_an_error(database: &TestDatabase) {
    let key = fresh("closed");
    let app = database.launch().await;
    app.scope(async { writes_after_close(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    until("all is recorded", async || app.list_steps("w").await.unwrap().len() >= 4).await;
    database.crash(app).await;
    let app = database.launch().await;
    gate(&key).add_permits(2);
    assert!(app.retrieve_workflow::<bool>("w").await.unwrap().await.unwrap(), "a replay knows that it is closed");
    let mut items = app.read_stream::<u32>("w", "items");
    assert_eq!(items.next().await.unwrap().unwrap(), 1);
    assert!(items.next().await.is_none());
    app.shutdown().await;
}

#[workflow]
async fn receives_from_two_topics() -> Result<(Option<u32>, Option<u32>, Option<u32>)> {
    let first = durable::recv("one", LONG).await?;
    let second = durable::recv("two", LONG).await?;
    Ok((first, second, durable::recv("one", Duration::ZERO).await?))
}

async fn one_idempotency_key_on_two_topics_is_two_messages(database: &TestDatabase) {
    let app = database.launch().await;
    let handle = app.scope(async { receives_from_two_topics().id("w").start().await.unwrap() }).await;
    app.scope(async {
        for _ in 0..2 {
            for (topic, value) in [("one", 1), ("two", 2)] {
                // The workflow may have ended by the second time: the retry of a success is a success.
                durable::send("w", topic, &value).idempotency_key("key").await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(handle.await.unwrap(), (Some(1), Some(2), None));
    app.shutdown().await;
}

#[workflow(timeout = "100ms", nondeterminism = "allow")]
async fn blocks_its_thread_too_long() -> Result<u32> {
    std::thread::sleep(Duration::from_millis(400)); // the fault under test: it cannot be interrupted
    Ok(1)
}

async fn a_result_after_the_deadline_is_a_timeout(database: &TestDatabase) {
    let app = database.launch().await;
    let error = app.scope(blocks_its_thread_too_long().id("w")).await.expect_err("it is too late");
    assert!(error.is_cancelled() && error.to_string().ends_with("timeout"), "{error}");
    app.shutdown().await;
}
