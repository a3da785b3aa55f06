//! A web service inside another program: no signals, and more than one engine.

use std::time::Instant;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use durable::axum::Failure;
use durable::prelude::*;
use durable::{Level, ShutdownReason};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::http;
use crate::counter::{count, fresh};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    a_service_goes_down_in_order_when_its_trigger_says_so,
    a_shutdown_from_a_handler_takes_the_service_along,
    who_drops_the_service_closes_its_listener,
    who_connected_before_the_listener_closed_is_served,
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

async fn a_service_goes_down_in_order_when_its_trigger_says_so(stage: &Stage) {
    let key = fresh("in-order");
    // There are two engines, so a handler finds its own one only because it is told.
    let (app, other) = (stage.launch().await, Stage::sqlite());
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
    app.reached(Level::Quiesced).await;
    let ready = http::get(port, "/ready").await.unwrap();
    assert!(ready.status == 503 && ready.body.contains("shutdown"), "{ready:?}");
    assert_eq!(http::get(port, "/live").await.unwrap().status, 200);
    let path = format!("/{key}");
    let waits = tokio::spawn(async move { http::get(port, &path).await });
    let started = tokio::time::timeout(Duration::from_secs(30), arrived(&key, 1)).await;
    started.expect("workflows are still started");
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(app.state(), Level::Quiesced, "while HTTP drains the engine lets everything run");
    gate(&key).add_permits(1);
    let answer = waits.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.body), (200, format!("served {key}")));
    let report = service.await.unwrap().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.reason, ShutdownReason::Triggered);
    assert_eq!(second.state(), Level::Running);
    second.shutdown().await;
}

async fn a_shutdown_from_a_handler_takes_the_service_along(stage: &Stage) {
    let app = stage.launch().await;
    let (listener, port) = bound().await;
    let asks = app.clone();
    let stop = get(async move || {
        asks.request_shutdown();
        "as you wish"
    });
    let service =
        durable::axum::serve(&app, listener, Router::new().route("/stop", stop).route("/{key}", get(handler)))
            .lb_delay(Duration::from_millis(200))
            .http_drain(Duration::from_secs(1))
            .until(std::future::pending());
    let service = tokio::spawn(service.into_future());
    assert_eq!(http::get(port, "/stop").await.unwrap().body, "as you wish");
    app.reached(Level::Draining).await;
    let late = http::get(port, "/late").await.unwrap();
    assert_eq!(late.status, 503, "nothing is started any more: {late:?}");
    assert!(late.body.contains(r#""workflow_id":"late""#), "{late:?}");
    assert!(service.await.unwrap().unwrap().is_clean());
}

async fn who_drops_the_service_closes_its_listener(stage: &Stage) {
    let app = stage.launch().await;
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

async fn who_connected_before_the_listener_closed_is_served(stage: &Stage) {
    // The first bytes of a request may come a moment after that. Where this test is held up for
    // longer than such a moment, it says nothing, and is tried again.
    for _ in 0..5 {
        let app = stage.launch().await;
        let (listener, port) = bound().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = durable::axum::serve(&app, listener, durable::axum::routes(&app))
            .lb_delay(Duration::ZERO)
            .http_drain(Duration::from_secs(5))
            .until(async { drop(stopped.await) });
        let service = tokio::spawn(service.into_future());
        let mut early = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(http::get(port, "/live").await.unwrap().status, 200); // so the other one is let in, too
        stop.send(()).unwrap();
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {}
        let closed = Instant::now();
        tokio::time::sleep(Duration::from_millis(40)).await; // so long its first bytes are under way
        http::ask(&mut early, "/live").await.unwrap();
        let asked = closed.elapsed();
        let answer = http::answer(&mut early).await;
        assert!(service.await.unwrap().unwrap().is_clean());
        if asked < Duration::from_millis(70) {
            assert_eq!(answer.expect("it is served").status, 200);
            return;
        }
    }
    panic!("this machine is too slow to say anything");
}
