//! A web server of an application, with its dashboard below a path.

use axum::Router;
use durable::axum::{Access, dashboard};
use durable::prelude::*;
use tokio::net::TcpListener;

use super::driver::Browser;

/// A server, which ends when this is dropped.
pub(super) struct Site {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    /// Serves the dashboard of an application at `/ops/durable`.
    pub(super) async fn serve(app: &Durable, access: Access) -> Self {
        Self::serve_at(app, access, "/ops/durable").await
    }

    pub(super) async fn serve_at(app: &Durable, access: Access, path: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}{path}", listener.local_addr().unwrap());
        let pages: Router = dashboard(app);
        let router = Router::new().nest(path, pages.access(access));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    /// Opens a page, and waits until it has loaded what it shows.
    pub(super) async fn open(&self, browser: &Browser, page: &str) {
        browser.goto(&format!("{}/ui#/{page}", self.address)).await;
        browser.until("the page has loaded", LOADED).await;
    }
}

/// What a page is once it has read what it shows.
const LOADED: &str = "document.readyState === 'complete' && document.querySelector('main [aria-busy=false] h1')";
