//! What the dashboard costs, on a database with a long history and beside work that goes on.
//!
//! ```text
//! cargo bench --bench dashboard                     1,000,000 workflows, both stores, half a minute for each page
//! cargo bench --bench dashboard -- 100000 sqlite    fewer, on one of them
//! ```
//!
//! The process starts 100 workflows of three steps a second, throughout. First the routes of the JSON API are asked, one
//! request after the other. Then Chromium opens one page after the other and keeps it open. The processor time is that of
//! this process and of the database's server, without the browser. It is compared with the mean of the times before and
//! after, without an open page. The bytes are those of the response bodies.

#[path = "../support/fill.rs"]
mod fill;
mod processor_time;
#[path = "../support/samples.rs"]
mod samples;
#[path = "../support/mod.rs"]
mod support;
mod viewer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use durable::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::fill::Past;
use self::processor_time::processor_time;
use self::viewer::{Browser, Site};

const SCHEMA: &str = "bench_dashboard";
/// How many of the workflows were created in the last day.
const RECENT: u64 = 200_000;
const DAY: i64 = 86_400_000_000;
const PER_SECOND: u64 = 100;
/// How long a page is open.
const OPEN: Duration = Duration::from_secs(20);
/// How often a route is asked.
const REQUESTS: usize = 100;
const ROUTES: &[&str] = &[
    "overview",
    "workflows",
    "workflows?status=error",
    "workflows?name=old&oldest-first=true",
    "workflows?name=nothing",
    "workflows/count",
    "workflow?id=ended-1000",
    "workflow/steps?id=ended-1000",
    "queues",
    "executors",
    "versions",
];
const PAGES: &[&str] = &["overview", "workflows", "workflows/ended-1000", "queues"];

#[step]
async fn small(number: u64) -> u64 {
    number
}

#[workflow]
async fn live() -> Result<u64> {
    Ok(small(1).await + small(2).await + small(3).await)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let history = arguments.iter().find_map(|it| it.parse().ok()).unwrap_or(1_000_000);
    let wanted = |store: &str| !arguments.iter().any(|it| it.parse::<u64>().is_err() && it != store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    if wanted("sqlite") {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("dashboard.sqlite").display());
        runtime.block_on(measure("SQLite", &url, history));
    }
    if wanted("postgres") {
        let Some(url) = support::postgres(&runtime) else {
            return println!("postgres: not measured, there is no server");
        };
        runtime.block_on(measure("Postgres", &url, history));
        runtime.block_on(support::clear(&url, SCHEMA));
    }
}

async fn measure(store: &str, url: &str, history: u64) {
    let app = Durable::builder("dashboard").system_database(url).schema(SCHEMA).launch().await;
    let app = app.expect("the database is there");
    let old = history.saturating_sub(RECENT);
    if old > 0 {
        fill::fill(url, SCHEMA, Past::LONG_AGO, 1..=old, 0).await;
    }
    // Those of the last day are numbered on.
    let apart = DAY / i64::try_from(RECENT).expect("it is small");
    let now = micros_since_1970();
    let start = now - i64::try_from(history).expect("it is small") * apart;
    fill::fill(url, SCHEMA, Past { start, apart }, old + 1..=history, 0).await;
    let stop = Arc::<AtomicBool>::default();
    let load = tokio::spawn(load(Arc::clone(&stop)));
    let site = Site::serve(&app).await;
    routes(store, &site, history).await;
    pages(store, &site, history).await;
    stop.store(true, Ordering::Relaxed);
    load.await.expect("the load does not panic");
    app.shutdown().await;
}

fn micros_since_1970() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_micros()).expect("it is before the year 294247")
}

/// Starts workflows at an even rate.
async fn load(stop: Arc<AtomicBool>) {
    let mut ticks = interval(Duration::from_micros(1_000_000 / PER_SECOND));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut started = JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        started.spawn(live().into_future());
        while let Some(ended) = started.try_join_next() {
            ended.expect("the load does not panic").expect("the load never fails");
        }
    }
    started.join_all().await;
}

/// How long the routes take, in order.
async fn routes(store: &str, site: &Site, history: u64) {
    println!("\n| {store}, {history} workflows: route | ms p50 | p99 | bytes |\n|---|---|---|---|");
    for route in ROUTES {
        let mut samples = Vec::new();
        let mut bytes = 0;
        for _ in 0..REQUESTS {
            samples::wait_until_idle().await;
            let began = Instant::now();
            bytes = site.get(route).await;
            samples.push(began.elapsed());
        }
        let (p50, p99) = samples::percentiles(samples);
        println!("| `{route}` | {p50:.1} | {p99:.1} | {bytes} |");
    }
}

/// What an open page costs.
async fn pages(store: &str, site: &Site, history: u64) {
    if !Browser::is_installed() {
        return println!("pages: not measured, there is no Chromium");
    }
    println!("\n| {store}, {history} workflows: open page | of one processor | kB a minute |\n|---|---|---|");
    let mut before = share(site).await;
    for page in PAGES {
        let browser = Browser::open(&site.page(page));
        site.wait_for_viewer().await;
        let during = share(site).await;
        drop(browser);
        site.wait_for_no_viewer().await;
        let after = share(site).await;
        let alone = f64::midpoint(before.processor, after.processor);
        let more = during.processor - alone;
        println!("| {page} | {:.1} % ({:.1} % alone) | {:.0} |", more * 100.0, alone * 100.0, during.kilobytes);
        before = after;
    }
}

struct Share {
    /// Processor time of this process and the server, by the time that went by.
    processor: f64,
    /// Sent by the dashboard, a minute.
    kilobytes: f64,
}

async fn share(site: &Site) -> Share {
    let (began, time, bytes) = (Instant::now(), processor_time(), site.sent());
    sleep(OPEN).await;
    let took = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "it is far below 2^52")]
    let kilobytes = (site.sent() - bytes) as f64 / 1e3;
    Share { processor: processor_time().saturating_sub(time).as_secs_f64() / took, kilobytes: kilobytes * 60.0 / took }
}
