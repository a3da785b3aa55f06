//! A fenced executor can write nothing.

use durable_core::Status;
use durable_core::store::{Entry, ReleaseRequest, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, child, commit, ending, event, fence_out, finish, history, inbox, item, message, once, outcomes, publish,
    read_stream, receiving, record, records, register_executor, send, sending, start_running, status, success,
    waiting_message, workflow,
};

pub(crate) async fn a_fenced_executor_writes_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    commit(&*store, me, send(once("w", "key", "waits"))).await;
    let waits = waiting_message(&*store, run, "").await.expect("it waits");
    fence_out(&*store, me).await;
    let shapes = [
        vec![begin(&workflow("new"))],
        vec![begin(&workflow("w"))],
        vec![records([record(run, 1, "1")])],
        vec![records([record(run, 1, "1"), record(run, 2, "2")])],
        vec![finish(success(run, "1"))],
        vec![ending([record(run, 1, "1")], success(run, "1"))],
        vec![child(run, 1, &workflow("w-1"))],
        vec![begin(&workflow("new")), records([record(run, 1, "1")]), finish(success(run, "1"))],
        vec![records([record(run, 1, "1")]); 2],
        (1..=70).map(|number| records([record(run, number, "1")])).collect(),
        vec![begin(&workflow("w")), begin(&workflow("w"))],
        vec![send(message("w", "1"))],
        vec![send(message("missing", "1"))],
        vec![send(once("w", "key", "1"))],
        vec![send(message("w", "1")); 2],
        vec![sending(record(run, 1, "1"), message("w", "1"))],
        vec![Entry { received: vec![waits.key], ..Entry::default() }; 2],
        vec![Entry { received: vec![waits.key], ..Entry::default() }],
        vec![receiving(record(run, 1, "1"), waits.key)],
        vec![publish([event(run, "e", "1")])],
        vec![publish([item(run, "s", "1")])],
        vec![publish([event(run, "e", "1"), item(run, "s", "1")]), send(message("w", "1"))],
        vec![Entry { publications: vec![event(run, "e", "1")], ..records([record(run, 1, "1")]) }],
        vec![Entry { messages: vec![message("w", "1")], ..finish(success(run, "1")) }],
        vec![Entry { received: vec![waits.key], ..Entry::default() }, publish([item(run, "s", "1")])],
    ];
    for entries in shapes {
        for again in [false, true] {
            let verdicts = store.commit(me, &entries, again).await.unwrap();
            assert_eq!(verdicts, vec![Verdict::Fenced; entries.len()], "{entries:?}");
        }
    }
    assert_eq!(outcomes(&*store, run).await, []);
    assert_eq!(status(&*store, "w").await, Some(Status::Pending));
    assert_eq!(waiting_message(&*store, run, "").await, Some(waits));
    let heir = register_executor(&*store, "b").await;
    assert_eq!(inbox(&*store, heir, run).await, ["waits"]);
    assert_eq!(history(&*store, "w", "e").await, [""; 0]);
    assert!(read_stream(&*store, "w", "s").await.is_empty());
    assert_eq!((status(&*store, "new").await, status(&*store, "w-1").await), (None, None));
    assert_eq!(
        store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap().direct,
        0,
        "it has nothing to give back"
    );
}

pub(crate) async fn only_one_of_two_takeovers_succeeds(StoreDatabase { store, .. }: StoreDatabase) {
    let dead = register_executor(&*store, "dead").await;
    let two = [store.fence_out(dead.executor, dead.epoch), store.fence_out(dead.executor, dead.epoch)];
    let mut won = 0;
    for call in two {
        won += u32::from(call.await.unwrap());
    }
    assert_eq!(won, 1);
    assert!(
        !store.fence_out(dead.executor, (dead.epoch.get() + 1).into()).await.unwrap(),
        "an executor is fenced only once"
    );
    assert!(!store.fence_out((-1).into(), 1.into()).await.unwrap(), "there is no such executor");
}

pub(crate) async fn a_removed_executor_writes_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    store.remove_executor(me).await.unwrap();
    for again in [false, true] {
        let verdicts = store.commit(me, &[begin(&workflow("w"))], again).await.unwrap();
        assert_eq!(verdicts, [Verdict::Fenced]);
    }
    assert_eq!(status(&*store, "w").await, None);
    assert!(store.executors().await.unwrap().is_empty());
}
