//! Crashes of workflows with branches: the result is the same, and no side effect runs before the records that
//! it depends on are durable.

use std::sync::Arc;

use durable::prelude::*;
use durable::sqlx::{self, PgConnection, SqliteConnection};
use durable_core::store::Store;

use crate::support::{FaultMode, TestDatabase, arrived, count, counted, database_tests, failing_at, fresh, gate};

database_tests! {
    a_crash_before_any_commit_of_branches_gives_the_same_result,
    a_crash_after_any_commit_of_branches_gives_the_same_result,
    losing_the_answer_of_any_commit_of_branches_gives_the_same_result,
    records_committed_with_a_transaction_are_durable_before_concurrent_side_effects,
    records_committed_with_a_child_are_durable_before_concurrent_side_effects,
    records_in_a_dropped_transaction_are_still_stored,
    a_record_that_the_database_refuses_parks_the_workflow,
}

#[step]
async fn noted(key: &str, what: &str) -> String {
    count(format!("{key} {what}"));
    what.to_owned()
}

#[step]
async fn refused(key: &str) -> Result<String, String> {
    count(format!("{key} refused"));
    Err("no".to_owned())
}

#[workflow]
async fn child_in_a_branch(key: String) -> Result<String> {
    Ok(noted(&key, "in the child").await)
}

#[transaction]
async fn one_lite(tx: &mut SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1").fetch_one(tx).await?)
}

#[transaction]
async fn one_pg(tx: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1::bigint").fetch_one(tx).await?)
}

/// Every form of branches, with every kind of commit in it.
#[workflow]
async fn branching_flow(key: String, postgres: bool) -> Result<String> {
    let spawned = durable::spawn({
        let key = key.clone();
        async move { [noted(&key, "spawned").await, noted(&key, "beside").await].concat() }
    });
    let (left, right) = durable::join!(
        async {
            let before = noted(&key, "left").await;
            let one = if postgres { one_pg().await } else { one_lite().await };
            format!("{before} {:?}", one.ok())
        },
        async { format!("{} {:?}", noted(&key, "right").await, child_in_a_branch(key.clone()).await.ok()) },
    );
    let stopped = durable::map(1..=3, 2, |item| {
        let key = &key;
        async move {
            match item {
                2 => refused(key).await,
                _ => Ok(noted(key, &format!("item {item}")).await),
            }
        }
    })
    .stop_on_error()
    .await;
    let won = durable::select! {
        () = async { noted(&key, "loser").await; std::future::pending::<()>().await } => String::new(),
        won = async { [noted(&key, "winner").await, noted(&key, "wins").await].concat() } => won,
    };
    Ok(format!("{left}, {right}, {:?}, {won}, {}", stopped.unwrap_err(), spawned.await))
}

const RESULT: &str = "left Some(1), right Some(\"in the child\"), \"no\", winnerwins, spawnedbeside";
const EFFECTS: [&str; 10] =
    ["spawned", "beside", "left", "right", "in the child", "item 1", "refused", "loser", "winner", "wins"];
const RECORDS: [&str; 13] =
    ["1/1", "1/2", "2/1", "2/2", "3/1", "3/2", "3/2/1", "4/1/1", "4/2/1", "5", "5/1/1", "5/2/1", "5/2/2"];

async fn run_with_faults(database: &TestDatabase, mode: FaultMode) {
    for at in 1.. {
        let key = fresh("branching");
        let faulty = failing_at(database, mode, at).await;
        let app = database.builder("faulty").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let call = branching_flow(key.clone(), database.is_postgres()).id(&key);
        let first = faulty.result_or_death(app.spawn_scoped(call)).await;
        let faulted = faulty.was_reached();
        drop(app);
        faulty.close().await;

        let app = database.launch().await;
        let again = app.spawn_scoped(branching_flow(key.clone(), database.is_postgres()).id(&key)).await;
        let result = again.unwrap().unwrap();
        assert_eq!(result, RESULT, "{mode:?} at commit {at}");
        assert!(first.is_none_or(|it| it == result));
        for effect in EFFECTS {
            let times = counted(&format!("{key} {effect}"));
            let most = if mode == FaultMode::LostAnswer { 1 } else { 2 };
            assert!((1..=most).contains(&times), "{mode:?} at commit {at}: {effect} happened {times} times");
        }
        let steps = app.list_steps(&key).await.unwrap();
        let mut records: Vec<_> = steps.iter().map(|it| it.position.to_string()).collect();
        records.retain(|it| it != "4/3/1"); // the item behind the failed one was started, or was not
        assert_eq!(records, RECORDS, "{mode:?} at commit {at}");
        app.shutdown().await;
        if !faulted {
            assert!(at > 6, "the flow has several commits, and all of them were tried");
            return;
        }
    }
}

async fn a_crash_before_any_commit_of_branches_gives_the_same_result(database: &TestDatabase) {
    run_with_faults(database, FaultMode::Before).await;
}

async fn a_crash_after_any_commit_of_branches_gives_the_same_result(database: &TestDatabase) {
    run_with_faults(database, FaultMode::After).await;
}

async fn losing_the_answer_of_any_commit_of_branches_gives_the_same_result(database: &TestDatabase) {
    run_with_faults(database, FaultMode::LostAnswer).await;
}

/// A side effect that reads which records are durable when it happens.
#[step]
async fn effect(key: &str) -> Result<Vec<String>> {
    count(format!("{key} effect"));
    Ok(durable::list_steps(key).await?.into_iter().map(|it| it.name).collect())
}

