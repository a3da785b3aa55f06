//! Refused calls explain why: nothing is written, or the workflow is parked.

use durable::prelude::*;

use crate::support::{TestDatabase, app_tests};

app_tests! {
    an_id_of_another_workflow_is_refused_with_both_names,
    an_invalid_workflow_id_is_refused,
    a_some_that_holds_nothing_is_refused_where_it_is_recorded,
    a_workflow_called_in_a_step_is_refused,
    a_call_moved_into_another_task_parks_the_workflow,
    arguments_over_the_size_limit_are_refused,
    a_result_over_the_size_limit_ends_the_workflow,
    a_step_with_outside_deny_is_refused_outside_workflows,
    branches_in_a_step_park_the_workflow,
    branches_moved_into_another_task_park_the_workflow,
    branches_outside_any_workflow_are_plain_futures,
    a_map_with_a_limit_of_zero_parks_the_workflow,
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

#[step]
#[allow(clippy::option_option, reason = "this is what is refused")]
async fn finds_nothing() -> Option<Option<u32>> {
    Some(None)
}

#[workflow]
#[allow(clippy::option_option, reason = "this is what is refused")]
async fn looks_for_nothing() -> Result<Option<Option<u32>>> {
    Ok(finds_nothing().await)
}

async fn a_some_that_holds_nothing_is_refused_where_it_is_recorded(_app: TestApp) {
    let error = looks_for_nothing().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the result of the step `finds_nothing` at position 1 cannot be recorded"), "{text}");
    assert!(text.contains("would be read back as `None`"), "{text}");
}

async fn an_invalid_workflow_id_is_refused(app: TestApp) {
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
    let elsewhere = tokio::spawn(call).await.expect_err("the await fails, too");
    assert!(elsewhere.is_panic());
    std::future::pending().await
}

async fn a_call_moved_into_another_task_parks_the_workflow(app: TestApp) {
    let error = carries_a_call_away().id("away").await.unwrap_err();
    assert!(error.is_parked());
    let info = &app.list_workflows(Filter::new().status(Status::Parked)).await.unwrap()[0];
    let reason = info.reason.as_deref().unwrap();
    assert!(
        reason.contains("`echo` was called at position 1") && reason.contains("await it in the body of that workflow"),
        "{reason}"
    );
}

async fn arguments_over_the_size_limit_are_refused(_app: TestApp) {
    let database = TestDatabase::sqlite();
    let app = database.builder("small").max_payload(100).launch().await.unwrap();
    let error = app.scope(async { one("x".repeat(200)).await }).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("arguments of the workflow `one` would take 211 bytes, and at most 100 are stored"),
        "{text}"
    );
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

async fn a_result_over_the_size_limit_ends_the_workflow(_app: TestApp) {
    let database = TestDatabase::sqlite();
    let app = database.builder("small").max_payload(100).launch().await.unwrap();
    let work = async {
        assert_eq!(long_step(98).await.unwrap(), 98);
        let error = long_step(99).id("long").await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("the step `long_text` at position 1 would take 101 bytes, and at most 100 are stored"),
            "{text}"
        );
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

async fn a_step_with_outside_deny_is_refused_outside_workflows(_app: TestApp) {
    assert_eq!(calls_inside().await.unwrap(), 1);
    let error = inside_only().await.unwrap_err();
    assert!(error.to_string().contains("`inside_only` was called outside any workflow"), "{error}");
    assert_eq!(echo("plain".into()).await, "plain", "other steps are plain functions outside");
}

/// The form of this name.
pub(crate) async fn branch(kind: &str) {
    match kind {
        "durable::join!" => drop(durable::join!(echo("a".into()), async {})),
        "durable::map" => drop(durable::map([1], 1, |_| echo("a".into())).await),
        "durable::spawn" => drop(durable::spawn(echo("a".into())).await),
        _ => durable::select! { _ = echo("a".into()) => {} () = async {} => () },
    }
}

const FORMS: [(&str, &str); 4] = [
    ("durable::join!", "`tokio::join!`"),
    ("durable::map", "`tokio::task::JoinSet`"),
    ("durable::spawn", "`tokio::spawn`"),
    ("durable::select!", "`tokio::select!`"),
];

#[step]
async fn branches_itself(kind: String) -> Result<()> {
    branch(&kind).await;
    Ok(())
}

#[workflow]
async fn branches_in_a_step(kind: String) -> Result<()> {
    branches_itself(kind).await
}

async fn branches_in_a_step_park_the_workflow(app: TestApp) {
    for (kind, instead) in FORMS {
        let error = branches_in_a_step(kind.to_owned()).id(kind).await.unwrap_err();
        let text = error.to_string();
        assert!(error.is_parked(), "{text}");
        let expected = format!("`{kind}` was called inside the step `branches_itself` at position 1");
        assert!(text.contains(&expected) && text.contains("in the workflow's body; in a step use"), "{text}");
        assert!(text.contains(instead), "{text}");
        assert!(app.list_steps(kind).await.unwrap().is_empty());
    }
}

#[workflow(nondeterminism = "allow")] // what must not be done is what is tested
async fn carries_branches_away(kind: String) -> Result<()> {
    let elsewhere = match kind.as_str() {
        "durable::map" => tokio::spawn(async_of(durable::map([1], 1, |_| echo("a".into())))),
        _ => tokio::spawn(async_of(durable::spawn(echo("a".into())))),
    };
    assert!(elsewhere.await.expect_err("the await fails, too").is_panic());
    std::future::pending().await
}

async fn async_of(future: impl Future) {
    future.await;
}

async fn branches_moved_into_another_task_park_the_workflow(_app: TestApp) {
    for kind in ["durable::map", "durable::spawn"] {
        let error = carries_branches_away(kind.to_owned()).await.unwrap_err();
        let text = error.to_string();
        assert!(error.is_parked(), "{text}");
        assert!(text.contains(&format!("`{kind}` was called at position")), "{text}");
    }
}

async fn branches_outside_any_workflow_are_plain_futures(app: TestApp) {
    let joined = durable::join!(echo("a".into()), async { 2 });
    assert_eq!(joined, ("a".to_owned(), 2));
    let mapped = durable::map(["a", "b"], 1, |text| echo(text.into())).await;
    assert_eq!(mapped, ["a", "b"]);
    let stopped = durable::map(1..=3, 0, |number| async move { if number == 2 { Err(number) } else { Ok(number) } });
    assert_eq!(stopped.stop_on_error().await, Err(2), "a limit of 0 works on one item at a time");
    assert_eq!(durable::spawn(echo("spawned".into())).await, "spawned");
    let first = durable::select! {
        () = std::future::pending() => "never".to_owned(),
        text = echo("first".into()) => text,
    };
    assert_eq!(first, "first");
    assert!(app.list_workflows(Filter::new()).await.unwrap().is_empty(), "nothing is recorded");
}

#[workflow]
async fn maps_nothing() -> Result<usize> {
    Ok(durable::map(1..3, 0, |_| echo("a".into())).await.len())
}

async fn a_map_with_a_limit_of_zero_parks_the_workflow(_app: TestApp) {
    let error = maps_nothing().await.unwrap_err();
    assert!(error.is_parked(), "{error}");
    assert!(error.to_string().contains("`durable::map` at position 1 was given the limit 0"), "{error}");
}
