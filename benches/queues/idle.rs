//! The statements of an engine with empty queues.

use std::time::Duration;

use durable::prelude::*;
use durable::queue;

use crate::{Site, down, ratio};

pub(crate) const HEAD: &str = "\
| store | queues | seconds | statements | per second | commits |
|---|---|---|---|---|---|";

#[queue]
static ONE: Queue = Queue::new("bench-idle-1");
#[queue]
static TWO: Queue = Queue::new("bench-idle-2").concurrency(5);
#[queue]
static THREE: Queue = Queue::new("bench-idle-3").partitioned();

const SECONDS: u64 = 20;

pub(crate) async fn measure(site: &Site) {
    let app = site.launch("idles", &[&ONE, &TWO, &THREE]).await;
    tokio::time::sleep(Duration::from_secs(1)).await; // until the statements of the launch are over
    let before = app.store().statement_counts();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let spent = app.store().statement_counts() - before;
    let per_second = ratio(spent.statements, SECONDS);
    println!("| {} | 3 | {SECONDS} | {} | {per_second:.2} | {} |", site.store, spent.statements, spent.commits);
    down(app).await;
    if site.is_postgres() {
        site.clear().await;
    }
}
