//! How many workflows can be enqueued in a second, while no process claims any.

use std::sync::Arc;
use std::time::{Duration, Instant};

use durable::prelude::*;
use durable::queue;
use durable_core::store::StatementCounts;

use crate::floor::Floor;
use crate::load::closed_loop;
use crate::{Site, down, ratio};

pub(crate) const HEAD: &str = "\
| store | enqueued by | one commit each /s | one commit for all /s | durable /s | of the first | of the second | statements each | commits each |
|---|---|---|---|---|---|---|---|---|";

#[queue]
static LINE: Queue = Queue::new("bench-line");

#[workflow]
async fn is_enqueued(number: u64) -> Result<u64> {
    Ok(number)
}

/// The callers that enqueue.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// This many callers with one call each at a time, and this many calls in total.
    Callers(u64, u64),
    /// One caller with `enqueue_all`, this many at a time, and this many in total.
    Bulk(u64, u64),
}

const ALL: [Load; 4] =
    [Load::Callers(1, 1_500), Load::Callers(16, 8_000), Load::Callers(256, 24_000), Load::Bulk(1_000, 24_000)];

/// Rounds of floor, floor and engine; the medians count.
const ROUNDS: usize = 3;

impl Load {
    fn name(self) -> String {
        match self {
            Self::Callers(1, _) => "1 caller".to_owned(),
            Self::Callers(callers, _) => format!("{callers} callers"),
            Self::Bulk(batch, _) => format!("`enqueue_all`, {batch} at a time"),
        }
    }

    fn all(self) -> u64 {
        let (Self::Callers(_, all) | Self::Bulk(_, all)) = self;
        all
    }
}

pub(crate) async fn measure(site: &impl Fn(&str) -> Site) {
    for (number, load) in ALL.into_iter().enumerate() {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        let mut spent = StatementCounts::default();
        for round in 0..ROUNDS {
            // Each round begins with empty tables.
            let sites = ["each", "all", "durable"].map(|it| site(&format!("{it}_{number}_{round}")));
            let [each, all, durable] = &sites;
            rates[0].push(rate(load, of_floor(each, load, false).await));
            rates[1].push(rate(load, of_floor(all, load, true).await));
            let (elapsed, costs) = of_engine(durable, load).await;
            rates[2].push(rate(load, elapsed));
            spent = costs;
            for site in sites.iter().filter(|it| it.is_postgres()) {
                site.clear().await;
            }
        }
        let [each, all, durable] = rates.map(median);
        let per = |count: u64| ratio(count, load.all());
        println!(
            "| {} | {} | {each:.0} | {all:.0} | {durable:.0} | {:.2} | {:.2} | {:.3} | {:.3} |",
            site("").store,
            load.name(),
            durable / each,
            durable / all,
            per(spent.statements),
            per(spent.commits)
        );
    }
}

fn rate(load: Load, elapsed: Duration) -> f64 {
    ratio(load.all(), 1) / elapsed.as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Hand-written SQL: one row in each commit, with a connection for each caller, up to 16; or one
/// connection that commits one row of every caller together.
async fn of_floor(site: &Site, load: Load, together: bool) -> Duration {
    let floor = Arc::new(Floor::new(site).await);
    let (callers, rows) = match (load, together) {
        (Load::Callers(callers, _), false) => (callers, 1),
        (Load::Bulk(..), false) => (1, 1),
        (Load::Callers(rows, _) | Load::Bulk(rows, _), true) => (1, rows),
    };
    // One row per commit is slow without concurrency, so a tenth of the rows is enough.
    let part = if !together && matches!(load, Load::Bulk(..)) { 10 } else { 1 };
    let work = move || {
        let floor = Arc::clone(&floor);
        async move { floor.insert(i64::try_from(rows).expect("there are few")).await }
    };
    let elapsed = closed_loop(callers, load.all() / rows / part, work).await;
    elapsed * u32::try_from(part).expect("it is small")
}

async fn of_engine(site: &Site, load: Load) -> (Duration, StatementCounts) {
    let app = site.launch("enqueues", &[]).await;
    let before = app.store().statement_counts();
    let elapsed = match load {
        Load::Callers(callers, all) => {
            let of_calls = app.clone();
            let work = move || {
                let app = of_calls.clone();
                async move {
                    app.scope(is_enqueued(1).queue(&LINE).start()).await.expect("the store is there");
                }
            };
            closed_loop(callers, all, work).await
        }
        Load::Bulk(batch, all) => {
            let begun = Instant::now();
            for _ in 0..all / batch {
                let stored = app.scope(async { LINE.enqueue_all((0..batch).map(is_enqueued)).await }).await;
                assert_eq!(stored.expect("the store is there").len() as u64, batch);
            }
            begun.elapsed()
        }
    };
    let costs = app.store().statement_counts() - before;
    down(app).await;
    (elapsed, costs)
}
