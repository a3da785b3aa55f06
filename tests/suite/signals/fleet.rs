//! A fleet that is replaced one by one while it works.

use std::time::{Duration, Instant};

use durable::Status;

use super::{HEARS, signalled};
use crate::crash::processes::{ledger, on_every_database};
use crate::stage::Database;
use crate::support::os_process::Signal;

on_every_database! {
    rolling_restart_under_load,
}

const WORKFLOWS: u64 = 1_000;
/// The environment variable for a longer time, in seconds.
const SECONDS: &str = "DURABLE_TEST_ROLLING";

/// For how long the fleet is replaced.
pub(super) fn long() -> Duration {
    Duration::from_secs(std::env::var(SECONDS).ok().and_then(|it| it.parse().ok()).unwrap_or(12))
}

async fn rolling_restart_under_load(database: &Database) {
    let mut fill = signalled("fill", 0, 5_000, &[WORKFLOWS], database);
    fill.says("FILLED").await;
    fill.ended().await;

    // 1,000 of three steps, 60 at once: so that they last for as long as the fleet is replaced.
    let millis = u64::try_from(long().as_millis()).unwrap() * 60 / WORKFLOWS / 3;
    let launch = || signalled("line", 2_000, 10_000, &[0, millis], database);
    let (mut fleet, mut exits, begun) = ((0..3).map(|_| launch()).collect::<Vec<_>>(), Vec::new(), Instant::now());
    for process in &fleet {
        process.says(HEARS).await;
    }
    while begun.elapsed() < long() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut old = fleet.remove(0);
        fleet.push(launch());
        old.says(HEARS).await;
        let sent = old.signal(Signal::TERM);
        let ended = old.ended().await;
        exits.push(ended.at - sent);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.told);
    }
    let all_done = async {
        while database.look().await.iter().any(|it| it.status != Status::Success) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all_done).await.expect("all of them end");
    for mut process in fleet {
        process.says(HEARS).await;
        let sent = process.signal(Signal::TERM);
        exits.push(process.ended().await.at - sent);
    }
    println!("from TERM to exit: {exits:.2?}; {:.1?} in all", begun.elapsed());

    let look = database.look().await;
    assert_eq!(look.len() as u64, WORKFLOWS);
    assert!(look.iter().all(|it| it.recoveries == 0), "nothing crashed");
    let runs = ledger(database.folder());
    assert_eq!(runs.len() as u64, 3 * WORKFLOWS);
    let again: Vec<_> = runs.iter().filter(|(_, it)| it.len() > 1).collect();
    assert!(again.is_empty(), "each step ran once: {again:?}");
    assert_eq!(database.count_steps().await as u64, 3 * WORKFLOWS);
}
