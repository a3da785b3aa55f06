//! `kill -9` at any time, also during a shutdown.

use std::collections::HashMap;
use std::time::Duration;

use durable::Status;
use sqlx::Connection;

use crate::support::signal_processes::{HANDLES_SIGNALS, start_signal_worker, wait_for_ledger_line};
use crate::support::{ProcessDatabase, Random, Signal, WatchedProcess, ledger, process_tests, until};

process_tests! {
nothing_is_lost_by_kills_at_any_moment,
a_kill_before_or_after_the_hand_off_loses_nothing,
}

const ROUNDS: u32 = 50;
const WORKFLOWS: usize = 20;
/// Of each workflow.
const STEPS: u32 = 300;

async fn nothing_is_lost_by_kills_at_any_moment(database: &ProcessDatabase) {
    let mut random = Random::new("nothing_is_lost_by_kills_at_any_moment");
    // How often each step had run when it was first seen recorded: no process may run it again.
    let mut recorded: HashMap<String, usize> = HashMap::new();
    let mut in_shutdown = 0;
    for round in 0..ROUNDS {
        let mut process = start_signal_worker("many", 200, 2_000, &[u64::from(STEPS), 40], database);
        if round % 2 == 1 {
            process.wait_for_line(HANDLES_SIGNALS).await;
            tokio::time::sleep(Duration::from_millis(random.below(150))).await; // the moment of the signal
            process.signal(Signal::TERM);
            tokio::time::sleep(Duration::from_millis(random.below(350))).await; // the moment of the kill
            in_shutdown += u32::from(!process.has_exited());
        } else {
            tokio::time::sleep(Duration::from_millis(random.below(500))).await; // the moment of the kill
        }
        process.kill_9().await;
        let runs = ledger(database.folder());
        if runs.is_empty() {
            continue; // it was killed before its first step
        }
        for (workflow, number) in database.recorded().await {
            let step = format!("{workflow} {number}");
            let times = runs.get(&step).map_or(0, Vec::len);
            assert!(times >= 1, "{step} is recorded and never ran");
            assert_eq!(*recorded.entry(step.clone()).or_insert(times), times, "{step} was recorded and ran again");
        }
    }
    let mut last = start_signal_worker("many", 60_000, 80_000, &[u64::from(STEPS), 2], database);
    last.wait_for_line(HANDLES_SIGNALS).await;
    database.wait_until_all_succeed().await;
    last.signal(Signal::TERM);
    assert_eq!(last.wait_for_exit().await.status.code(), Some(0));

    let runs = ledger(database.folder());
    let all = WORKFLOWS * STEPS as usize;
    assert_eq!((runs.len(), database.workflows().await.len()), (all, WORKFLOWS), "nothing was lost");
    assert_eq!(database.count_steps().await, all, "each step is recorded once");
    for (step, times) in &recorded {
        assert_eq!(runs[step].len(), *times, "{step} was recorded and ran again");
    }
    let again: usize = runs.values().map(|it| it.len() - 1).sum();
    assert!(again <= ROUNDS as usize * WORKFLOWS, "of each workflow one step at most at each kill: {again}");
    println!("{ROUNDS} kills, {in_shutdown} of them in a shutdown; {again} of {} steps ran again", runs.len());
}

/// A lock that blocks all writes.
enum Obstacle {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Obstacle {
    async fn new(database: &ProcessDatabase) -> Self {
        if database.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(database.url()).await.unwrap();
            sqlx::raw_sql("begin; lock table durable.workflows in exclusive mode")
                .execute(&mut connection)
                .await
                .unwrap();
            Self::Postgres(connection)
        } else {
            let mut connection = sqlx::SqliteConnection::connect(database.url()).await.unwrap();
            sqlx::raw_sql("begin immediate").execute(&mut connection).await.unwrap();
            Self::Sqlite(connection)
        }
    }

    async fn remove(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

/// A process that sleeps in its workflow, and gets a signal.
async fn asleep(database: &ProcessDatabase) -> WatchedProcess {
    let process = start_signal_worker("sleeps", 0, 10_000, &[], database);
    process.wait_for_line(HANDLES_SIGNALS).await;
    wait_for_ledger_line(database, "sleeps").await;
    until("the sleep is recorded", async || database.recorded().await.iter().any(|it| it.0 == "w")).await;
    process
}

async fn a_kill_before_or_after_the_hand_off_loses_nothing(database: &ProcessDatabase) {
    // Before the hand-off, which waits for the locked table.
    let mut process = asleep(database).await;
    let obstacle = Obstacle::new(database).await;
    process.signal(Signal::TERM);
    process.wait_for_line("phase=\"stop\"").await;
    tokio::time::sleep(Duration::from_millis(50)).await; // it waits for the lock, and nothing may happen in it
    assert!(!process.output().contains("phase=\"hand-off\""), "{}", process.output());
    process.kill_9().await;
    obstacle.remove().await;
    let row = database.workflows().await.remove(0);
    assert_eq!((row.status, row.executor.is_some()), (Status::Pending, true), "it is still owned");

    // After the hand-off: the next process has recovered the workflow, releases it, and is then killed.
    let mut process = asleep(database).await;
    process.signal(Signal::TERM);
    process.wait_for_line("phase=\"hand-off\"").await;
    process.kill_9().await;
    let row = database.workflows().await.remove(0);
    assert_eq!((row.status, row.executor.is_none()), (Status::Pending, true), "it is handed over");

    // The next process completes it.
    let mut process = asleep(database).await;
    process.signal(Signal::TERM);
    let ended = process.wait_for_exit().await;
    assert_eq!(ended.report()["suspended"], 1, "it had recovered it: {}", ended.output);
    let row = database.workflows().await.remove(0);
    assert_eq!((row.status, row.recoveries), (Status::Pending, 1), "only the crash that left it owned is counted");
    assert_eq!(database.recorded().await.len(), 1, "it sleeps the same sleep");
}
