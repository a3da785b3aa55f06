//! The dashboard on a port of its own, and those that look at it.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use durable::prelude::*;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A dashboard, and how much it has sent.
pub(crate) struct Site {
    port: u16,
    sent: Arc<AtomicU64>,
    /// Live connections of pages.
    open: Arc<AtomicU64>,
}

/// A live connection of a page.
struct Open(Arc<AtomicU64>);

impl Open {
    fn new(open: &Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Site {
    pub(crate) async fn serve(app: &Durable) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let site = Self { port, sent: Arc::default(), open: Arc::default() };
        let (sent, open) = (Arc::clone(&site.sent), Arc::clone(&site.open));
        let counted = from_fn(move |request: Request, next: Next| {
            let is_live = request.uri().path().ends_with("/live");
            let (sent, open) = (Arc::clone(&sent), is_live.then(|| Open::new(&open)));
            async move {
                next.run(request).await.map(|body| {
                    Body::from_stream(body.into_data_stream().inspect(move |part| {
                        let _open = &open;
                        let bytes = part.as_ref().map_or(0, |it| it.len() as u64);
                        sent.fetch_add(bytes, Ordering::Relaxed);
                    }))
                })
            }
        });
        let router = Router::new().nest("/durable", durable::axum::dashboard(app)).layer(counted);
        tokio::spawn(async move { axum::serve(listener, router).await });
        site
    }

    /// The address of a page.
    pub(crate) fn page(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}/durable/ui#/{page}", self.port)
    }

    /// Asks a route of the API. Returns how many bytes came.
    pub(crate) async fn get(&self, route: &str) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the dashboard listens");
        let request = format!("GET /durable/api/v1/{route} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the dashboard reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the dashboard answers");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{route}: {}", String::from_utf8_lossy(&answer));
        answer.len()
    }

    /// All bytes of bodies so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until a page has connected for live changes.
    pub(crate) async fn wait_for_viewer(&self) {
        while self.open.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the live connection of a browser that was closed has ended.
    pub(crate) async fn wait_for_no_viewer(&self) {
        while self.open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A headless Chromium with one page. It ends when this is dropped.
pub(crate) struct Browser {
    process: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn is_installed() -> bool {
        Command::new("chromium").arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success())
    }

    pub(crate) fn open(address: &str) -> Self {
        let profile = tempfile::tempdir().expect("the directory for temporary files is writable");
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--remote-debugging-port=0") // it stays open
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        Self { process, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended; its other processes end with it
        let _ = self.process.wait();
    }
}
