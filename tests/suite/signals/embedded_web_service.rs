//! A web service inside another program: without signals, and with more than one engine.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use durable::axum::Failure;
use durable::prelude::*;
use durable::{EnginePhase, ShutdownReason, queue};
use durable_core::store::Store;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{FaultPlan, FaultyStore, TestDatabase, arrived, count, database_tests, fresh, gate, http, until};

database_tests! {
a_service_shuts_down_in_order_when_triggered,
a_shutdown_requested_by_a_handler_follows_the_same_order_as_a_signal,
an_immediate_shutdown_does_not_wait_for_the_service,
http_errors_tell_whether_something_was_written,
an_unreachable_database_is_a_503_response,
dropping_the_service_closes_its_listener,
a_connection_accepted_before_the_listener_closed_is_served,
}

#[step]
async fn serving(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn served(key: String) -> Result<String> {
    serving(&key).await;
    Ok(format!("served {key}"))
}

async fn handler(Path(key): Path<String>) -> Result<String, Failure> {
    Ok(served(key.clone()).id(key).await?)
}

async fn bound() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn a_service_shuts_down_in_order_when_triggered(database: &TestDatabase) {
    let key = fresh("in-order");
    // There are two engines, so a handler needs the scope of its own one.
    let (app, other) = (database.launch().await, TestDatabase::sqlite());
    let second = other.launch().await;
    let (listener, port) = bound().await;
    let router = Router::new().route("/{key}", get(handler)).merge(durable::axum::routes(&app));
    let (stop, stopped) = oneshot::channel::<()>();
    let service = durable::axum::serve(&app, listener, router)
        .lb_delay(Duration::from_millis(300))
        .http_drain(Duration::from_secs(20))
        .until(async { drop(stopped.await) });
    let service = tokio::spawn(service.into_future());
    assert_eq!(http::get(port, "/ready").await.unwrap().status, 200);

    stop.send(()).unwrap();
    app.wait_for_phase(EnginePhase::Quiesced).await;
    let ready = http::get(port, "/ready").await.unwrap();
    assert!(ready.status == 503 && ready.body.contains("shutdown"), "{ready:?}");
    assert_eq!(http::get(port, "/live").await.unwrap().status, 200);
    let path = format!("/{key}");
    let waits = tokio::spawn(async move { http::get(port, &path).await });
    let started = tokio::time::timeout(Duration::from_secs(30), arrived(&key, 1)).await;
    started.expect("workflows are still started");
    until("the listener is closed", async || TcpStream::connect(("127.0.0.1", port)).await.is_err()).await;
    assert_eq!(app.phase(), EnginePhase::Quiesced, "while HTTP drains the engine lets everything run");
    gate(&key).add_permits(1);
    let answer = waits.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.body), (200, format!("served {key}")));
    let report = service.await.unwrap().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.reason, ShutdownReason::Triggered);
    assert_eq!(second.phase(), EnginePhase::Running);
    second.shutdown().await;
}

#[queue]
static BEHIND: Queue = Queue::new("inside-behind");

/// A service with handlers that request the shutdown, start a workflow, and enqueue one.
fn stoppable(app: &Durable) -> Router {
    let asks = app.clone();
    let stop = get(async move || {
        asks.request_shutdown();
        "as you wish"
    });
    let enqueue = get(async |Path(key): Path<String>| {
        let handle = served(key.clone()).id(key).enqueue(&BEHIND).await?;
        Ok::<_, Failure>(handle.id().to_owned())
    });
    let find = get(async |Path(id): Path<String>| {
        let handle = durable::retrieve_workflow::<String>(id).await?;
        Ok::<_, Failure>(handle.status().await?.to_string())
    });
    let router = Router::new().route("/stop", stop).route("/enqueue/{key}", enqueue).route("/find/{id}", find);
    router.route("/{key}", get(handler)).merge(durable::axum::routes(app))
}

async fn a_shutdown_requested_by_a_handler_follows_the_same_order_as_a_signal(database: &TestDatabase) {
    let key = fresh("from a handler");
    let app = database.launch().await;
    let (listener, port) = bound().await;
    let service = durable::axum::serve(&app, listener, stoppable(&app))
        .lb_delay(Duration::from_millis(500))
        .http_drain(Duration::from_secs(20))
        .until(std::future::pending());
    let service = tokio::spawn(service.into_future());
    assert_eq!(http::get(port, "/stop").await.unwrap().body, "as you wish");
    assert_eq!(http::get(port, "/stop").await.unwrap().body, "as you wish", "once more does not hurry it");
    assert_eq!(http::get(port, "/ready").await.unwrap().status, 503);
    // During the delay for the load balancer everything is served, and the engine runs.
    let path = format!("/{}", key.replace(' ', "-"));
    let waits = tokio::spawn(async move { http::get(port, &path).await });
    let started = tokio::time::timeout(Duration::from_secs(30), arrived(&key.replace(' ', "-"), 1)).await;
    started.expect("workflows are still started");
    assert_eq!(http::get(port, "/enqueue/behind").await.unwrap().body, "behind");
    assert_eq!(http::get(port, "/find/behind").await.unwrap().body, "ENQUEUED");
    until("the listener is closed", async || TcpStream::connect(("127.0.0.1", port)).await.is_err()).await;
    assert_eq!(app.phase(), EnginePhase::Quiesced, "requests are completed before workflows");
    gate(&key.replace(' ', "-")).add_permits(1);
    assert_eq!(waits.await.unwrap().unwrap().status, 200);
    let report = service.await.unwrap().unwrap();
    assert!(report.is_clean() && report.reason == ShutdownReason::Requested, "{report}");
}

