//! How much can be enqueued in a second, while nobody takes anything.

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

/// Who enqueues.
#[derive(Debug, Clone, Copy)]
enum Who {
    /// So many callers, one call each at a time: so many calls in all.
    Callers(u64, u64),
    /// One caller with `enqueue_all`, so many at a time: so many in all.
    Bulk(u64, u64),
}

const ALL: [Who; 4] =
    [Who::Callers(1, 1_500), Who::Callers(16, 8_000), Who::Callers(256, 24_000), Who::Bulk(1_000, 24_000)];

/// Rounds of floor, floor and engine; the medians count.
const ROUNDS: usize = 3;

impl Who {
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
    for (number, who) in ALL.into_iter().enumerate() {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        let mut spent = StatementCounts::default();
        for round in 0..ROUNDS {
            // Everybody begins with empty tables.
            let sites = ["each", "all", "durable"].map(|it| site(&format!("{it}_{number}_{round}")));
            let [each, all, durable] = &sites;
            rates[0].push(rate(who, of_floor(each, who, false).await));
            rates[1].push(rate(who, of_floor(all, who, true).await));
            let (elapsed, costs) = of_engine(durable, who).await;
            rates[2].push(rate(who, elapsed));
            spent = costs;
            for site in sites.iter().filter(|it| it.is_postgres()) {
                site.clear().await;
            }
        }
        let [each, all, durable] = rates.map(median);
        let per = |count: u64| ratio(count, who.all());
        println!(
            "| {} | {} | {each:.0} | {all:.0} | {durable:.0} | {:.2} | {:.2} | {:.3} | {:.3} |",
            site("").store,
            who.name(),
            durable / each,
            durable / all,
            per(spent.statements),
            per(spent.commits)
        );
    }
}

fn rate(who: Who, elapsed: Duration) -> f64 {
    ratio(who.all(), 1) / elapsed.as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// By hand: one row for each commit, by as many connections as there are callers, up to 16; or else
/// one connection which commits one row of every caller together.
async fn of_floor(site: &Site, who: Who, together: bool) -> Duration {
    let floor = Arc::new(Floor::new(site).await);
    let (callers, rows) = match (who, together) {
        (Who::Callers(callers, _), false) => (callers, 1),
        (Who::Bulk(..), false) => (1, 1),
        (Who::Callers(rows, _) | Who::Bulk(rows, _), true) => (1, rows),
    };
    // One by one is slow where nothing is shared; a tenth shows the rate.
    let part = if !together && matches!(who, Who::Bulk(..)) { 10 } else { 1 };
    let work = move || {
        let floor = Arc::clone(&floor);
        async move { floor.insert(i64::try_from(rows).expect("there are few")).await }
    };
    let elapsed = closed_loop(callers, who.all() / rows / part, work).await;
    elapsed * u32::try_from(part).expect("it is small")
}

async fn of_engine(site: &Site, who: Who) -> (Duration, StatementCounts) {
    let app = site.launch("enqueues", &[]).await;
    let before = app.store().statement_counts();
    let elapsed = match who {
        Who::Callers(callers, all) => {
            let of_calls = app.clone();
            let work = move || {
                let app = of_calls.clone();
                async move {
                    app.scope(is_enqueued(1).queue(&LINE).start()).await.expect("the store is there");
                }
            };
            closed_loop(callers, all, work).await
        }
        Who::Bulk(batch, all) => {
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
