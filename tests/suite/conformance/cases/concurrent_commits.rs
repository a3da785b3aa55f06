//! Concurrent commits and takeovers.

use std::sync::Arc;
use std::time::Duration;

use durable_core::store::{Entry, Fence, Verdict, WorkflowKey};
use tokio::sync::Barrier;

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, child, ending, event, fence_out, finish, item, message, once, outcomes, publish, receiving, record, records,
    register_executor, send, sending, start_running, success, takeover_request, waiting_message, workflow,
};

pub(crate) async fn a_takeover_waits_for_a_commit_in_flight(database: StoreDatabase) {
    let dead = register_executor(&*database.store, "dead").await;
    start_running(&*database.store, dead, "w").await;
    let mut flush = database.direct_connection().await;
    if database.is_postgres() {
        flush.execute("begin").await;
        flush.execute("select 1 from durable.executors for key share").await;
    } else {
        flush.execute("begin immediate").await;
    }
    flush.execute("insert into durable.steps (workflow, branch, position, kind, name, attempts, started_at, completed_at) select key, '', 1, 'step', 'last', 1, 0, 0 from durable.workflows").await;
    let store = database.store.clone();
    let takeover = tokio::spawn(async move { store.fence_out(dead.executor, dead.epoch).await });
    tokio::time::sleep(Duration::from_millis(200)).await; // the other one waits for the lock, and nothing may happen in it
    assert!(!takeover.is_finished(), "the flush may still commit");
    flush.execute("commit").await;
    assert!(takeover.await.expect("it does not panic").unwrap());

    // The next owner finds what the commit wrote.
    let heir = register_executor(&*database.store, "heir").await;
    let runs = database.store.take_over(&takeover_request(heir, 10)).await.unwrap().runs;
    assert_eq!(outcomes(&*database.store, runs[0].key).await.len(), 1);
}

pub(crate) async fn a_commit_during_a_takeover_waits_and_writes_nothing(database: StoreDatabase) {
    let store = &*database.store;
    let shapes: [fn(WorkflowKey) -> Vec<Entry>; 12] = [
        |_| vec![begin(&workflow("new"))],
        |run| vec![records([record(run, 1, "1")])],
        |run| vec![finish(success(run, "1"))],
        |run| vec![ending([record(run, 1, "1")], success(run, "1"))],
        |run| vec![child(run, 1, &workflow("new"))],
        |run| vec![records([record(run, 1, "1"), record(run, 2, "2")])],
        |run| vec![begin(&workflow("new")), records([record(run, 1, "1")]), finish(success(run, "1"))],
        |_| vec![send(message("w-0", "1"))],
        |run| vec![sending(record(run, 1, "1"), message("w-0", "1"))],
        |run| vec![publish([event(run, "e", "1")])],
        |run| vec![publish([item(run, "s", "1")]), publish([event(run, "e", "1")]), send(message("w-0", "1"))],
        |run| vec![receiving(record(run, 1, "1"), 1.into())],
    ];
    for (number, shape) in (0..).zip(shapes) {
        let dead = register_executor(store, "dead").await;
        let run = start_running(store, dead, &format!("w-{number}")).await;
        let mut takeover = database.direct_connection().await;
        takeover.execute(if database.is_postgres() { "begin" } else { "begin immediate" }).await;
        if database.is_postgres() {
            takeover.execute("select 1 from durable.executors for update").await;
        }
        takeover.execute("update durable.executors set epoch = epoch + 1, state = 'DEAD'").await;
        let flush = tokio::spawn({
            let store = database.store.clone();
            async move { store.commit(dead, &shape(run), false).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await; // the other one waits for the lock, and nothing may happen in it
        assert!(!flush.is_finished(), "shape {number}: the takeover is not committed yet");
        takeover.execute("commit").await;
        let verdicts = flush.await.expect("it does not panic").unwrap();
        assert!(verdicts.iter().all(|it| *it == Verdict::Fenced), "shape {number}: {verdicts:?}");
        assert_eq!(outcomes(store, run).await, [], "shape {number}");
    }
    assert!(store.find("new").await.unwrap().is_none());
    let mut direct = database.direct_connection().await;
    for table in ["messages", "events", "streams"] {
        assert_eq!(direct.number(&format!("select count(*) from durable.{table}")).await, 0, "{table}");
    }
}

pub(crate) async fn two_executors_take_over_different_workflows(database: StoreDatabase) {
    let dead = register_executor(&*database.store, "dead").await;
    let begins: Vec<_> = (0..200).map(|number| begin(&workflow(&format!("w-{number}")))).collect();
    database.store.commit(dead, &begins, false).await.unwrap();
    fence_out(&*database.store, dead).await;

    let mut adopters = Vec::new();
    for name in ["a", "b"] {
        let store = database.second().await;
        let fence = register_executor(&*store, name).await;
        adopters.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            loop {
                let runs = store.take_over(&takeover_request(fence, 7)).await.unwrap().runs;
                if runs.is_empty() {
                    store.close().await;
                    return keys;
                }
                keys.extend(runs.into_iter().map(|it| it.key));
            }
        }));
    }
    let mut keys = Vec::new();
    for adopter in adopters {
        keys.extend(adopter.await.expect("it does not panic"));
    }
    // An executor that finds the remaining rows locked by the other one stops, and the other one takes them over.
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 200);
}

