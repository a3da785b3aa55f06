//! The ordered shutdown: nothing is lost, nothing is falsified, and it ends in time.

mod abort;
mod closing;
mod drain;
mod handoff;
mod lifecycle;
mod outage;
mod processes;
mod queues;
mod waits;

use std::sync::Arc;

use durable::prelude::*;
use durable::{Level, ShutdownReport};
use tokio::task::JoinHandle;

/// So many milliseconds for the drain and the abort.
fn budgets(drain: u64, abort: u64) -> ShutdownOptions {
    let mut options = ShutdownOptions::default();
    options.drain = Duration::from_millis(drain);
    options.abort = Duration::from_millis(abort);
    options.total = options.drain + options.abort + Duration::from_secs(10);
    options
}

/// A drain of a minute: what ends sooner was not waited for.
fn patient() -> ShutdownOptions {
    budgets(60_000, 0)
}

/// Shuts down beside the test.
fn go_down(app: &Durable, options: ShutdownOptions) -> JoinHandle<Arc<ShutdownReport>> {
    let app = app.clone();
    tokio::spawn(async move { app.shutdown_with(options).await })
}

/// Returns once the shutdown has come so far.
async fn arrive_at(app: &Durable, level: Level) {
    while app.state() < level {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
