//! `delete_workflow`: a workflow goes with all that belongs to it.

use durable::ErrorKind;
use durable::prelude::*;

use crate::support::{TestDatabase, database_tests};

database_tests! {
    a_workflow_that_lives_is_not_deleted,
    a_deleted_id_can_be_used_again,
    everything_that_belongs_to_a_family_is_deleted,
    a_wait_for_a_workflow_that_was_deleted_ends,
    a_wait_in_a_body_for_a_workflow_that_is_deleted_ends,
}

#[workflow]
async fn leaf(text: String) -> Result<String> {
    durable::set_event("event", &text).await?;
    durable::write_stream("stream", &text).await?;
    durable::recv::<u32>("topic", Duration::from_hours(1)).await?;
    Ok(text)
}

#[workflow]
async fn root(text: String) -> Result<String> {
    leaf(text).id("leaf").label("kind", "leaf").await
}

async fn a_workflow_that_lives_is_not_deleted(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = root("x".into()).id("root").start().await.unwrap();
        let refused = app.delete_workflow("root").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().contains("durable cancel root"), "{refused}");

        crate::support::until("the child waits", async || app.workflow("leaf").await.unwrap().is_some()).await;
        handle.cancel().await.unwrap();
        let refused = app.delete_workflow("root").await.unwrap_err();
        assert!(refused.to_string().contains("durable cancel leaf"), "{refused}");
        assert!(app.workflow("root").await.unwrap().is_some() && app.workflow("leaf").await.unwrap().is_some());

        app.cancel_workflow("leaf").await.unwrap();
        assert_eq!(app.delete_workflow("root").await.unwrap(), 2);
        assert_eq!(app.delete_workflow("root").await.unwrap(), 0);
        assert_eq!(app.list_workflows(Filter::new()).await.unwrap().items, []);
    })
    .await;
    app.shutdown().await;
}

async fn a_deleted_id_can_be_used_again(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = leaf("a".into()).id("leaf").start().await.unwrap();
        handle.cancel().await.unwrap();
        assert_eq!(app.delete_workflow("leaf").await.unwrap(), 1);
        let handle = leaf("b".into()).id("leaf").start().await.unwrap();
        handle.send("topic", &1).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), "b");
    })
    .await;
    app.shutdown().await;
}

/// Waits for another workflow, as one that it did not start.
#[workflow]
async fn waits_for(id: String) -> Result<String> {
    let handle = durable::retrieve_workflow::<String>(&id).await?;
    durable::set_event("waits", &true).await?;
    match handle.result().await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(error.to_string()),
        other => other,
    }
}

async fn a_wait_for_a_workflow_that_was_deleted_ends(database: &TestDatabase) {
    let app = database.launch().await;
    let other = database.builder("app").launch().await.unwrap();
    app.scope(async {
        let handle = leaf("a".into()).id("leaf").start().await.unwrap();
        let elsewhere = other.retrieve_workflow::<String>("leaf").await.unwrap();
        handle.cancel().await.unwrap();
        app.delete_workflow("leaf").await.unwrap();
        let error = elsewhere.result().await.unwrap_err();
        assert_eq!((error.kind(), error.workflow_id()), (ErrorKind::NotFound, Some("leaf")), "{error}");
        assert!(error.to_string().contains("\"leaf\" was deleted"), "{error}");
    })
    .await;
    other.shutdown().await;
    app.shutdown().await;
}

async fn a_wait_in_a_body_for_a_workflow_that_is_deleted_ends(database: &TestDatabase) {
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        leaf("a".into()).id("leaf").delay(Duration::from_hours(1)).start().await.unwrap();
        let mut direct = database.direct_connection().await;
        direct.execute("update durable.workflows set status = 'PARKED', reason = 'a test' where id = 'leaf'").await;
        let waiting = waits_for("leaf".into()).id("waits").start().await.unwrap();
        waiting.event::<bool>("waits", Duration::from_mins(1)).await.unwrap();
        app.delete_workflow("leaf").await.unwrap();
        let text = waiting.result().await.unwrap();
        assert!(text.contains("\"leaf\" was deleted"), "{text}");
        assert!(app.verify_replay("waits").await.unwrap().is_match(), "the error is recorded");
    })
    .await;
    app.shutdown().await;
}

async fn everything_that_belongs_to_a_family_is_deleted(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let large = "x".repeat(5_000); // SQLite keeps such arguments in a table of their own
        let handle = root(large.clone()).id("root").start().await.unwrap();
        crate::support::until("the child waits", async || app.workflow("leaf").await.unwrap().is_some()).await;
        durable::send("leaf", "topic", &1).await.unwrap();
        durable::send("leaf", "other", &1).await.ok(); // it may have ended
        handle.result().await.unwrap();
        assert_eq!(app.delete_workflow("root").await.unwrap(), 2);
        for table in ["workflows", "steps", "labels", "messages", "events", "streams"] {
            let left =
                database.direct_connection().await.number(&format!("select count(*) from durable.{table}")).await;
            assert_eq!(left, 0, "{table}");
        }
    })
    .await;
    app.shutdown().await;
}
