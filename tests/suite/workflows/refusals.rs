//! What is refused, and in which words: nothing is written, or the workflow is parked.

use durable::prelude::*;

use crate::stage::{Stage, on_every_store};

on_every_store! {
    an_id_of_another_workflow_is_refused_with_both_names,
    an_id_that_cannot_be_stored_is_refused,
    a_workflow_called_in_a_step_is_refused,
    a_call_that_was_carried_into_another_task_parks_the_workflow,
    arguments_that_are_too_large_are_refused_with_both_sizes,
    a_result_that_is_too_large_ends_the_workflow_with_both_sizes,
    a_step_that_forbids_it_is_not_called_outside,
}

#[step]
async fn echo(text: String) -> String {
    text
}

#[workflow]
async fn one(text: String) -> Result<String> {
    Ok(echo(text).await)
}

#[workflow]
async fn other(text: String) -> Result<String> {
    Ok(echo(text).await)
}

async fn an_id_of_another_workflow_is_refused_with_both_names(_app: TestApp) {
    one("a".into()).id("taken").await.unwrap();
    let error = other("a".into()).id("taken").await.unwrap_err();
    assert!(error.is_id_conflict());
    let text = error.to_string();
    assert!(text.contains("\"taken\"") && text.contains("`one`") && text.contains("`other`"), "{text}");
}

async fn an_id_that_cannot_be_stored_is_refused(app: TestApp) {
    for bad in ["", "a\0b", &"x".repeat(256)] {
        let error = one("a".into()).id(bad).await.unwrap_err();
        assert!(error.to_string().starts_with("the workflow id "), "{error}");
    }
    assert!(app.list_workflows(Filter::new()).await.unwrap().is_empty());
}

#[step]
async fn starts_a_workflow() -> Result<String> {
    one("inside".into()).await
}

#[workflow]
async fn misplaced_child() -> Result<String> {
    starts_a_workflow().await
}

async fn a_workflow_called_in_a_step_is_refused(app: TestApp) {
    let error = misplaced_child().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`one` was called inside the step `starts_a_workflow`"), "{text}");
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap().len(), 1, "nothing was started");
}

#[workflow(nondeterminism = "allow")] // what must not be done is what is tested
async fn carries_a_call_away() -> Result<String> {
    let call = echo("away".into());
    let elsewhere = tokio::spawn(call).await.expect_err("it is told so where it is awaited, too");
    assert!(elsewhere.is_panic());
    std::future::pending().await
}

async fn a_call_that_was_carried_into_another_task_parks_the_workflow(app: TestApp) {
    let error = carries_a_call_away().id("away").await.unwrap_err();
    assert!(error.is_parked());
    let info = &app.list_workflows(Filter::new().status(Status::Parked)).await.unwrap()[0];
    let reason = info.reason.as_deref().unwrap();
    assert!(
        reason.contains("`echo` was called at position 1") && reason.contains("await it in the body of that workflow"),
        "{reason}"
    );
}

async fn arguments_that_are_too_large_are_refused_with_both_sizes(_app: TestApp) {
    let stage = Stage::sqlite();
    let app = stage.builder("small").max_payload(100).launch().await.unwrap();
    let error = app.scope(async { one("x".repeat(200)).await }).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("arguments of the workflow `one` has 211 bytes and at most 100"), "{text}");
    assert!(app.list_workflows(Filter::new()).await.unwrap().is_empty());
    app.shutdown().await;
}

#[step]
async fn long_text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[workflow]
async fn long_step(bytes: usize) -> Result<usize> {
    Ok(long_text(bytes).await.len())
}

async fn a_result_that_is_too_large_ends_the_workflow_with_both_sizes(_app: TestApp) {
    let stage = Stage::sqlite();
    let app = stage.builder("small").max_payload(100).launch().await.unwrap();
    let work = async {
        assert_eq!(long_step(98).await.unwrap(), 98);
        let error = long_step(99).id("long").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the step `long_text` at position 1 has 101 bytes and at most 100"), "{text}");
        assert!(app.list_steps("long").await.unwrap().is_empty(), "nothing of it was written");
    };
    app.scope(work).await;
    app.shutdown().await;
}

#[step(outside = "deny")]
async fn inside_only() -> Result<u32> {
    Ok(1)
}

#[workflow]
async fn calls_inside() -> Result<u32> {
    inside_only().await
}

async fn a_step_that_forbids_it_is_not_called_outside(_app: TestApp) {
    assert_eq!(calls_inside().await.unwrap(), 1);
    let error = inside_only().await.unwrap_err();
    assert!(error.to_string().contains("`inside_only` was called outside any workflow"), "{error}");
    assert_eq!(echo("plain".into()).await, "plain", "other steps are plain functions outside");
}
