//! A dashboard that is served on a port of its own, and requests to it.

use std::collections::BTreeMap;

use axum::Router;
use durable::axum::DashboardSource;
use durable::prelude::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::schema;
use crate::support::http::{Answer, answer};

/// A server, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves a dashboard at `/durable`.
pub(super) async fn serve(source: impl Into<DashboardSource>, access: durable::axum::Access) -> Server {
    let dashboard: Router = durable::axum::dashboard(source);
    serve_router(Router::new().nest("/durable", dashboard.access(access))).await
}

pub(super) async fn serve_router(router: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { port, task }
}

/// What an action has to have.
pub(super) const PROOF: &[(&str, &str)] = &[("x-durable-csrf", "1"), ("content-type", "application/json")];

impl Server {
    /// Sends a request on a connection of its own.
    pub(super) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let headers: BTreeMap<_, _> = headers.iter().copied().collect();
        let host = headers.get("host").map_or_else(|| format!("127.0.0.1:{}", self.port), |it| (*it).to_owned());
        let others = headers.iter().filter(|(name, _)| **name != "host");
        let others: Vec<_> = others.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let text =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{}content-length: {length}\r\n\r\n", others.concat());
        stream.write_all(text.as_bytes()).await.unwrap();
        // A body that is refused may not be read to its end.
        let _ = stream.write_all(body.as_bytes()).await;
        answer(&mut stream).await.unwrap()
    }

    pub(super) async fn page(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    /// A response of the API with its status. Its shape is the declared one.
    pub(super) async fn ask(&self, path: &str) -> (u16, Value) {
        let answer = self.page(&format!("/durable/api/v1/{path}")).await;
        let body = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {answer:?}"));
        schema::assert_declared("get", path.split('?').next().unwrap(), answer.status, &body);
        (answer.status, body)
    }

    /// A response that has to be good.
    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The ids of a page of workflows.
    pub(super) async fn ids(&self, path: &str) -> Vec<String> {
        let page = self.get(path).await;
        page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Carries an action out, and gives its status and response. Its shape is the declared one.
    pub(super) async fn act(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.request("POST", &format!("/durable/api/v1/{path}"), PROOF, &body.to_string()).await;
        let body = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {answer:?}"));
        schema::assert_declared("post", path, answer.status, &body);
        (answer.status, body)
    }

    /// Carries out an action that has to be successful.
    pub(super) async fn done(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.act(path, body).await;
        assert!(status == 200 || status == 202, "{path} {body}: {status} {answer}");
        answer
    }
}

/// Server-sent events, as they arrive.
#[derive(Debug)]
pub(super) struct Events {
    stream: TcpStream,
    text: String,
    pub(super) status: u16,
    /// The id of the last event.
    pub(super) id: String,
}

/// An event: its name, id and data.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) data: Value,
}

impl Events {
    pub(super) async fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let last = last.map_or_else(String::new, |it| format!("last-event-id: {it}\r\n"));
        let request = format!("GET /durable/api/v1/live{query} HTTP/1.1\r\nhost: 127.0.0.1\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self { stream, text: String::new(), status: 0, id: String::new() };
        while !events.text.contains("\r\n\r\n") {
            assert!(events.read_more().await, "the head arrives: {events:?}");
        }
        events.status = events.text.split(' ').nth(1).unwrap().parse().unwrap();
        events
    }

    async fn read_more(&mut self) -> bool {
        let mut some = [0; 4096];
        let read = self.stream.read(&mut some).await.unwrap_or_default();
        self.text += &String::from_utf8_lossy(&some[..read]);
        read > 0
    }

    /// The next event; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = event_in(&self.text) {
                self.text = rest;
                return Some(event);
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// The next event of this name.
    pub(super) async fn named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("a {name} arrives"));
            self.id.clone_from(&event.id);
            if event.name == name {
                return event;
            }
        }
    }

    /// Waits for a change of this workflow that has this status.
    pub(super) async fn reports(&mut self, id: &str, status: &str) -> Value {
        loop {
            let event = self.named("changes").await;
            let workflows = event.data["workflows"].as_array().unwrap();
            if let Some(it) = workflows.iter().find(|it| it["id"] == id && it["status"] == status) {
                return it.clone();
            }
        }
    }
}

/// The first whole event of a text, which may have lengths of chunks between its lines, and what follows.
fn event_in(text: &str) -> Option<(Event, String)> {
    let (_, from) = text.split_once("event: ")?;
    let (whole, rest) = from.split_once("\n\n")?;
    let mut lines = whole.lines();
    let name = lines.next()?.to_owned();
    let field = |field: &str| whole.lines().find_map(|it| it.strip_prefix(field)).unwrap_or_default().to_owned();
    let data = serde_json::from_str(&field("data: ")).ok()?;
    Some((Event { name, id: field("id: "), data }, rest.to_owned()))
}

/// A server that something else has started.
pub(super) fn at(port: u16) -> Server {
    Server { port, task: tokio::spawn(async {}) }
}