async fn hold_open(key: &str, undo: bool) -> Result<()> {
    count(format!("{key} open"));
    gate(key).acquire().await?.forget();
    if undo { Err(Error::msg("undone")) } else { Ok(()) }
}

#[transaction]
async fn open_lite(_tx: &mut SqliteConnection, key: &str, undo: bool) -> Result<()> {
    hold_open(key, undo).await
}

#[transaction]
async fn open_pg(_tx: &mut PgConnection, key: &str, undo: bool) -> Result<()> {
    hold_open(key, undo).await
}

#[workflow(nondeterminism = "allow")] // the only way to run a transaction beside a step
async fn transaction_beside(key: String, postgres: bool, undo: bool) -> Result<Vec<String>> {
    noted(&key, "rides").await;
    let transaction = async { if postgres { open_pg(&key, undo).await } else { open_lite(&key, undo).await } };
    let (done, seen) = tokio::join!(transaction, async { effect(&key).await });
    assert_eq!(done.is_err(), undo);
    seen
}

async fn records_committed_with_a_transaction_are_durable_before_concurrent_side_effects(database: &TestDatabase) {
    for undo in [false, true] {
        let key = fresh("rides");
        let app = database.launch().await;
        let call = transaction_beside(key.clone(), database.is_postgres(), undo).id(&key);
        let handle = app.scope(async { call.start().await.unwrap() }).await;
        arrived(&format!("{key} open"), 1).await;
        assert_eq!(counted(&format!("{key} effect")), 0, "what rides can still be undone");
        gate(&key).add_permits(1);
        let seen = handle.await.unwrap();
        assert!(seen.contains(&"noted".to_owned()), "{seen:?}");
        app.shutdown().await;
    }
}

#[workflow]
async fn transaction_in_a_branch(key: String) -> Result<Vec<String>> {
    noted(&key, "before").await;
    let (done, seen) = durable::join!(open_pg(&key, false), effect(&key));
    done?;
    seen
}

/// Postgres only: on SQLite all writers wait for the transaction.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_in_a_branch_does_not_block_the_other_branches() {
    let database = TestDatabase::postgres();
    let key = fresh("goes on");
    let app = database.launch().await;
    let handle = app.scope(async { transaction_in_a_branch(key.clone()).id(&key).start().await.unwrap() }).await;
    for what in ["open", "effect"] {
        let what = format!("{key} {what}");
        let arrived = tokio::time::timeout(Duration::from_secs(20), arrived(&what, 1));
        arrived.await.expect("nothing waits for the transaction");
    }
    gate(&key).add_permits(1);
    assert!(handle.await.unwrap().contains(&"noted".to_owned()), "what was before is durable");
    app.shutdown().await;
    database.clear().await;
}

#[workflow(nondeterminism = "allow")] // the order of polling is what is tested
async fn child_beside(key: String) -> Result<Vec<String>> {
    noted(&key, "first").await;
    let work = async {
        noted(&key, "goes with the child").await;
        tokio::task::yield_now().await;
        let polled = async { count(format!("{key} polled")) };
        tokio::join!(biased; effect(&key), polled).0
    };
    let (seen, started) = tokio::join!(biased; work, child_in_a_branch(key.clone()).start());
    started?.await?;
    seen
}

async fn records_committed_with_a_child_are_durable_before_concurrent_side_effects(database: &TestDatabase) {
    let key = fresh("goes with");
    let faulty = failing_at(database, FaultMode::Held, 3).await;
    let app = database.builder("held").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let handle = app.scope(async { child_beside(key.clone()).id(&key).start().await.unwrap() }).await;
    arrived(&format!("{key} polled"), 1).await;
    assert_eq!(counted(&format!("{key} effect")), 0, "the commit of the child is not done");
    faulty.release_held_call();
    let seen = handle.await.unwrap();
    assert_eq!(seen.iter().filter(|it| *it == "noted").count(), 2, "{seen:?}");
    app.shutdown().await;
}

#[workflow(nondeterminism = "allow")] // the race is what is tested
async fn drops_a_transaction(key: String, postgres: bool) -> Result<()> {
    noted(&key, "rides").await;
    let transaction = async { if postgres { open_pg(&key, false).await } else { open_lite(&key, false).await } };
    let open = format!("{key} open");
    tokio::select! {
        biased;
        _ = transaction => unreachable!("its gate is never opened"),
        () = arrived(&open, 1) => {}
    }
    Ok(())
}

async fn records_in_a_dropped_transaction_are_still_stored(database: &TestDatabase) {
    let key = fresh("dropped");
    let app = database.launch().await;
    app.scope(async { drops_a_transaction(key.clone(), database.is_postgres()).id("w").await.unwrap() }).await;
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!(steps.len(), 1, "{steps:?}");
    app.shutdown().await;
}

#[workflow]
async fn two_steps(key: String) -> Result<()> {
    noted(&key, "first").await;
    noted(&key, "second").await;
    Ok(())
}

async fn a_record_that_the_database_refuses_parks_the_workflow(database: &TestDatabase) {
    let faulty = failing_at(database, FaultMode::Refused, 2).await;
    let app = database.builder("refused").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let key = fresh("refused");
    let error = app.scope(async { two_steps(key.clone()).id("w").await.unwrap_err() }).await;
    assert!(error.is_parked() && error.to_string().contains("no such thing is stored here"), "{error}");
    assert_eq!(counted(&format!("{key} second")), 0);
    app.shutdown().await;
}
