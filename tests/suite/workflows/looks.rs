//! Looks of a body into the database are recorded: a replay gets the same answers, whatever has happened since.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{FaultMode, TestDatabase, arrived, count, database_tests, failing_at, fresh, gate, until};

database_tests! {
    a_body_that_branches_on_a_look_takes_the_same_branch_after_a_crash,
    every_look_of_a_body_is_a_record_that_is_replayed,
    a_stream_that_a_body_reads_is_replayed_and_read_on,
    a_look_of_a_body_sees_what_the_workflow_has_written,
    a_look_of_a_body_waits_for_the_database,
    what_cannot_be_found_is_the_same_error_on_replay,
    changes_of_queues_in_a_body_are_refused,
}

#[queue]
static LOOKED_AT: Queue = Queue::new("looked-at");

#[step]
async fn hold(key: &str) {
    count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[step]
async fn chosen(branch: &str) -> String {
    branch.to_owned()
}

#[step]
async fn other_branch() -> String {
    "ended".to_owned()
}

/// What the others look at.
#[workflow]
async fn watched(key: String) -> Result<u32> {
    durable::set_event("state", &1).await?;
    durable::write_stream("n", &1).await?;
    durable::write_stream("n", &2).await?;
    hold(&key).await;
    durable::set_event("state", &2).await?;
    durable::write_stream("n", &3).await?;
    Ok(7)
}

#[workflow]
async fn branches_on_a_look(of: String, key: String) -> Result<String> {
    let status = durable::retrieve_workflow::<u32>(&of).await?.status().await?;
    let branch = if status == Status::Success { other_branch().await } else { chosen("running").await };
    hold(&key).await;
    Ok(branch)
}

async fn a_body_that_branches_on_a_look_takes_the_same_branch_after_a_crash(database: &TestDatabase) {
    let (key, other) = (fresh("looks"), fresh("watched"));
    let app = database.launch().await;
    app.scope(async {
        watched(other.clone()).id("watched").start().await.unwrap();
        arrived(&other, 1).await;
        branches_on_a_look("watched".into(), key.clone()).id("w").start().await.unwrap();
        arrived(&key, 1).await;
        gate(&other).add_permits(1);
        durable::retrieve_workflow::<u32>("watched").await.unwrap().await.unwrap();
    })
    .await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap(), "running");
    app.shutdown().await;
}

#[workflow]
async fn looks_at_everything(of: String, key: String) -> Result<Vec<String>> {
    let handle = durable::retrieve_workflow::<u32>(&of).await?;
    let mut seen = vec![format!("{:?}", handle.status().await?)];
    seen.extend(durable::list_workflows(Filter::new().id(&of)).await?.iter().map(|it| format!("{it:?}")));
    seen.extend(durable::list_steps(&of).await?.iter().map(|it| format!("{it:?}")));
    seen.extend(durable::event_history::<u32>(&of, "state").await?.iter().map(|it| format!("{it:?}")));
    seen.push(format!("{:?}", LOOKED_AT.info().await?));
    seen.push(format!("{:?}", durable::list_queues().await?));
    seen.push(format!("{:?}", durable::list_schedules().await?));
    seen.push(format!("{:?}", handle.stream::<u32>("n").next().await));
    let text = seen.join("\n");
    chosen(&text).await;
    hold(&key).await;
    Ok(seen)
}

async fn every_look_of_a_body_is_a_record_that_is_replayed(database: &TestDatabase) {
    let (key, other) = (fresh("looks"), fresh("watched"));
    let app = database.launch().await;
    app.scope(async {
        let handle = watched(other.clone()).id("watched").enqueue(&LOOKED_AT).await.unwrap();
        arrived(&other, 1).await;
        looks_at_everything("watched".into(), key.clone()).id("w").start().await.unwrap();
        arrived(&key, 1).await;
        gate(&other).add_permits(1);
        handle.await.unwrap();
        LOOKED_AT.pause().await.unwrap();
    })
    .await;
    let kinds: Vec<_> = app.list_steps("w").await.unwrap().into_iter().map(|it| it.kind).collect();
    let looks = [
        "retrieve_workflow",
        "status",
        "list_workflows",
        "list_steps",
        "event_history",
        "queue_info",
        "list_queues",
        "list_schedules",
        "read_stream",
    ];
    assert_eq!(kinds, looks.into_iter().chain(["step"]).collect::<Vec<_>>());
    let seen = app.list_steps("w").await.unwrap().pop().unwrap().output.unwrap();
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(1);
    let replayed = app.retrieve_workflow::<Vec<String>>("w").await.unwrap().await.unwrap();
    assert_eq!(replayed.join("\n"), serde_json::from_str::<String>(&seen).unwrap());
    app.shutdown().await;
}

