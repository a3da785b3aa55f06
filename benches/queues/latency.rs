//! The latency from enqueueing a workflow on an idle system until its body begins.
//!
//! `here` is one engine. `elsewhere` are two engines that share only the database, as two processes do;
//! they run in one process so that they share its clock.

use std::sync::Mutex;
use std::time::Instant;

use durable::prelude::*;
use durable::queue;
use tokio::sync::oneshot;

use crate::floor::{Claimed, Floor};
use crate::samples::{Samples, percentiles, wait_until_idle};
use crate::{Site, down};

pub(crate) const HEAD: &str = "\
| store | from … to the begin of the body | p50 ms | p99 ms | floor p50 | floor p99 | ratio | floor |
|---|---|---|---|---|---|---|---|";

#[queue]
static LATENCY: Queue = Queue::new("bench-latency");

/// The channel that receives the time at which the next body begins.
static WAITS: Mutex<Option<oneshot::Sender<Instant>>> = Mutex::new(None);

#[workflow]
async fn tells_when_it_begins(number: u32) -> Result<u32> {
    begins();
    Ok(number)
}

fn begins() {
    let now = Instant::now();
    if let Some(waits) = WAITS.lock().expect("no thread panics").take() {
        let _ = waits.send(now); // no receiver waits for a run after a restart
    }
}

pub(crate) async fn measure(site: &Site, many: u32) {
    // Half of the floors run before and half after, so that other load on the machine affects both.
    let floor = Floor::new(site).await;
    let mut floors = [Vec::new(), Vec::new()];
    sample_floors(&floor, many.div_ceil(2), &mut floors).await;
    let here = site.launch("here", &[&LATENCY]).await;
    let of_here = sample(&here, many).await;
    down(here).await;
    let (here, there) = (site.launch("here", &[]).await, site.launch("there", &[&LATENCY]).await);
    let of_elsewhere = sample(&here, many).await;
    down(here).await;
    down(there).await;
    sample_floors(&floor, many / 2, &mut floors).await;

    let names = ["here", "elsewhere"];
    for ((name, (from_call, from_return)), floors) in names.into_iter().zip([of_here, of_elsewhere]).zip(floors) {
        let [of_call, of_stored] = [
            floors.iter().map(|it| it.from_call).collect::<Samples>(),
            floors.iter().map(|it| it.from_stored).collect(),
        ];
        let announced = if name == "elsewhere" { "notify, " } else { "" };
        show(site, &format!("`.enqueue()`, {name}"), from_call, of_call, &format!("insert, {announced}claim"));
        show(site, &format!("its return, {name}"), from_return, of_stored, &format!("{announced}claim"));
    }
    if site.is_postgres() {
        site.clear().await;
    }
}

fn show(site: &Site, what: &str, samples: Samples, floor: Samples, path: &str) {
    let (p50, p99) = percentiles(samples);
    print!("| {} | {what} | {p50:.2} | {p99:.2} |", site.store);
    if floor.is_empty() {
        println!(" – | – | – | no notifications |");
    } else {
        let (f50, f99) = percentiles(floor);
        println!(" {f50:.2} | {f99:.2} | {:.2} | {path} |", p50 / f50);
    }
}

/// The times from before the call, and from its return. A body that begins before the call has returned
/// counts as zero in the latter.
async fn sample(app: &Durable, many: u32) -> (Samples, Samples) {
    let (mut from_call, mut from_return) = (Samples::new(), Samples::new());
    for number in 0..many {
        wait_until_idle().await;
        let (sender, begun) = oneshot::channel();
        *WAITS.lock().expect("no thread panics") = Some(sender);
        let before = Instant::now();
        app.scope(tells_when_it_begins(number).enqueue(&LATENCY)).await.expect("the store is there");
        let after = Instant::now();
        let begun = begun.await.expect("it begins");
        from_call.push(begun - before);
        from_return.push(begun.saturating_duration_since(after));
    }
    (from_call, from_return)
}

async fn sample_floors(floor: &Floor, many: u32, floors: &mut [Vec<Claimed>; 2]) {
    for (elsewhere, floors) in [false, true].into_iter().zip(floors) {
        for _ in 0..many {
            wait_until_idle().await; // as before each sample of the engine: a floor without pauses would be faster
            floors.extend(floor.claim_of_one(elsewhere).await);
        }
    }
}
