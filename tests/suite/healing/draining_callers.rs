//! Callers outside of workflows that wait while the process shuts down.

use std::time::Instant;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use durable::axum::Failure;
use durable::prelude::*;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate, http, patient, start_shutdown, until};

database_tests! {
    callers_get_the_results_of_queued_workflows_that_end_in_the_drain,
    callers_get_events_and_stream_items_of_workflows_that_end_in_the_drain,
    a_handler_that_waits_for_what_cannot_end_here_does_not_hold_up_the_drain,
}

#[queue]
static DRAINED: Queue = Queue::new("healing-drained");

#[step]
async fn passes_gate(key: &str) {
    count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[workflow]
async fn returns_after_gate(key: String) -> Result<u32> {
    passes_gate(&key).await;
    Ok(7)
}

async fn callers_get_the_results_of_queued_workflows_that_end_in_the_drain(database: &TestDatabase) {
    for round in 0..5 {
        let key = fresh("queued");
        let app = database.launch().await;
        let handle = app.scope(async { returns_after_gate(key.clone()).enqueue(&DRAINED).await.unwrap() }).await;
        arrived(&key, 1).await;
        let waiter = tokio::spawn(handle.result());
        let first = tokio::spawn(async move { durable::wait_first(&[handle]).await });
        let down = start_shutdown(&app, patient());
        app.wait_for_phase(durable::EnginePhase::Draining).await;
        gate(&key).add_permits(1);
        assert_eq!(waiter.await.unwrap().unwrap_or_else(|error| panic!("round {round}: {error}")), 7);
        assert_eq!(first.await.unwrap().unwrap(), 0);
        assert_eq!(down.await.unwrap().completed, 1);
    }
}

#[workflow]
async fn publishes_after_gate(key: String) -> Result<()> {
    passes_gate(&key).await;
    durable::set_event("state", &"done").await?;
    for item in 0..100 {
        durable::write_stream("items", &item).await?;
    }
    Ok(())
}

async fn callers_get_events_and_stream_items_of_workflows_that_end_in_the_drain(database: &TestDatabase) {
    let key = fresh("publishing");
    let app = database.launch().await;
    app.scope(async { publishes_after_gate(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let event = app.spawn_scoped(durable::get_event::<String>("w", "state", Duration::from_mins(1)));
    let mut reader = app.read_stream::<u32>("w", "items");
    let items = tokio::spawn(async move {
        let mut items = Vec::new();
        while let Some(item) = reader.next().await {
            items.push(item?);
        }
        Ok::<_, Error>(items)
    });
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(durable::EnginePhase::Draining).await;
    gate(&key).add_permits(1);
    assert_eq!(event.await.unwrap().unwrap().as_deref(), Some("done"));
    assert_eq!(items.await.unwrap().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(down.await.unwrap().completed, 1);
}

#[workflow]
async fn sleeps_for_an_hour() -> Result<u32> {
    durable::sleep(Duration::from_hours(1)).await;
    Ok(1)
}

#[workflow]
async fn waits_for_a_message() -> Result<u32> {
    Ok(durable::recv::<u32>("never", Duration::from_hours(1)).await?.unwrap_or_default())
}

#[workflow]
async fn waits_for_a_child_that_sleeps() -> Result<u32> {
    sleeps_for_an_hour().await
}

async fn a_handler_that_waits_for_what_cannot_end_here_does_not_hold_up_the_drain(database: &TestDatabase) {
    let key = fresh("handler");
    let elsewhere = database.builder("app").launch().await.unwrap();
    let app = database.launch().await;
    elsewhere
        .scope(async { returns_after_gate(format!("{key} elsewhere")).id("elsewhere").start().await.unwrap() })
        .await;
    app.scope(async {
        sleeps_for_an_hour().id("sleeps").start().await.unwrap();
        waits_for_a_message().id("message").start().await.unwrap();
        waits_for_a_child_that_sleeps().id("child").start().await.unwrap();
        returns_after_gate(key.clone()).id("here").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    let handler = get(async |Path(id): Path<String>| {
        count(format!("asked for {id}"));
        let value = durable::retrieve_workflow::<u32>(id).await?.await?;
        Ok::<_, Failure>(value.to_string())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = durable::axum::serve(&app, listener, Router::new().route("/{id}", handler))
        .lb_delay(Duration::ZERO)
        .http_drain(Duration::from_mins(1))
        .total(Duration::from_mins(2))
        .until(async { drop(stopped.await) });
    let service = tokio::spawn(service.into_future());
    let asked = ["elsewhere", "sleeps", "message", "child", "here"].map(|id| {
        let path = format!("/{id}");
        tokio::spawn(async move { http::get(port, &path).await.unwrap() })
    });
    for id in ["elsewhere", "sleeps", "message", "child", "here"] {
        arrived(&format!("asked for {id}"), 1).await;
    }
    until("the child sleeps", async || app.list_steps("child").await.unwrap().len() == 1).await;

    let started = Instant::now();
    stop.send(()).unwrap();
    let [elsewhere_answer, sleeps, message, child, here] = asked;
    for (id, answer) in [("elsewhere", elsewhere_answer), ("sleeps", sleeps), ("message", message), ("child", child)] {
        let answer = answer.await.unwrap();
        assert!(answer.status == 503 && answer.body.contains(id), "{answer:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "they were answered during the HTTP drain");
    gate(&key).add_permits(1);
    let answer = here.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "7"), "what can end here is waited for");
    service.await.unwrap().unwrap();
    gate(&format!("{key} elsewhere")).add_permits(1);
    elsewhere.shutdown().await;
}
