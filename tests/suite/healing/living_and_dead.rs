//! Which executors are taken for dead: killed ones at once, and none that only had no database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::{NewExecutor, Store};

use crate::support::{
    FaultPlan, FaultyStore, ProcessDatabase, TestDatabase, WatchedProcess, arrived, count, counted, database_tests,
    fresh, gate, process_tests, until,
};

database_tests! {
    executors_do_not_take_over_from_each_other_after_an_outage,
    executors_without_lock_files_do_not_take_over_from_each_other_after_an_outage,
    a_takeover_of_a_process_that_never_ended_is_no_recovery,
    a_lock_file_that_is_not_of_the_engine_is_left_alone,
}

mod processes {
    super::process_tests! {
        a_killed_process_is_taken_over_at_once_and_leaves_nothing_behind,
    }
    use super::a_killed_process_is_taken_over_at_once_and_leaves_nothing_behind;
}

/// Heartbeats are a third of it apart.
const SHORT_LEASE: Duration = Duration::from_millis(600);

#[step]
async fn waits(key: &str) -> u32 {
    let run = count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
    run
}

#[workflow]
async fn waits_and_counts_runs(key: String) -> Result<u32> {
    Ok(waits(&key).await)
}

async fn executors_do_not_take_over_from_each_other_after_an_outage(database: &TestDatabase) {
    outage(database, true).await;
}

async fn executors_without_lock_files_do_not_take_over_from_each_other_after_an_outage(database: &TestDatabase) {
    outage(database, false).await;
}

/// Two engines have no database for longer than their leases, and then it answers both.
async fn outage(database: &TestDatabase, lock_files: bool) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let mut engines = Vec::new();
    for name in ["a", "b"] {
        let key = fresh(name);
        let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
        let store = Arc::clone(&faulty) as Arc<dyn Store>;
        let app = database.builder(name).lease(SHORT_LEASE).store(store).launch().await.unwrap();
        app.scope(async { waits_and_counts_runs(key.clone()).id(name).start().await.unwrap() }).await;
        arrived(&key, 1).await;
        engines.push((app, faulty, key, name));
    }
    if !lock_files {
        // As on another host: a missing file proves nothing.
        for executor in inner.executors().await.unwrap() {
            std::fs::remove_file(executor.lock_file.expect("it has one")).unwrap();
        }
    }
    for (_, faulty, ..) in &engines {
        faulty.set_unreachable(true);
    }
    tokio::time::sleep(2 * SHORT_LEASE).await; // the outage
    let expired = inner.executors().await.unwrap();
    assert!(expired.len() == 2 && expired.iter().all(|it| it.expired), "{expired:?}");
    for (_, faulty, ..) in &engines {
        faulty.set_unreachable(false);
        // One of them is back first, and finds the other one expired.
        tokio::time::sleep(SHORT_LEASE * 2 / 3).await;
    }
    until("both leases are extended", async || inner.executors().await.unwrap().iter().all(|it| !it.expired)).await;
    for (app, _, key, name) in engines {
        gate(&key).add_permits(10);
        assert_eq!(app.retrieve_workflow::<u32>(name).await.unwrap().await.unwrap(), 1);
        let infos = app.list_workflows(Filter::new()).await.unwrap();
        let info = infos.iter().find(|it| it.id == name).expect("it was started");
        assert_eq!((info.attempts, info.recoveries, counted(&key)), (1, 0, 1), "{name}");
        app.shutdown().await;
    }
    inner.close().await;
}

async fn a_takeover_of_a_process_that_never_ended_is_no_recovery(database: &TestDatabase) {
    let key = fresh("alive");
    let app = database.builder("a").lease(SHORT_LEASE).launch().await.unwrap();
    app.scope(async { waits_and_counts_runs(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let store = app.store();
    let executor = store.executors().await.unwrap().pop().unwrap();
    assert!(store.fence_out(executor.key, executor.epoch).await.unwrap());
    arrived(&key, 2).await; // it has registered again
    gate(&key).add_permits(2);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
    assert_eq!((info.attempts, info.recoveries), (2, 0));
    app.shutdown().await;
}

async fn a_lock_file_that_is_not_of_the_engine_is_left_alone(database: &TestDatabase) {
    let app = database.launch().await;
    let store = app.store();
    let host = store.executors().await.unwrap().pop().expect("it is launched").host;
    let file = database.folder().join("durable-7.lock");
    std::fs::write(&file, "a file of the user").unwrap();
    let row = NewExecutor {
        key: 7.into(),
        name: "forged".to_owned(),
        host,
        lock_file: Some(file.display().to_string()),
        version: "test".to_owned(),
        takes: None,
        lease: Duration::ZERO,
    };
    store.register_executor(&row).await.unwrap();
    app.shutdown().await;
    let app = database.launch().await;
    until("the row is taken over", async || app.store().executors().await.unwrap().len() == 1).await;
    assert!(file.exists());
    app.shutdown().await;
}

/// The lock files of the living executors.
async fn lock_files(database: &ProcessDatabase) -> Vec<PathBuf> {
    let store = durable_core::store::open(database.url(), "durable").await.expect("the database is there");
    let executors = store.executors().await.expect("the database is there");
    store.close().await;
    executors.into_iter().filter_map(|it| it.lock_file).map(PathBuf::from).collect()
}

async fn a_killed_process_is_taken_over_at_once_and_leaves_nothing_behind(database: &ProcessDatabase) {
    let folder = database.folder().display().to_string();
    let an_hour = "3600000";
    let heir = WatchedProcess::start("lease_worker", &[folder.as_str(), "0", an_hour], database);
    heir.wait_for_line("STARTED").await;
    let mut killed = WatchedProcess::start("lease_worker", &[folder.as_str(), "10", an_hour], database);
    killed.wait_for_line("STARTED").await;
    let before = lock_files(database).await;
    assert!(before.len() == 2 && before.iter().all(|it| Path::exists(it)), "{before:?}");
    killed.kill_9().await;
    until("the other process has run them, long before the lease expires", async || {
        database.workflows().await.iter().all(|it| it.status == Status::Success)
    })
    .await;
    until("the row of the dead process is gone", async || lock_files(database).await.len() == 1).await;
    let left = before.iter().filter(|it| it.exists()).count();
    assert_eq!(left, 1, "the lock file of the living process is left");
    drop(heir);
}
