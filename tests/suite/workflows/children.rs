//! Workflows that call workflows.

use durable::prelude::*;

use crate::support::{app_tests, until};

app_tests! {
    a_workflow_can_call_itself,
    a_child_has_its_parents_id_and_position,
    workflows_can_be_nested_200_levels_deep,
    a_child_started_in_the_background_is_awaited_by_its_handle,
    a_cancelled_child_is_an_error_in_its_parent,
}

#[workflow]
async fn fibonacci(n: u64) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (a, b) = (fibonacci(n - 1), fibonacci(n - 2));
    let (a, b) = tokio::join!(a, b);
    Ok(a? + b?)
}

async fn a_workflow_can_call_itself(app: TestApp) {
    assert_eq!(fibonacci(7).id("fib").await.unwrap(), 13);
    let all = app.list_workflows(Filter::new().name("fibonacci").limit(1000)).await.unwrap();
    assert_eq!(all.len(), 41, "one workflow for each call");
    assert!(all.iter().all(|it| it.status == Status::Success));
}

#[step]
async fn double(n: u32) -> u32 {
    2 * n
}

#[workflow]
async fn doubled(n: u32) -> Result<u32> {
    Ok(double(n).await)
}

#[workflow]
async fn sum_of_doubles(items: Vec<u32>) -> Result<u32> {
    let mut sum = 0;
    for item in items {
        sum += doubled(item).await?;
    }
    Ok(sum)
}

async fn a_child_has_its_parents_id_and_position(app: TestApp) {
    assert_eq!(sum_of_doubles(vec![1, 2]).id("p").await.unwrap(), 6);

    let child = &app.list_workflows(Filter::new().name("doubled")).await.unwrap()[1];
    assert_eq!((child.id.as_str(), child.parent.as_deref()), ("p-2", Some("p")));
    let steps = app.list_steps("p").await.unwrap();
    let shown: Vec<_> = steps
        .iter()
        .map(|it| (it.position.to_string(), it.kind.as_str(), it.name.as_str(), it.output.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("1".into(), "workflow", "doubled", None),
            ("1/1".into(), "result", "p-1", Some("2")),
            ("2".into(), "workflow", "doubled", None),
            ("2/1".into(), "result", "p-2", Some("4")),
        ]
    );
}

#[workflow]
async fn descends(depth: u32) -> Result<u32> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(descends(depth - 1).await? + 1)
}

async fn workflows_can_be_nested_200_levels_deep(app: TestApp) {
    assert_eq!(descends(200).id("founder").await.unwrap(), 200);
    let all = app.list_workflows(Filter::new().name("descends").limit(1000)).await.unwrap();
    assert_eq!(all.len(), 201);
    // A second call attaches, and starts no child again.
    assert_eq!(descends(200).id("founder").await.unwrap(), 200);
    assert_eq!(app.list_workflows(Filter::new().name("descends").limit(1000)).await.unwrap().len(), 201);
}

#[workflow]
async fn background_parent(n: u32) -> Result<u32> {
    let handle = doubled(n).id("chosen").start().await?;
    let beside = double(1).await;
    Ok(handle.await? + beside)
}

async fn a_child_started_in_the_background_is_awaited_by_its_handle(app: TestApp) {
    assert_eq!(background_parent(20).id("bp").await.unwrap(), 42);
    let kinds: Vec<_> = app.list_steps("bp").await.unwrap().into_iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["workflow", "step", "result"]);
}

#[workflow]
async fn never_ends() -> Result<u32> {
    std::future::pending().await
}

#[workflow]
async fn parent_of_endless() -> Result<String> {
    let error = never_ends().id("endless").await.expect_err("it is cancelled");
    Ok(error.to_string())
}

async fn a_cancelled_child_is_an_error_in_its_parent(app: TestApp) {
    let parent = parent_of_endless().id("pe").start().await.unwrap();
    until("the child is there", async || app.cancel_workflow("endless").await.is_ok()).await;
    assert_eq!(parent.await.unwrap(), "the workflow \"endless\" was cancelled: cancelled by request");
}
