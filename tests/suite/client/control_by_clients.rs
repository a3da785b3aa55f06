//! What clients send, read, list and change.

use std::time::Duration;

use durable::prelude::*;
use durable::{Client, ErrorKind, ExecutorState};
use futures_util::StreamExt;
use serde_json::json;

use crate::support::{TestDatabase, database_tests, until};

database_tests! {
    a_client_sends_messages_and_reads_events_and_streams,
    a_message_of_a_client_has_a_receiver_or_is_refused,
    a_client_cancels_a_workflow_where_it_runs,
    a_client_changes_queues_and_schedules,
    a_client_triggers_schedules_and_fills_in_ticks,
    a_closed_client_ends_its_waits_and_writes_nothing,
    a_client_shows_executors_with_their_state,
}

#[queue]
static STEERED: Queue = Queue::new("steered_by_client").concurrency(4);

#[workflow]
async fn client_talks() -> Result<u32> {
    durable::set_event("ready", &true).await?;
    durable::write_stream("progress", &50).await?;
    durable::close_stream("progress").await?;
    let first: u32 = durable::recv("number", Duration::from_mins(5)).await?.unwrap_or_default();
    let second: u32 = durable::recv("number", Duration::from_mins(5)).await?.unwrap_or_default();
    Ok(first + second)
}

#[workflow]
async fn client_report(of: String) -> Result<String> {
    Ok(of)
}

async fn connect(database: &TestDatabase) -> Client {
    Client::builder(database.url()).schema(database.schema()).connect().await.expect("the schema is there")
}

async fn a_client_sends_messages_and_reads_events_and_streams(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let handle = client.enqueue("client_talks", json!({})).id("talker").await.unwrap();
    let ready: Option<bool> = client.get_event("talker", "ready", Duration::from_mins(1)).await.unwrap();
    assert_eq!(ready, Some(true));
    assert_eq!(client.event_history::<bool>("talker", "ready").await.unwrap().len(), 1);
    let progress: Vec<Result<u32>> = client.read_stream("talker", "progress").collect().await;
    assert_eq!(progress.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [50]);
    client.send("talker", "number", &1).idempotency_key("first").await.unwrap();
    client.send("talker", "number", &100).idempotency_key("first").await.unwrap();
    handle.send("number", &2).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), json!(3), "a message with a key is received once");
    client.send("talker", "number", &1).idempotency_key("first").await.unwrap(); // the retry of a success
    client.close().await;
    app.shutdown().await;
}

async fn a_message_of_a_client_has_a_receiver_or_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let missing = client.send("missing", "number", &1).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    client.enqueue("client_report", json!({"of": "sales"})).id("done").await.unwrap().await.unwrap();
    let ended = client.send("done", "number", &1).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Ended, "{ended}");
    client.close().await;
    app.shutdown().await;
}

async fn a_client_cancels_a_workflow_where_it_runs(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let handle = client.enqueue("client_talks", json!({})).id("cancelled").await.unwrap();
    let _: Option<bool> = handle.event("ready", Duration::from_mins(1)).await.unwrap();
    client.cancel_workflow("cancelled").await.unwrap();
    assert_eq!(handle.status().await.unwrap(), Status::Cancelled);
    assert_eq!(handle.result().await.unwrap_err().kind(), ErrorKind::Cancelled);
    let running = async || client.list_executors().await.unwrap()[0].running;
    until("nothing runs", async || running().await == 0).await;
    let missing = client.cancel_workflow("missing").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    client.close().await;
    app.shutdown().await;
}

