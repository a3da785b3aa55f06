//! The latency of waits: for a message, an event, the end of another workflow.
//!
//! ```text
//! cargo bench --bench latency                     200 samples of each on both stores
//! cargo bench --bench latency -- 500 postgres     more, on one of them
//! ```
//!
//! One sample at a time, on an idle system. `here` is one engine. `elsewhere` are two engines that
//! share only the database, as two processes do; they run in one process so that they share its
//! clock. Each is compared with the raw floor of the same run, which does the same with the fewest
//! statements (see `floor`): the table shows the ratio of the medians.
//!
//! A message is measured twice: until `recv` has returned, and until the next step has begun, which
//! is after the message and its record were committed. On SQLite changes of another engine are
//! detected by polling the file ten times a second, so there the ratio means little.

mod cases;
mod floor;
#[path = "../support/samples.rs"]
mod samples;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use durable::prelude::*;

use self::floor::{Floor, Path};
use self::samples::{Samples, percentiles, wait_until_idle};

const SCHEMA: &str = "bench_latency";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let many = arguments.iter().find_map(|it| it.parse().ok()).unwrap_or(200);
    let only = arguments.iter().find(|it| ["sqlite", "postgres"].contains(&it.as_str()));
    let wanted = |store: &str| only.is_none_or(|it| it == store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");

    println!("\n| store | from … to | p50 ms | p99 ms | floor p50 | floor p99 | ratio | floor |");
    println!("|---|---|---|---|---|---|---|---|");
    if wanted("sqlite") {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("latency.sqlite").display());
        runtime.block_on(measure("sqlite", &url, many));
    }
    if wanted("postgres") {
        match support::postgres(&runtime) {
            Some(url) => {
                runtime.block_on(measure("postgres", &url, many));
                runtime.block_on(support::clear(&url, SCHEMA));
            }
            None => println!("postgres: not measured, there is no server"),
        }
    }
}

async fn measure(store: &str, url: &str, many: u32) {
    // Half of the floors run before and half after, so that other load on the machine affects both.
    let mut floor = Floor::new(url, SCHEMA).await;
    let mut floors = BTreeMap::new();
    sample_floors(&mut floor, many.div_ceil(2), &mut floors).await;
    let measured = measure_engine(url, many).await;
    sample_floors(&mut floor, many / 2, &mut floors).await;

    for (what, samples, path) in measured {
        let (p50, p99) = percentiles(samples);
        print!("| {store} | {what} | {p50:.2} | {p99:.2} |");
        match floors.get(&path) {
            Some(samples) => {
                let (f50, f99) = percentiles(samples.clone());
                println!(" {f50:.2} | {f99:.2} | {:.2} | {} |", p50 / f50, path.name());
            }
            None => println!(" – | – | – | no notifications |"),
        }
    }
    if let Some(samples) = floors.remove(&Path::Notify) {
        let (p50, p99) = percentiles(samples);
        println!("| {store} | a bare notification | {p50:.2} | {p99:.2} | | | | |");
    }
}

/// The samples of the engine, each with the floor that it is compared with.
async fn measure_engine(url: &str, many: u32) -> Vec<(&'static str, Samples, Path)> {
    let launch = async |name: &str| {
        let builder = Durable::builder("latency").executor_id(name).system_database(url).schema(SCHEMA);
        let app = builder.launch().await.expect("the store is there");
        app.listening().await;
        app
    };
    let here = launch("here").await;
    let (received, recorded) = cases::send_to_recv(&here, &here, many, "receiver").await;
    let mut measured = vec![
        ("send … recv, here", received, Path::Select),
        ("send … recv recorded, here", recorded, Path::Update),
        ("set_event … get_event, here", cases::set_to_get(&here, &here, many, "setter").await, Path::Select),
        ("child's end … parent, here", cases::child_to_parent(&here, many).await, Path::Commit),
    ];
    let there = launch("there").await;
    let (received, recorded) = cases::send_to_recv(&here, &there, many, "receiver-there").await;
    let events = cases::set_to_get(&here, &there, many, "setter-here").await;
    let ends = cases::end_to_result(&here, &there, many).await;
    measured.extend([
        ("send … recv, elsewhere", received, Path::NotifiedSelect),
        ("send … recv recorded, elsewhere", recorded, Path::NotifiedUpdate),
        ("set_event … get_event, elsewhere", events, Path::NotifiedSelect),
        ("end … result, elsewhere", ends, Path::NotifiedSelect),
    ]);
    for app in [here, there] {
        let report = app.shutdown().await;
        assert!(report.is_clean(), "{report}");
    }
    measured
}

async fn sample_floors(floor: &mut Floor, many: u32, floors: &mut BTreeMap<Path, Samples>) {
    for path in Path::ALL {
        for _ in 0..many {
            wait_until_idle().await; // as before each sample of the engine: a floor without pauses would be faster
            if let Some(sample) = floor.sample(path).await {
                floors.entry(path).or_default().push(sample);
            }
        }
    }
}
