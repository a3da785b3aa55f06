//! A crash before and after every commit, and lost answers: exhaustively.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{
    FaultMode, FaultPlan, FaultyStore, TestDatabase, count, counted, database_tests, failing_at, fresh,
};

database_tests! {
    a_crash_before_any_commit_gives_the_same_result,
    a_crash_after_any_commit_gives_the_same_result,
    losing_the_answer_of_any_commit_gives_the_same_result,
    a_batch_without_an_answer_that_is_divided_publishes_everything_once,
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
async fn faulty_child(key: String) -> Result<String> {
    Ok(noted(&key, "in the child").await)
}

/// A workflow with every operation that commits.
#[workflow]
async fn faulty_flow(key: String) -> Result<String> {
    let one = noted(&key, "one").await;
    let child = faulty_child(key.clone()).await?;
    let error = refused(&key).await.unwrap_err();
    let (left, right) = (noted(&key, "left"), noted(&key, "right"));
    let (right, left) = tokio::join!(right, left);
    Ok([one, child, error, left, right].join(", "))
}

const EFFECTS: [&str; 5] = ["one", "in the child", "refused", "left", "right"];

async fn run_with_faults(database: &TestDatabase, mode: FaultMode) {
    let mut at = 0;
    loop {
        at += 1;
        let key = fresh("faulty");
        let faulty = failing_at(database, mode, at).await;
        let app = database.builder("faulty").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let first = faulty.result_or_death(app.spawn_scoped(faulty_flow(key.clone()).id(&key))).await;
        let faulted = faulty.was_reached();
        drop(app);
        faulty.close().await;

        let app = database.launch().await;
        let result = app.spawn_scoped(faulty_flow(key.clone()).id(&key)).await.unwrap().unwrap();
        assert_eq!(result, "one, in the child, no, left, right", "{mode:?} at commit {at}");
        assert!(first.is_none_or(|it| it == result));
        for effect in EFFECTS {
            let times = counted(&format!("{key} {effect}"));
            assert!((1..=2).contains(&times), "{mode:?} at commit {at}: {effect} happened {times} times");
            if mode == FaultMode::LostAnswer {
                assert_eq!(times, 1, "nothing crashed at commit {at}, so nothing runs twice");
            }
        }
        let twice: u32 = EFFECTS.iter().map(|it| counted(&format!("{key} {it}")) - 1).sum();
        assert!(twice <= 2, "{mode:?} at commit {at}: only what ran at the crash runs again, and {twice} did");
        let steps = app.list_steps(&key).await.unwrap();
        assert_eq!(steps.len(), 6, "each operation is recorded once: {steps:?}");
        app.shutdown().await;
        if !faulted {
            assert!(at > 5, "the flow has at least five commits, and all of them were tried");
            return;
        }
    }
}

async fn a_crash_before_any_commit_gives_the_same_result(database: &TestDatabase) {
    run_with_faults(database, FaultMode::Before).await;
}

async fn a_crash_after_any_commit_gives_the_same_result(database: &TestDatabase) {
    run_with_faults(database, FaultMode::After).await;
}

async fn losing_the_answer_of_any_commit_gives_the_same_result(database: &TestDatabase) {
    run_with_faults(database, FaultMode::LostAnswer).await;
}

#[workflow]
async fn publishes_three() -> Result<()> {
    for number in 1..=3_u32 {
        durable::set_event("event", &number).await?;
        durable::write_stream("items", &number).await?;
        noted("published", "a step, so that it is durable").await;
    }
    durable::close_stream("items").await
}

/// A batch is committed and its answer is lost, and the database is away for all attempts that follow at once: then its
/// entries are tried one by one.
async fn a_batch_without_an_answer_that_is_divided_publishes_everything_once(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    for at in 1.. {
        let away = [(at, FaultMode::LostAnswer), (at + 1, FaultMode::Unreachable), (at + 2, FaultMode::Unreachable)];
        let plan = FaultPlan { faults: BTreeMap::from(away), ..FaultPlan::default() };
        let faulty = Arc::new(FaultyStore::over(&inner, plan));
        let app = database.builder("divided").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let ids: Vec<String> = (0..8).map(|number| fresh(&format!("divided {number}"))).collect();
        let runs: Vec<_> = ids.iter().map(|id| app.spawn_scoped(publishes_three().id(id))).collect();
        for run in runs {
            run.await.unwrap().unwrap();
        }
        for id in &ids {
            let values: Vec<u32> =
                app.event_history(id, "event").await.unwrap().into_iter().map(|it| it.value).collect();
            assert_eq!(values, [1, 2, 3], "the answer of commit {at} was lost");
            let (mut reader, mut items) = (app.read_stream::<u32>(id, "items"), Vec::new());
            while let Some(item) = reader.next().await {
                items.push(item.unwrap());
            }
            assert_eq!(items, [1, 2, 3], "the answer of commit {at} was lost");
        }
        let reached = faulty.was_reached();
        app.shutdown().await;
        if !reached {
            break;
        }
    }
    inner.close().await;
}
