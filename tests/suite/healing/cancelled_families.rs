//! Cancellations of parents while they start children, and of workflows by themselves.

use durable::prelude::*;

use crate::support::{Random, TestDatabase, count, counted, database_tests, fresh, until};

database_tests! {
    a_cancelled_parent_leaves_no_living_child,
    a_parent_that_is_cancelled_from_another_process_leaves_no_living_child,
    a_workflow_that_cancels_itself_records_nothing_more,
    a_workflow_that_cancels_itself_and_its_children_leaves_none,
    a_child_that_cancels_its_parent_with_its_children_is_cancelled,
    cancelling_another_workflow_is_recorded,
}

#[workflow]
async fn never_returns() -> Result<()> {
    std::future::pending().await
}

#[workflow]
async fn starts_children_forever() -> Result<()> {
    loop {
        never_returns().start().await?;
    }
}

/// Cancels parents with their children at random moments, through another engine or their own.
async fn cancel_while_children_start(app: &Durable, canceller: &Durable) {
    let mut random = Random::new("moments");
    for number in 0..20 {
        let id = format!("parent-{number}");
        app.scope(async { starts_children_forever().id(&id).start().await.unwrap() }).await;
        tokio::time::sleep(Duration::from_micros(random.below(20_000))).await; // the moment of the cancellation
        canceller.cancel_workflow(&id).cancel_children().await.unwrap();
        let living = app.list_workflows(Filter::new().status(Status::Pending).limit(1_000)).await.unwrap();
        assert!(living.is_empty(), "children of {id} live: {living:?}");
    }
    let all = app.list_workflows(Filter::new().limit(10_000)).await.unwrap();
    assert!(all.iter().all(|it| it.status == Status::Cancelled), "{all:?}");
}

async fn a_cancelled_parent_leaves_no_living_child(database: &TestDatabase) {
    let app = database.launch().await;
    cancel_while_children_start(&app, &app).await;
    app.shutdown().await;
}

async fn a_parent_that_is_cancelled_from_another_process_leaves_no_living_child(database: &TestDatabase) {
    let (app, other) = (database.launch().await, database.builder("app").launch().await.unwrap());
    cancel_while_children_start(&app, &other).await;
    app.shutdown().await;
    other.shutdown().await;
}

#[step]
async fn counted_step(key: &str) -> u32 {
    count(key)
}

#[workflow]
async fn cancels_itself(key: String, children: bool) -> Result<()> {
    counted_step(&key).await;
    if children {
        never_returns().start().await?;
    }
    let own = durable::workflow_id().expect("this is the body of a workflow");
    let call = durable::cancel_workflow(own);
    let _ = if children { call.cancel_children() } else { call }.await;
    count(format!("{key} returned"));
    counted_step(&key).await;
    Ok(())
}

async fn a_workflow_that_cancels_itself_records_nothing_more(database: &TestDatabase) {
    let (key, app) = (fresh("itself"), database.launch().await);
    let error = app.scope(cancels_itself(key.clone(), false).id("w")).await.expect_err("it is cancelled");
    assert!(error.is_cancelled(), "{error}");
    assert_eq!((counted(&key), counted(&format!("{key} returned"))), (1, 0), "the call does not return");
    let steps: Vec<_> = app.list_steps("w").await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(steps, ["counted_step"], "what was done before is recorded, and nothing after it");
    app.shutdown().await;
}

async fn a_workflow_that_cancels_itself_and_its_children_leaves_none(database: &TestDatabase) {
    let (key, app) = (fresh("family"), database.launch().await);
    app.scope(cancels_itself(key.clone(), true).id("w")).await.expect_err("it is cancelled");
    let all = app.list_workflows(Filter::new()).await.unwrap();
    assert_eq!(all.iter().map(|it| it.status).collect::<Vec<_>>(), [Status::Cancelled; 2], "{all:?}");
    app.shutdown().await;
}

#[workflow]
async fn cancels_its_parent(key: String) -> Result<()> {
    durable::cancel_workflow("parent").cancel_children().await?;
    counted_step(&key).await;
    Ok(())
}

#[workflow]
async fn waits_for_its_child(key: String) -> Result<()> {
    cancels_its_parent(key).await
}

async fn a_child_that_cancels_its_parent_with_its_children_is_cancelled(database: &TestDatabase) {
    let (key, app) = (fresh("upwards"), database.launch().await);
    app.scope(waits_for_its_child(key.clone()).id("parent")).await.expect_err("it is cancelled");
    until("the child has ended", async || {
        let all = app.list_workflows(Filter::new()).await.unwrap();
        all.iter().all(|it| it.status == Status::Cancelled)
    })
    .await;
    app.shutdown().await;
    assert_eq!(counted(&key), 0);
}

#[workflow]
async fn cancels_another() -> Result<()> {
    durable::cancel_workflow("other").await?;
    let missing = durable::cancel_workflow("missing").await.expect_err("there is none");
    assert!(missing.to_string().contains("missing"), "{missing}");
    Ok(())
}

async fn cancelling_another_workflow_is_recorded(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        never_returns().id("other").start().await.unwrap();
        cancels_another().id("w").await.unwrap();
    })
    .await;
    let steps = app.list_steps("w").await.unwrap();
    let shown: Vec<_> = steps.iter().map(|it| (it.kind.as_str(), it.name.as_str(), it.error.is_some())).collect();
    assert_eq!(shown, [("cancel", "other", false), ("cancel", "missing", true)]);
    assert_eq!(app.retrieve_workflow::<()>("other").await.unwrap().status().await.unwrap(), Status::Cancelled);
    app.shutdown().await;
}
