//! What deleting and cancelling very many workflows costs a load that runs beside it.
//!
//! ```text
//! cargo bench --bench maintenance                         500,000 deleted, 50,000 cancelled, on both stores
//! cargo bench --bench maintenance -- 20000 5000 sqlite    fewer, on one of them
//! ```
//!
//! The load is 16 callers, each with one workflow of three steps after the other. It runs alone for 20 seconds, beside
//! the retention, which deletes the ended workflows with two records each, alone again, beside the cancellation of
//! workflows that wait on a queue, and alone again. Each line of the table compares the load beside the one with the
//! mean of the times before and after, in the same run.

#[path = "../support/fill.rs"]
mod fill;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use durable::Retention;
use durable::prelude::*;

use self::fill::Past;

const SCHEMA: &str = "bench_maintenance";
/// How long the load runs alone.
const ALONE: Duration = Duration::from_secs(20);
const CALLERS: usize = 16;

#[step]
async fn small(number: u64) -> u64 {
    number
}

#[workflow]
async fn load() -> Result<u64> {
    Ok(small(1).await + small(2).await + small(3).await)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let mut numbers = arguments.iter().filter_map(|it| it.parse::<u64>().ok());
    let (ended, waiting) = (numbers.next().unwrap_or(500_000), numbers.next().unwrap_or(50_000));
    let wanted = |store: &str| !arguments.iter().any(|it| it.parse::<u64>().is_err() && it != store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    println!(
        "\n| store | beside the load | seconds | load/s alone | load/s beside | ratio | ms alone p50 / p99 | ms beside p50 / p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    if wanted("sqlite") {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("maintenance.sqlite").display());
        runtime.block_on(measure("SQLite", &url, ended, waiting));
    }
    if wanted("postgres") {
        let Some(url) = support::postgres(&runtime) else {
            return println!("postgres: not measured, there is no server");
        };
        runtime.block_on(measure("Postgres", &url, ended, waiting));
        runtime.block_on(support::clear(&url, SCHEMA));
    }
}

async fn measure(store: &str, url: &str, ended: u64, waiting: u64) {
    let builder = Durable::builder("maintenance").system_database(url).schema(SCHEMA);
    let app = builder.launch().await.expect("the database is there");
    fill::fill(url, SCHEMA, Past::LONG_AGO, 1..=ended, waiting).await;
    let rest = || window(|| tokio::time::sleep(ALONE));
    rest().await; // warms up
    let before = rest().await;
    let policy = Retention::new().keep(Duration::from_hours(1));
    let deleting = window(async || {
        let report = app.run_retention().policy(policy).await.expect("it deletes");
        let deleted: u64 = report.groups.iter().map(|it| it.count).sum();
        assert!(deleted >= ended, "{deleted} of {ended}");
    })
    .await;
    let between = rest().await;
    let cancelling = window(async || {
        let filter = Filter::new().status(Status::Delayed);
        let report = app.bulk(filter).cancel().run(|_| {}).await.expect("it cancels");
        assert_eq!(report.changed, waiting, "{report:?}");
    })
    .await;
    let after = rest().await;
    line(store, &format!("{ended} are deleted"), &deleting, [&before, &between]);
    line(store, &format!("{waiting} are cancelled"), &cancelling, [&between, &after]);
    app.shutdown().await;
}

/// The load during something.
struct Window {
    took: Duration,
    per_second: f64,
    milliseconds: Vec<f64>,
}

/// Runs the load until `something` has ended.
async fn window<F: Future<Output = ()>>(something: impl FnOnce() -> F) -> Window {
    let (stop, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let began = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (stop, ended) = (Arc::clone(&stop), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut milliseconds = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    load().await.expect("the load never fails");
                    milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                milliseconds
            })
        })
        .collect();
    something().await;
    let (took, many) = (began.elapsed(), ended.load(Ordering::Relaxed));
    stop.store(true, Ordering::Relaxed);
    let mut milliseconds = Vec::new();
    for caller in callers {
        milliseconds.extend(caller.await.expect("no caller panics"));
    }
    milliseconds.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, reason = "it is far below 2^52")]
    let per_second = many as f64 / took.as_secs_f64();
    Window { took, per_second, milliseconds }
}

fn line(store: &str, what: &str, beside: &Window, alone: [&Window; 2]) {
    let rate = f64::midpoint(alone[0].per_second, alone[1].per_second);
    let at = |window: &Window, part: usize| {
        window.milliseconds.get(window.milliseconds.len() * part / 100).copied().unwrap_or_default()
    };
    println!(
        "| {store} | {what} | {:.1} | {rate:.0} | {:.0} | {:.2} | {:.1} / {:.1} | {:.1} / {:.1} |",
        beside.took.as_secs_f64(),
        beside.per_second,
        beside.per_second / rate,
        at(alone[1], 50),
        at(alone[1], 99),
        at(beside, 50),
        at(beside, 99),
    );
}
