//! Histories as JSON: exported, and imported into another database.

use durable::prelude::*;
use durable::{ErrorKind, History};

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate};

database_tests! {
    a_history_is_imported_into_another_database_as_it_is,
    a_workflow_that_had_not_ended_is_parked_by_its_import_and_can_go_on,
    an_import_is_refused_where_it_would_replace_a_workflow,
}

#[step]
async fn exported_step(key: &str) -> String {
    format!("{key} \"quoted\" \u{1F980}\n")
}

#[step]
async fn hold(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    1
}

/// It writes to every table that a history has rows of, and has an input that SQLite keeps apart.
#[workflow]
async fn exported(key: String, long: String) -> Result<String> {
    let step = exported_step(&key).await;
    durable::set_event("event", &1).await?;
    durable::set_event("event", &2).await?;
    durable::write_stream("stream", &"item").await?;
    durable::close_stream("stream").await?;
    durable::recv::<u32>("topic", Duration::from_hours(1)).await?;
    hold(&key).await;
    Ok(format!("{step}{}", long.len()))
}

async fn started(app: &Durable, key: &str, holds: bool) {
    app.scope(async {
        exported(key.to_owned(), "x".repeat(5_000)).id(key).start().await.unwrap();
        for message in [1, 2] {
            app.send(key, "topic", &message).await.unwrap();
        }
        if !holds {
            gate(key).add_permits(1); // not before: a workflow that has ended receives no message
        }
    })
    .await;
}

async fn a_history_is_imported_into_another_database_as_it_is(database: &TestDatabase) {
    let key = fresh("exported");
    let app = database.launch().await;
    started(&app, &key, false).await;
    let result = app.retrieve_workflow::<String>(&key).await.unwrap().await.unwrap();
    let history = app.export_workflow(&key).await.unwrap();
    assert_eq!((history.format, history.workflow.status), (1, Status::Success));
    assert!(history.steps.len() >= 6, "{history:?}"); // the message may have to be waited for
    assert_eq!((history.events.len(), history.stream_items.len(), history.messages.len()), (2, 2, 2));
    let json = serde_json::to_string_pretty(&history).unwrap();
    let read: History = serde_json::from_str(&json).unwrap();
    assert_eq!(read, history);

    let other = TestDatabase::sqlite();
    let there = other.launch().await;
    assert_eq!(there.import_workflow(&read).await.unwrap(), Status::Success);
    assert_eq!(there.export_workflow(&key).await.unwrap(), history, "nothing is lost");
    assert_eq!(there.retrieve_workflow::<String>(&key).await.unwrap().await.unwrap(), result);
    assert_eq!(there.event_history::<u32>(&key, "event").await.unwrap().len(), 2);
    let report = there.verify_replay(&key).await.unwrap();
    assert!(report.is_match(), "{report}");
    there.shutdown().await;
    // And the same into a database of this kind.
    let mut direct = database.direct_connection().await;
    for table in ["steps", "events", "streams", "messages"] {
        direct.execute(&format!("delete from durable.{table}")).await;
    }
    direct.execute("delete from durable.workflows").await;
    assert_eq!(app.import_workflow(&read).await.unwrap(), Status::Success);
    assert_eq!(app.export_workflow(&key).await.unwrap(), history);
    app.shutdown().await;
}

async fn a_workflow_that_had_not_ended_is_parked_by_its_import_and_can_go_on(database: &TestDatabase) {
    let key = fresh("live");
    let app = database.launch().await;
    started(&app, &key, true).await;
    arrived(&key, 1).await;
    let history = app.export_workflow(&key).await.unwrap();
    assert_eq!(history.workflow.status, Status::Pending);
    database.crash(app).await;

    let other = TestDatabase::sqlite();
    let there = other.launch().await;
    assert_eq!(there.import_workflow(&history).await.unwrap(), Status::Parked);
    let text = there.retrieve_workflow::<String>(&key).await.unwrap().await.unwrap_err().to_string();
    assert!(text.contains("imported while it was PENDING"), "{text}");
    assert!(text.contains(&format!("`durable resume {key}`")), "{text}");
    there.shutdown().await;
    let mut direct = other.direct_connection().await;
    direct.execute("update durable.workflows set status = 'PENDING', reason = null").await;
    gate(&key).add_permits(1);
    let there = other.launch().await;
    let result = there.retrieve_workflow::<String>(&key).await.unwrap().await.unwrap();
    assert!(result.ends_with("5000"), "it goes on from its records: {result}");
    there.shutdown().await;
}

async fn an_import_is_refused_where_it_would_replace_a_workflow(database: &TestDatabase) {
    let key = fresh("taken");
    let app = database.launch().await;
    started(&app, &key, false).await;
    app.retrieve_workflow::<String>(&key).await.unwrap().await.unwrap();
    let mut history = app.export_workflow(&key).await.unwrap();
    let error = app.import_workflow(&history).await.unwrap_err();
    assert_eq!((error.kind(), error.workflow_id()), (ErrorKind::Duplicate, Some(&*key)), "{error}");
    assert_eq!(app.export_workflow(&key).await.unwrap(), history, "nothing was written");
    history.format = 2;
    let text = app.import_workflow(&history).await.unwrap_err().to_string();
    assert!(text.contains("has the format 2, and this release reads up to 1"), "{text}");
    let error = app.export_workflow("nothing").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    app.shutdown().await;
}
