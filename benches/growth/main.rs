//! How the cost of a workflow grows: with its steps, with its payload, with the history that the database holds, and with
//! the number of executors that share one Postgres.
//!
//! ```text
//! cargo bench --bench growth                       both stores, up to 1,000,000 workflows of history
//! cargo bench --bench growth -- 100000 sqlite      less history, one of the stores
//! cargo bench --bench growth -- 10000000 history   ten times as much, and nothing else
//! ```
//!
//! Each line is compared with the first of its table, in the same run. Absolute figures depend on the machine.

#[path = "../support/fill.rs"]
mod fill;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use durable::prelude::*;

use self::fill::Past;
use self::load::closed_loop;

const SCHEMA: &str = "bench_growth";
const STEPS: [u32; 4] = [10, 1_000, 10_000, 100_000];
const PAYLOADS: [usize; 4] = [100, 10_000, 1_000_000, 7_000_000];
const EXECUTORS: [u64; 4] = [1, 2, 4, 8];
const CALLERS: u64 = 16;
const MANY_CALLERS: u64 = 256;

#[step]
async fn no_op(number: u32) -> u32 {
    number
}

#[workflow]
async fn steps(many: u32) -> Result<u32> {
    let mut sum = 0_u32;
    for number in 0..many {
        sum = sum.wrapping_add(no_op(number).await);
    }
    Ok(sum)
}

#[step]
async fn echo(text: String) -> String {
    text
}

/// Its payload is written three times: as its argument, as the output of its step and as its own.
#[workflow]
async fn carries(text: String) -> Result<String> {
    Ok(echo(text).await)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let history = arguments.iter().find_map(|it| it.parse::<u64>().ok()).unwrap_or(1_000_000);
    let only_history = arguments.iter().any(|it| it == "history");
    let stores = |it: &&String| it.as_str() == "sqlite" || it.as_str() == "postgres";
    let wanted = |store: &str| arguments.iter().find(stores).is_none_or(|it| it == store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    if wanted("sqlite") {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("growth.sqlite").display());
        runtime.block_on(measure("SQLite", &url, history, only_history));
    }
    if wanted("postgres") {
        let Some(url) = support::postgres(&runtime) else {
            return println!("postgres: not measured, there is no server");
        };
        runtime.block_on(async {
            support::clear(&url, SCHEMA).await;
            measure("Postgres", &url, history, only_history).await;
            support::clear(&url, SCHEMA).await;
            if !only_history {
                by_executors(&url).await;
                support::clear(&url, SCHEMA).await;
            }
        });
    }
}

async fn launch(url: &str, executor: &str) -> Durable {
    Durable::builder("growth")
        .executor_id(executor)
        .system_database(url)
        .schema(SCHEMA)
        .launch()
        .await
        .expect("the database is there")
}

async fn measure(store: &str, url: &str, history: u64, only_history: bool) {
    let app = launch(url, "growth").await;
    if !only_history {
        app.scope(by_steps(&app, store)).await;
        app.scope(by_payload(store)).await;
    }
    by_history(&app, store, url, history).await;
    app.shutdown().await;
}

async fn by_steps(app: &Durable, store: &str) {
    println!("\n| {store}: steps | µs for each | of the first | replay, µs for each |");
    println!("|---|---|---|---|");
    let mut first = None;
    for many in STEPS {
        let repeated = (10_000 / many).max(1);
        let began = Instant::now();
        let mut id = String::new();
        for _ in 0..repeated {
            let handle = steps(many).start().await.expect("it starts");
            id = handle.id().to_owned();
            handle.await.expect("it never fails");
        }
        let each = micros(began.elapsed()) / f64::from(many * repeated);
        let began = Instant::now();
        app.verify_replay(&id).await.expect("it can be replayed");
        let replay = micros(began.elapsed()) / f64::from(many);
        println!("| {many} | {each:.0} | {:.2} | {replay:.1} |", each / *first.get_or_insert(each));
    }
}

async fn by_payload(store: &str) {
    println!("\n| {store}: bytes of payload | ms for a workflow, median | MB/s |");
    println!("|---|---|---|");
    for size in PAYLOADS {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..20 {
            let text = "x".repeat(size);
            let began = Instant::now();
            carries(text).await.expect("it never fails");
            times.push(began.elapsed());
        }
        times.sort();
        let median = micros(times[times.len() / 2]);
        #[allow(clippy::cast_precision_loss, reason = "it is far below 2^52")]
        let rate = 3.0 * size as f64 / median;
        println!("| {size} | {:.2} | {rate:.1} |", median / 1e3);
    }
}

async fn by_history(app: &Durable, store: &str, url: &str, most: u64) {
    println!("\n| {store}: workflows that have ended | workflows/s of ten steps, {CALLERS} callers | of the first |");
    println!("|---|---|---|");
    let mut first = None;
    let mut there = 0;
    for history in [0, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|it| *it <= most) {
        if history > there {
            fill::fill(url, SCHEMA, Past::LONG_AGO, there + 1..=history, 0).await;
            there = history;
        }
        rate(app, CALLERS, 2_000).await; // warms up
        let per_second = rate(app, CALLERS, 8_000).await;
        println!("| {history} | {per_second:.0} | {:.2} |", per_second / *first.get_or_insert(per_second));
    }
}

async fn by_executors(url: &str) {
    println!("\n| Postgres: executors | workflows/s of ten steps, {MANY_CALLERS} callers in all | of the first |");
    println!("|---|---|---|");
    let mut first = None;
    for many in EXECUTORS {
        let mut apps = Vec::new();
        for number in 0..many {
            apps.push(launch(url, &format!("growth-{number}")).await);
        }
        let mut per_second = 0.0;
        for iterations in [500, 20_000] {
            let callers = apps.iter().map(|app| rate(app, MANY_CALLERS / many, iterations / many));
            per_second = futures_util::future::join_all(callers).await.into_iter().sum();
        }
        println!("| {many} | {per_second:.0} | {:.2} |", per_second / *first.get_or_insert(per_second));
        for app in apps {
            app.shutdown().await;
        }
    }
}

/// How many workflows of ten steps end in a second.
async fn rate(app: &Durable, callers: u64, iterations: u64) -> f64 {
    let app = app.clone();
    let work = move || {
        let app = app.clone();
        async move {
            app.scope(steps(10)).await.expect("it never fails");
        }
    };
    let took = closed_loop(callers, iterations, work).await;
    #[allow(clippy::cast_precision_loss, reason = "it is far below 2^52")]
    let many = iterations as f64;
    many / took.as_secs_f64()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