#[workflow]
async fn reads_a_stream(of: String, key: String) -> Result<Vec<u32>> {
    let mut read = Vec::new();
    let mut reader = durable::read_stream::<u32>(&of, "n");
    for _ in 0..2 {
        read.push(reader.next().await.expect("there are three")?);
    }
    // An arm that loses has its own positions, and the item that it waited for is not lost.
    durable::select! {
        _ = reader.next() => unreachable!("the third item is not written yet"),
        () = hold(&key) => {}
    }
    while let Some(item) = futures_util::StreamExt::next(&mut reader).await {
        read.push(item?);
    }
    hold(&key).await;
    Ok(read)
}

async fn a_stream_that_a_body_reads_is_replayed_and_read_on(database: &TestDatabase) {
    let (key, other) = (fresh("reads"), fresh("watched"));
    let app = database.launch().await;
    app.scope(async {
        watched(other.clone()).id("watched").start().await.unwrap();
        arrived(&other, 1).await;
        reads_a_stream("watched".into(), key.clone()).id("w").start().await.unwrap();
        arrived(&key, 1).await;
    })
    .await;
    database.crash(app).await;

    // It has two of the three items.
    let app = database.launch().await;
    arrived(&key, 2).await;
    gate(&other).add_permits(2);
    gate(&key).add_permits(1);
    arrived(&key, 3).await;
    database.crash(app).await;

    // It has everything, and its end.
    let app = database.launch().await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<Vec<u32>>("w").await.unwrap().await.unwrap(), [1, 2, 3]);
    let steps = app.list_steps("w").await.unwrap();
    let reads: Vec<_> = steps.iter().filter(|it| it.kind == "read_stream").map(|it| it.name.as_str()).collect();
    assert_eq!(reads, ["n"; 4], "three items and the end");
    app.shutdown().await;
}

#[workflow]
async fn looks_at_itself() -> Result<(usize, usize, u32)> {
    chosen("first").await;
    durable::set_event("state", &1).await?;
    durable::write_stream("n", &5).await?;
    let id = durable::workflow_id().expect("this is a workflow");
    let steps = durable::list_steps(&id).await?.len();
    let events = durable::event_history::<u32>(&id, "state").await?.len();
    let item = durable::read_stream::<u32>(&id, "n").next().await.expect("it was written")?;
    Ok((steps, events, item))
}

async fn a_look_of_a_body_sees_what_the_workflow_has_written(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.scope(async { looks_at_itself().await }).await.unwrap(), (3, 1, 5));
    app.shutdown().await;
}

#[workflow]
async fn looks_when_it_may(key: String) -> Result<usize> {
    hold(&key).await;
    Ok(durable::list_schedules().await?.len())
}

async fn a_look_of_a_body_waits_for_the_database(database: &TestDatabase) {
    let key = fresh("waits");
    let faulty = failing_at(database, FaultMode::Before, u64::MAX).await;
    let app = database.builder("waits").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let handle = app.scope(async { looks_when_it_may(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    faulty.lose_next_answer("schedules");
    gate(&key).add_permits(1);
    let schedules = handle.await.unwrap();
    assert_eq!(schedules, app.list_schedules().await.unwrap().len());
    assert!(faulty.lost_an_answer());
    app.shutdown().await;
}

#[workflow]
async fn looks_for_what_is_not_there(key: String) -> Result<String> {
    let missing = durable::retrieve_workflow::<u32>("nobody").await.expect_err("there is none");
    let no_stream = durable::read_stream::<u32>("nobody", "n").next().await.expect("an error").expect_err("no such");
    hold(&key).await;
    Ok(format!("{:?} {missing}, {:?} {no_stream}", missing.kind(), no_stream.kind()))
}

async fn what_cannot_be_found_is_the_same_error_on_replay(database: &TestDatabase) {
    let key = fresh("missing");
    let app = database.launch().await;
    app.scope(async { looks_for_what_is_not_there(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    app.scope(async { watched(key.clone()).id("nobody").start().await.unwrap() }).await;
    arrived(&key, 2).await;
    gate(&key).add_permits(2);
    let text = app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap();
    let not_found = "NotFound no workflow has the id \"nobody\"";
    assert_eq!(text, format!("{not_found}, {not_found}"));
    app.shutdown().await;
}

#[workflow]
async fn pauses_a_queue() -> Result<String> {
    Ok(LOOKED_AT.pause().await.unwrap_err().to_string())
}

async fn changes_of_queues_in_a_body_are_refused(database: &TestDatabase) {
    let app = database.launch().await;
    let text = app.scope(async { pauses_a_queue().await }).await.unwrap();
    assert!(text.contains("a change of a queue was called in the body") && text.contains("move it into a #[step]"));
    until("the queue is as it was", async || !app.scope(LOOKED_AT.info()).await.unwrap().paused).await;
    app.shutdown().await;
}