async fn a_client_changes_queues_and_schedules(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async { client_report("sales".into()).schedule("nightly", "0 2 * * *").await }).await.unwrap();
    let client = connect(database).await;
    let queue = async || {
        let queues = client.list_queues().await.unwrap();
        queues.into_iter().find(|it| it.name == "steered_by_client").expect("it is declared")
    };
    let limits = queue().await.limits;
    assert_eq!(limits.concurrency(), Some(4));
    client.pause_queue("steered_by_client").await.unwrap();
    let waits = client.enqueue("client_report", json!({"of": "x"})).queue("steered_by_client").await.unwrap();
    assert!(queue().await.paused);
    client.set_queue_limits("steered_by_client", limits.with_concurrency(Some(9))).await.unwrap();
    let none = client.set_queue_limits("steered_by_client", limits.with_concurrency(Some(0))).await.unwrap_err();
    assert!(none.to_string().contains("would never run anything"), "{none}");
    client.resume_queue("steered_by_client").await.unwrap();
    assert_eq!(waits.await.unwrap(), json!("x"));
    let changed = queue().await;
    assert_eq!((changed.limits.concurrency(), changed.paused, changed.changed), (Some(9), false, true));
    assert_eq!(client.pause_queue("missing").await.unwrap_err().kind(), ErrorKind::NotFound);

    let is_paused =
        async || client.list_schedules().await.unwrap().iter().find(|it| it.name == "nightly").map(|it| it.paused);
    client.pause_schedule("nightly").await.unwrap();
    assert_eq!(is_paused().await, Some(true));
    client.resume_schedule("nightly").await.unwrap();
    assert_eq!(is_paused().await, Some(false));
    client.delete_schedule("nightly").await.unwrap();
    assert_eq!(is_paused().await, None);
    client.close().await;
    app.shutdown().await;
}

#[queue]
static CLIENT_TICKS: Queue = Queue::new("client_ticks");

#[scheduled("0 2 * * *", overlap = "skip")]
#[workflow(queue = CLIENT_TICKS)]
async fn client_nightly(due: DateTime<Utc>, started: DateTime<Utc>) -> Result<(DateTime<Utc>, bool)> {
    Ok((due, started > due))
}

async fn a_client_triggers_schedules_and_fills_in_ticks(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async { client_report("sales".into()).schedule("weekly", "0 2 * * MON").await }).await.unwrap();
    let client = connect(database).await;
    let result = async |id: &str| client.retrieve_workflow::<serde_json::Value>(id).await.unwrap().await.unwrap();

    let id = client.trigger_schedule("weekly").await.unwrap();
    assert_eq!(result(&id).await, json!("sales"), "one that was created at run time has its arguments");
    let id = client.trigger_schedule("client_nightly").await.unwrap();
    let info = client.workflow(&id).await.unwrap().expect("it was started");
    assert_eq!(info.queue.as_deref(), Some("client_ticks"), "the queue of the attribute");
    assert!(result(&id).await[0].as_str().is_some_and(|due| !due.starts_with("1970")));

    let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let (from, to) = (time("2026-01-01T00:00:00Z"), time("2026-01-02T00:00:00Z"));
    assert_eq!(client.backfill_schedule("client_nightly", from, to).await.unwrap(), 1);
    let tick = "client_nightly@2026-01-01T02:00:00Z";
    assert_eq!(result(tick).await, json!(["2026-01-01T02:00:00Z", true]), "as the schedule would have started it");
    assert_eq!(client.backfill_schedule("client_nightly", from, to).await.unwrap(), 1, "it is not started again");
    let missing = client.trigger_schedule("client_nightli").await.unwrap_err().to_string();
    assert!(missing.contains("did you mean \"client_nightly\"?"), "{missing}");
    client.close().await;
    app.shutdown().await;
}

async fn a_closed_client_ends_its_waits_and_writes_nothing(database: &TestDatabase) {
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    let client = connect(database).await;
    let handle = client.enqueue("client_report", json!({"of": "x"})).queue("steered_by_client").await.unwrap();
    let waiting = handle.clone();
    let wait = tokio::spawn(async move { waiting.result().await });
    client.close().await;
    let interrupted = wait.await.unwrap().unwrap_err();
    assert_eq!((interrupted.kind(), interrupted.workflow_id()), (ErrorKind::Interrupted, Some(handle.id())));
    let refused = client.enqueue("client_report", json!({"of": "y"})).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ShuttingDown, "{refused}");
    assert_eq!(database.workflows().await.len(), 1);
    app.shutdown().await;
}

async fn a_client_shows_executors_with_their_state(database: &TestDatabase) {
    let first = database.builder("app").executor_id("first").launch().await.unwrap();
    let second = database.builder("app").executor_id("second").launch().await.unwrap();
    let client = connect(database).await;
    let executors = client.list_executors().await.unwrap();
    let shown: Vec<_> = executors.iter().map(|it| (it.name.as_str(), it.state, it.version.as_deref())).collect();
    let (live, version) = (ExecutorState::Live, Some("test"));
    assert_eq!(shown, [("first", live, version), ("second", live, version)]);
    first.shutdown().await;
    let left = client.list_executors().await.unwrap();
    assert_eq!(left.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["second"]);
    client.close().await;
    second.shutdown().await;
}
