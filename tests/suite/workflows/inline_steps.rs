//! `durable::step` with a closure or a future, and `durable::workflow_id`.

use durable::prelude::*;

use crate::support::{TestDatabase, count, counted, database_tests, fresh};

database_tests! {
    an_inline_step_from_a_closure_is_retried_and_recorded,
    an_inline_step_from_a_future_has_one_attempt,
    a_timeout_of_an_inline_step_is_an_error_of_the_step,
    code_can_ask_for_the_id_of_its_workflow_and_the_position_of_its_step,
}

#[workflow]
async fn fetches_inline(key: String) -> Result<u32> {
    let number = durable::step("fetch", || async {
        let attempt = count(&key);
        if attempt < 3 { Err(Error::msg(format!("attempt {attempt} fails"))) } else { Ok(attempt) }
    })
    .retries(5)
    .backoff(Duration::from_millis(1))
    .await?;
    let plain = durable::step("plain", async { Ok::<_, Error>(10) }).await?;
    Ok(number + plain)
}

async fn an_inline_step_from_a_closure_is_retried_and_recorded(database: &TestDatabase) {
    let key = fresh("inline_closure");
    let app = database.launch().await;
    for _ in 0..2 {
        let sum = app.scope(async { fetches_inline(key.clone()).id("w").await }).await.unwrap();
        assert_eq!(sum, 13);
    }
    assert_eq!(counted(&key), 3);
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!(steps[0].attempts, 3);
    assert_eq!(steps[0].failures, ["attempt 1 fails", "attempt 2 fails"]);
    app.shutdown().await;
}

#[workflow]
async fn retries_an_inline_future(key: String) -> Result<u32> {
    let future = async {
        count(&key);
        Err::<u32, _>(Error::msg("it fails"))
    };
    durable::step("future", future).retries(5).backoff(Duration::from_millis(1)).await
}

async fn an_inline_step_from_a_future_has_one_attempt(database: &TestDatabase) {
    let key = fresh("inline_future");
    let app = database.launch().await;
    let error = app.scope(async { retries_an_inline_future(key.clone()).await }).await.unwrap_err();
    assert_eq!(error.to_string(), "it fails");
    assert_eq!(counted(&key), 1);
    app.shutdown().await;
}

#[workflow]
async fn times_out_inline() -> Result<String> {
    let slow = durable::step("slow", || async {
        std::future::pending::<()>().await;
        Ok::<_, Error>(())
    });
    Ok(slow.timeout(Duration::from_millis(5)).await.unwrap_err().to_string())
}

async fn a_timeout_of_an_inline_step_is_an_error_of_the_step(database: &TestDatabase) {
    let app = database.launch().await;
    let message = app.scope(async { times_out_inline().await }).await.unwrap();
    assert!(message.starts_with("the step `slow` at position 1 took longer than its timeout"), "{message}");
    app.shutdown().await;
}

#[step]
async fn id_in_step() -> Option<(String, String)> {
    let status = durable::step_status()?;
    Some((durable::workflow_id()?, status.position.to_string()))
}

#[workflow]
async fn reads_its_id() -> Result<Vec<Option<(String, String)>>> {
    let in_body = durable::workflow_id().map(|id| (id, String::new()));
    let in_step = id_in_step().await;
    let (in_branch, ()) = durable::join!(async { id_in_step().await }, async {});
    Ok(vec![in_body, in_step, in_branch])
}

async fn code_can_ask_for_the_id_of_its_workflow_and_the_position_of_its_step(database: &TestDatabase) {
    let app = database.launch().await;
    let answers = app.scope(async { reads_its_id().id("asking").await }).await.unwrap();
    let positions = ["", "1", "2/1"].map(|position| Some(("asking".to_owned(), position.to_owned())));
    assert_eq!(answers, positions);
    assert_eq!(app.scope(async { (durable::workflow_id(), id_in_step().await) }).await, (None, None));
    app.shutdown().await;
}