async fn an_immediate_shutdown_does_not_wait_for_the_service(database: &TestDatabase) {
    let app = database.launch().await;
    let (listener, port) = bound().await;
    let service = durable::axum::serve(&app, listener, stoppable(&app))
        .lb_delay(Duration::from_secs(30))
        .http_drain(Duration::from_secs(30))
        .until(std::future::pending());
    let service = tokio::spawn(service.into_future());
    assert_eq!(http::get(port, "/stop").await.unwrap().body, "as you wish");
    app.request_shutdown_with(ShutdownOptions::immediate());
    app.wait_for_phase(EnginePhase::Closed).await;
    assert_eq!(app.shutdown().await.reason, ShutdownReason::Requested);
    service.abort();

    // With the service dropped there is nothing to wait for.
    let app = database.launch().await;
    let (listener, port) = bound().await;
    let service = durable::axum::serve(&app, listener, stoppable(&app)).until(std::future::pending());
    let service = tokio::spawn(service.lb_delay(Duration::from_secs(30)).total(Duration::from_mins(1)).into_future());
    assert_eq!(http::get(port, "/stop").await.unwrap().body, "as you wish");
    assert_eq!(app.phase(), EnginePhase::Quiesced);
    service.abort();
    app.wait_for_phase(EnginePhase::Closed).await;
}

async fn http_errors_tell_whether_something_was_written(database: &TestDatabase) {
    let key = fresh("tells");
    let app = database.launch().await;
    let (listener, port) = bound().await;
    let service = durable::axum::serve(&app, listener, stoppable(&app))
        .lb_delay(Duration::from_secs(30))
        .http_drain(Duration::from_secs(30))
        .until(std::future::pending());
    let service = tokio::spawn(service.into_future());
    let unknown = http::get(port, "/find/nobody").await.unwrap();
    assert_eq!((unknown.status, error_of(&unknown)), (404, ("not_found".to_owned(), None)), "{unknown:?}");

    let path = format!("/{key}");
    let waits = tokio::spawn(async move { http::get(port, &path).await });
    arrived(&key, 1).await;
    // A shutdown that bypasses the service leaves its handlers without an engine.
    app.shutdown_with(ShutdownOptions::immediate()).await;
    let waited = waits.await.unwrap().unwrap();
    assert_eq!((waited.status, error_of(&waited)), (503, ("interrupted".to_owned(), Some(key.clone()))), "{waited:?}");
    for path in ["/late", "/enqueue/late", "/find/late"] {
        let late = http::get(port, path).await.unwrap();
        assert_eq!((late.status, error_of(&late)), (503, ("shutting_down".to_owned(), None)), "{late:?}");
        assert!(late.head.contains("retry-after: 2"), "{late:?}");
    }
    service.abort();
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<String>("late").await.unwrap_err().kind(), durable::ErrorKind::NotFound);
    app.shutdown_with(ShutdownOptions::immediate()).await;
}

/// The kind and the workflow of a JSON error.
fn error_of(answer: &http::Answer) -> (String, Option<String>) {
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("it is JSON");
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    (text("error").expect("there is a kind"), text("workflow_id"))
}

async fn an_unreachable_database_is_a_503_response(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    let app = database.builder("away").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let (listener, port) = bound().await;
    let service = durable::axum::serve(&app, listener, stoppable(&app)).until(std::future::pending());
    let service = tokio::spawn(service.into_future());
    faulty.set_unreachable(true);
    let closed = http::get(port, "/find/anybody").await.unwrap();
    assert_eq!((closed.status, error_of(&closed)), (503, ("unavailable".to_owned(), None)), "{closed:?}");
    assert!(closed.head.contains("retry-after: 2"), "{closed:?}");
    faulty.set_unreachable(false);
    assert_eq!(http::get(port, "/find/anybody").await.unwrap().status, 404);
    service.abort();
    app.shutdown().await;
}

async fn dropping_the_service_closes_its_listener(database: &TestDatabase) {
    let app = database.launch().await;
    let (listener, port) = bound().await;
    let service = durable::axum::serve(&app, listener, durable::axum::routes(&app)).until(std::future::pending());
    let service = tokio::spawn(service.into_future());
    assert_eq!(http::get(port, "/ready").await.unwrap().status, 200);
    service.abort();
    let _ = service.await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert!(app.readiness().is_ready(), "the engine is not touched by it");
    app.shutdown().await;
}

async fn a_connection_accepted_before_the_listener_closed_is_served(database: &TestDatabase) {
    // The first bytes of a request may come a moment after that. Where this test is held up for
    // longer than that, the attempt proves nothing and is repeated.
    for _ in 0..5 {
        let app = database.launch().await;
        let (listener, port) = bound().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = durable::axum::serve(&app, listener, durable::axum::routes(&app))
            .lb_delay(Duration::ZERO)
            .http_drain(Duration::from_secs(5))
            .until(async { drop(stopped.await) });
        let service = tokio::spawn(service.into_future());
        let mut early = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(http::get(port, "/live").await.unwrap().status, 200); // so the other connection is accepted, too
        stop.send(()).unwrap();
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {}
        let closed = Instant::now();
        tokio::time::sleep(Duration::from_millis(40)).await; // the first bytes of the request take that long
        http::ask(&mut early, "/live").await.unwrap();
        let asked = closed.elapsed();
        let answer = http::answer(&mut early).await;
        assert!(service.await.unwrap().unwrap().is_clean());
        if asked < Duration::from_millis(70) {
            assert_eq!(answer.expect("it is served").status, 200);
            return;
        }
    }
    panic!("this machine is too slow for this test");
}
