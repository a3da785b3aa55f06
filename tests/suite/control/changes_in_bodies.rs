//! Listing and control in the body of a workflow are recorded operations.

use durable::prelude::*;

use crate::support::{TestDatabase, count, counted, database_tests, fresh};

database_tests! {
    every_operation_of_an_operator_is_recorded_in_a_body,
    a_refusal_is_recorded_too,
    an_operation_that_is_replayed_is_not_carried_out_again,
}

#[step]
async fn fails_once(key: String) -> Result<u32> {
    if count(&key) == 1 { Err(Error::msg("once")) } else { Ok(7) }
}

#[workflow]
async fn repaired(key: String) -> Result<u32> {
    fails_once(key).await
}

#[workflow]
async fn operator(key: String) -> Result<u32> {
    let failed = durable::list_workflows(Filter::new().name("repaired")).await?;
    let id = &failed[0].id;
    durable::set_labels(id, [("seen", "yes")]).await?;
    let fork = durable::fork_workflow(id, 1).await?;
    durable::resume_workflow(id).await?;
    let resumed = durable::retrieve_workflow::<u32>(id).await?.result().await?;
    let forked = fork.result().await?;
    count(&key);
    durable::recv::<u32>("go", Duration::from_hours(1)).await?;
    durable::delete_workflow(id).await?;
    let left = durable::count_workflows(Filter::new().name("repaired"), durable::GroupBy::Status).await?.total;
    Ok(resumed + u32::try_from(forked.as_u64().unwrap_or_default() + left).unwrap_or_default())
}

async fn every_operation_of_an_operator_is_recorded_in_a_body(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        repaired(fresh("repaired")).id("w").await.unwrap_err();
        let handle = operator(fresh("operator")).id("operator").start().await.unwrap();
        handle.send("go", &1).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 15);
        let steps = app.list_steps("operator").await.unwrap();
        let kinds: Vec<_> = steps.iter().map(|it| it.kind.as_str()).filter(|it| *it != "deadline").collect();
        assert_eq!(
            kinds,
            [
                "list_workflows",
                "set_labels",
                "fork_workflow",
                "resume_workflow",
                "retrieve_workflow",
                "result",
                "result",
                "recv",
                "delete_workflow",
                "count_workflows"
            ]
        );
    })
    .await;
    app.shutdown().await;
}

async fn an_operation_that_is_replayed_is_not_carried_out_again(database: &TestDatabase) {
    let (key, of_operator) = (fresh("repaired"), fresh("operator"));
    let app = database.launch().await;
    app.scope(async {
        repaired(key).id("w").await.unwrap_err();
        operator(of_operator.clone()).id("operator").start().await.unwrap();
        crate::support::until("the operator waits", async || counted(&of_operator) == 1).await;
    })
    .await;
    database.crash(app).await;

    let app = database.launch().await;
    app.scope(async {
        durable::send("operator", "go", &1).await.unwrap();
        assert_eq!(durable::retrieve_workflow::<u32>("operator").await.unwrap().result().await.unwrap(), 15);
        let forks = app.list_workflows(Filter::new().name("repaired")).await.unwrap();
        assert_eq!(forks.len(), 1, "one fork, and the deleted workflow is gone");
    })
    .await;
    app.shutdown().await;
}

#[workflow]
async fn resumes_a_missing_one() -> Result<String> {
    Ok(durable::resume_workflow("missing").await.unwrap_err().to_string())
}

async fn a_refusal_is_recorded_too(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        assert_eq!(resumes_a_missing_one().id("w").await.unwrap(), "no workflow has the id \"missing\"");
        let steps = app.list_steps("w").await.unwrap();
        assert!(steps[0].error.as_deref().is_some_and(|it| it.contains("no workflow has the id")), "{steps:?}");
    })
    .await;
    app.shutdown().await;
}