/// Commits starts of the same ids, over and over, and returns how many were stored.
async fn begin_all(database: StoreDatabase, fence: Fence, start: Arc<Barrier>, backwards: bool) -> usize {
    let store = database.second().await;
    let mut stored = 0;
    for round in 0..ROUNDS {
        let mut begins: Vec<_> = (0..IDS).map(|number| begin(&workflow(&format!("w-{round}-{number}")))).collect();
        if backwards {
            begins.reverse();
        }
        start.wait().await;
        for verdict in store.commit(fence, &begins, false).await.unwrap() {
            match verdict {
                Verdict::Stored => stored += 1,
                Verdict::Existing(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    store.close().await;
    stored
}

const ROUNDS: usize = 8;
const IDS: usize = 300;

pub(crate) async fn two_executors_starting_the_same_ids_start_each_once(database: StoreDatabase) {
    let (a, b) = (register_executor(&*database.store, "a").await, register_executor(&*database.store, "b").await);
    let start = Arc::new(Barrier::new(2));
    let first = tokio::spawn(begin_all(database.clone(), a, start.clone(), false));
    let second = tokio::spawn(begin_all(database.clone(), b, start, true));
    let stored = first.await.expect("it does not panic") + second.await.expect("it does not panic");
    assert_eq!(stored, ROUNDS * IDS);
    let all = database.store.list(&durable_core::Filter::new().limit(10_000)).await.unwrap();
    assert_eq!(all.len(), ROUNDS * IDS);
}

/// Sends messages with the same idempotency keys, over and over.
async fn send_all(database: StoreDatabase, fence: Fence, start: Arc<Barrier>, backwards: bool) {
    let store = database.second().await;
    for round in 0..ROUNDS {
        let key = |number| format!("{round}-{number}");
        let mut all: Vec<_> = (0..IDS).map(|number| send(once("w", &key(number), &key(number)))).collect();
        if backwards {
            all.reverse();
        }
        start.wait().await;
        assert_eq!(store.commit(fence, &all, false).await.unwrap(), vec![Verdict::Stored; IDS]);
    }
    store.close().await;
}

pub(crate) async fn two_senders_with_the_same_idempotency_keys_deliver_once(database: StoreDatabase) {
    let (a, b) = (register_executor(&*database.store, "a").await, register_executor(&*database.store, "b").await);
    let run = start_running(&*database.store, a, "w").await;
    let start = Arc::new(Barrier::new(2));
    let first = tokio::spawn(send_all(database.clone(), a, start.clone(), false));
    let second = tokio::spawn(send_all(database.clone(), b, start, true));
    first.await.expect("it does not panic");
    second.await.expect("it does not panic");
    let stored = database.direct_connection().await.number("select count(*) from durable.messages").await;
    assert_eq!(usize::try_from(stored), Ok(ROUNDS * IDS));
    assert_eq!(waiting_message(&*database.store, run, "").await.map(|it| it.payload.starts_with("0-")), Some(true));
}

pub(crate) async fn cancelling_a_tree_races_with_its_workflows_ending(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    for round in 0..10 {
        let root = start_running(&*database.store, me, &format!("w-{round}")).await;
        let all: Vec<_> = (0..50).map(|number| workflow(&format!("w-{round}-{number}"))).collect();
        let begins: Vec<_> = all.iter().zip(0..).map(|(it, number)| child(root, number, it)).collect();
        database.store.commit(me, &begins, false).await.unwrap();
        let ends: Vec<_> = all.iter().rev().map(|it| finish(success(it.key, "1"))).collect();
        let store = database.second().await;
        let ending = tokio::spawn(async move {
            let verdicts = store.commit(me, &ends, false).await.unwrap();
            store.close().await;
            verdicts.into_iter().filter(|it| *it == Verdict::Stored).count()
        });
        let id = format!("w-{round}");
        let stopped = database.store.cancel(&[id], "enough", true).await.unwrap().runs;
        let ended = ending.await.expect("it does not panic");
        assert_eq!(ended + stopped.len(), 51, "each of them has one end");
    }
}

pub(crate) async fn of_two_records_for_one_position_one_is_stored(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let run = start_running(&*database.store, me, "w").await;
    let mut calls = Vec::new();
    for text in ["1", "2"] {
        let store = database.second().await;
        calls.push(tokio::spawn(async move {
            let mut stored = 0;
            for number in 1..=50 {
                let verdicts = store.commit(me, &[records([record(run, number, text)])], false).await.unwrap();
                stored += usize::from(verdicts == [Verdict::Stored]);
            }
            store.close().await;
            stored
        }));
    }
    let mut stored = 0;
    for call in calls {
        stored += call.await.expect("it does not panic");
    }
    assert_eq!(stored, 50);
    assert_eq!(outcomes(&*database.store, run).await.len(), 50);
}
