//! How long an engine takes for a full queue of workflows that do nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use durable::prelude::*;
use durable::queue;
use durable_core::store::StatementCounts;
use tokio::sync::Notify;

use crate::floor::Floor;
use crate::{Site, down, ratio};

pub(crate) const HEAD: &str = "\
| store | queue | workflows | floor /s | at a time | durable /s | ratio | statements each | commits each |
|---|---|---|---|---|---|---|---|---|";

#[queue]
static FREE: Queue = Queue::new("bench-free");
#[queue]
static FIVE: Queue = Queue::new("bench-five").worker_concurrency(5);
#[queue]
static WORKER: Queue = Queue::new("bench-worker").worker_concurrency(64);
#[queue]
static FLEET: Queue = Queue::new("bench-fleet").concurrency(64);
#[queue]
static PARTED: Queue = Queue::new("bench-parted").partitioned();

/// How many bodies are still to run.
static LEFT: AtomicU64 = AtomicU64::new(0);
/// Notified by the last body.
static LAST: Notify = Notify::const_new();

#[workflow]
async fn is_drained(number: u64) -> Result<u64> {
    if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        LAST.notify_one();
    }
    Ok(number)
}

/// A queue, how it is called, how many of it can run at once, and which part of the workflows is enough.
type Case = (&'static Queue, &'static str, u64, u64);

const KEYS: u64 = 100;
const CASES: [Case; 5] = [
    (&FREE, "without limits", 1_000, 1),
    (&WORKER, "`worker_concurrency(64)`", 64, 1),
    (&FIVE, "`worker_concurrency(5)`", 5, 4),
    (&FLEET, "`concurrency(64)`", 64, 2),
    (&PARTED, "`partitioned()`, 100 keys", KEYS, 2),
];
/// The most that the floor claims at a time.
const BATCH: u64 = 100;
/// Rounds of floor and engine; the medians count.
const ROUNDS: u64 = 3;

pub(crate) async fn measure(site: &impl Fn(&str) -> Site, many: u64) {
    for (number, (queue, name, at_once, part)) in CASES.into_iter().enumerate() {
        let (many, batch) = (many / part, at_once.min(BATCH));
        let (mut floors, mut engines) = (Vec::new(), Vec::new());
        let mut last = None;
        for round in 0..ROUNDS {
            let sites = ["floor", "drain"].map(|it| site(&format!("{it}_{number}_{round}")));
            floors.push(of_floor(&sites[0], many, batch).await);
            let (elapsed, costs) = of_engine(&sites[1], queue, many).await;
            engines.push(elapsed);
            last = Some(costs);
            for site in sites.iter().filter(|it| it.is_postgres()) {
                site.clear().await;
            }
        }
        let [floor, engine] = [floors, engines].map(|it| ratio(many, 1) / median(it).as_secs_f64());
        let costs = last.unwrap_or_default();
        let per = |count: u64| ratio(count, many);
        println!(
            "| {} | {name} | {many} | {floor:.0} | {batch} | {engine:.0} | {:.2} | {:.3} | {:.3} |",
            site("").store,
            engine / floor,
            per(costs.statements),
            per(costs.commits),
        );
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn of_floor(site: &Site, many: u64, batch: u64) -> Duration {
    let floor = Floor::new(site).await;
    let signed = |it: u64| i64::try_from(it).expect("there are few");
    for _ in 0..many / 500 {
        floor.insert(500).await;
    }
    floor.insert(signed(many % 500)).await;
    let begun = Instant::now();
    assert_eq!(floor.drain(signed(batch)).await, many);
    begun.elapsed()
}

/// From the resumption of the queue until all workflows have ended.
async fn of_engine(site: &Site, queue: &'static Queue, many: u64) -> (Duration, StatementCounts) {
    let app = site.launch("drains", &[queue]).await;
    LEFT.store(many, Ordering::Relaxed);
    let (elapsed, costs) = app
        .scope(async {
            queue.pause().await.expect("the store is there");
            for first in (0..many).step_by(1_000) {
                let calls = (first..many.min(first + 1_000)).map(|it| call(queue, it));
                queue.enqueue_all(calls).await.expect("the store is there");
            }
            tokio::time::sleep(Duration::from_millis(200)).await; // until the dispatcher has handled the notifications
            let before = app.store().statement_counts();
            let begun = Instant::now();
            queue.resume().await.expect("the store is there");
            LAST.notified().await;
            let mut looking = StatementCounts::default();
            loop {
                let before = app.store().statement_counts();
                let info = queue.info().await.expect("the store is there");
                looking.statements += (app.store().statement_counts() - before).statements;
                if info.depth + info.running == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let elapsed = begun.elapsed();
            let mut costs = app.store().statement_counts() - before;
            costs.statements -= looking.statements;
            (elapsed, costs)
        })
        .await;
    down(app).await;
    (elapsed, costs)
}

fn call(queue: &Queue, number: u64) -> durable::WorkflowCall<u64> {
    let call = is_drained(number);
    if queue.name() == PARTED.name() { call.partition(format!("key-{}", number % KEYS)) } else { call }
}
