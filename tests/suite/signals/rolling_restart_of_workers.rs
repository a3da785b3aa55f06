//! Replacing workers one by one while they run workflows.

use std::time::{Duration, Instant};

use crate::support::signal_processes::{HANDLES_SIGNALS, start_signal_worker};
use crate::support::{ProcessDatabase, Signal, ledger, process_tests};

process_tests! {
a_rolling_restart_of_workers_loses_nothing,
}

const WORKFLOWS: u64 = 1_000;
/// The environment variable for a longer test, in seconds.
const SECONDS: &str = "DURABLE_TEST_ROLLING";

/// How long the restarts go on.
pub(super) fn long() -> Duration {
    Duration::from_secs(std::env::var(SECONDS).ok().and_then(|it| it.parse().ok()).unwrap_or(12))
}

async fn a_rolling_restart_of_workers_loses_nothing(database: &ProcessDatabase) {
    let mut fill = start_signal_worker("fill", 0, 5_000, &[WORKFLOWS], database);
    fill.wait_for_line("FILLED").await;
    fill.wait_for_exit().await;

    // 1,000 of three steps, 60 at once: so that they last for as long as the fleet is replaced.
    let millis = u64::try_from(long().as_millis()).unwrap() * 60 / WORKFLOWS / 3;
    let launch = || start_signal_worker("line", 2_000, 10_000, &[0, millis], database);
    let (mut fleet, mut exits, begun) = ((0..3).map(|_| launch()).collect::<Vec<_>>(), Vec::new(), Instant::now());
    for process in &fleet {
        process.wait_for_line(HANDLES_SIGNALS).await;
    }
    while begun.elapsed() < long() {
        tokio::time::sleep(Duration::from_secs(2)).await; // the pace of the restarts
        let mut old = fleet.remove(0);
        fleet.push(launch());
        old.wait_for_line(HANDLES_SIGNALS).await;
        let sent = old.signal(Signal::TERM);
        let ended = old.wait_for_exit().await;
        exits.push(ended.at - sent);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    }
    database.wait_until_all_succeed().await;
    for mut process in fleet {
        process.wait_for_line(HANDLES_SIGNALS).await;
        let sent = process.signal(Signal::TERM);
        exits.push(process.wait_for_exit().await.at - sent);
    }
    println!("from TERM to exit: {exits:.2?}; {:.1?} in all", begun.elapsed());

    let workflows = database.workflows().await;
    assert_eq!(workflows.len() as u64, WORKFLOWS);
    assert!(workflows.iter().all(|it| it.recoveries == 0), "nothing crashed");
    let runs = ledger(database.folder());
    assert_eq!(runs.len() as u64, 3 * WORKFLOWS);
    let again: Vec<_> = runs.iter().filter(|(_, it)| it.len() > 1).collect();
    assert!(again.is_empty(), "each step ran once: {again:?}");
    assert_eq!(database.count_steps().await as u64, 3 * WORKFLOWS);
}
