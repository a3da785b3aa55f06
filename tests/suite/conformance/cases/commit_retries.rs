//! Repeating a commit that got no reply.

use durable_core::Status;
use durable_core::store::{Entry, Fence, Store, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, child, close, commit, ending, event, finish, history, inbox, item, message, once, outcomes, output, publish,
    read_stream, receiving, record, records, register_executor, send, sending, start_running, status, store_record,
    success, waiting_message, workflow,
};

/// One entry of every shape, each about workflows of its own.
async fn every_shape(store: &dyn Store, me: Fence, run: &str) -> Vec<Entry> {
    let mut keys = Vec::new();
    for number in 0..8 {
        keys.push(start_running(store, me, &format!("{run}-parent-{number}")).await);
    }
    let to = format!("{run}-parent-7");
    commit(store, me, send(message(&format!("{run}-parent-5"), "waits"))).await;
    let waits = waiting_message(store, keys[5], "").await.expect("it waits");
    vec![
        begin(&workflow(&format!("{run}-begin"))),
        records([record(keys[0], 1, "1")]),
        finish(success(keys[1], "1")),
        ending([record(keys[2], 1, "1"), record(keys[2], 2, "2")], success(keys[2], "1")),
        child(keys[3], 1, &workflow(&format!("{run}-child"))),
        records([record(keys[4], 1, "1"), record(keys[4], 2, "2")]),
        send(message(&to, "lone")),
        send(once(&to, "key", "once")),
        sending(record(keys[5], 1, "1"), message(&to, "with a record")),
        receiving(record(keys[5], 2, "1"), waits.key),
        publish([event(keys[5], "e", "lone")]),
        publish([item(keys[5], "s", "lone")]),
        Entry {
            publications: vec![event(keys[5], "e", "more"), item(keys[5], "s", "more")],
            ..records([record(keys[5], 3, "1")])
        },
        Entry {
            messages: vec![message(&to, "with a child")],
            ..child(keys[5], 4, &workflow(&format!("{run}-other-child")))
        },
        Entry {
            messages: vec![message(&to, "last")],
            publications: vec![event(keys[6], "e", "last"), close(keys[6], "s")],
            ..ending([record(keys[6], 1, "1")], success(keys[6], "1"))
        },
    ]
}

/// Checks that messages, events and items of a run are stored once and in order.
async fn check_stored_rows(store: &dyn Store, me: Fence, run: &str) {
    let to = store.find(&format!("{run}-parent-7")).await.unwrap().expect("it was begun");
    assert_eq!(inbox(store, me, to.key).await, ["lone", "once", "with a record", "with a child", "last"], "{run}");
    let (five, six) = (format!("{run}-parent-5"), format!("{run}-parent-6"));
    assert_eq!(history(store, &five, "e").await, ["lone", "more"], "{run}");
    assert_eq!(read_stream(store, &five, "s").await, ["lone", "more"].map(|it| Some(it.to_owned())), "{run}");
    assert_eq!(history(store, &six, "e").await, ["last"], "{run}");
    assert_eq!(read_stream(store, &six, "s").await, [None], "{run}");
    let five = store.find(&five).await.unwrap().expect("it was begun");
    assert_eq!(waiting_message(store, five.key, "").await, None, "{run}: it was received");
}

pub(crate) async fn a_retried_commit_finds_its_own_rows_stored(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let all = every_shape(&*store, me, "batch").await;
    let stored = vec![Verdict::Stored; all.len()];
    for again in [false, true, true] {
        assert_eq!(store.commit(me, &all, again).await.unwrap(), stored);
    }
    check_stored_rows(&*store, me, "batch").await;
    // Also when the receivers have ended since.
    let to = store.find("batch-parent-7").await.unwrap().expect("it was begun");
    commit(&*store, me, finish(success(to.key, "1"))).await;
    assert_eq!(store.commit(me, &all, true).await.unwrap(), stored);
    for entry in every_shape(&*store, me, "lone").await {
        for again in [false, true] {
            assert_eq!(
                store.commit(me, std::slice::from_ref(&entry), again).await.unwrap(),
                [Verdict::Stored],
                "{entry:?}"
            );
        }
    }
    check_stored_rows(&*store, me, "lone").await;
}

pub(crate) async fn a_retried_commit_stores_what_is_missing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let all = every_shape(&*store, me, "batch").await;
    assert_eq!(store.commit(me, &all, true).await.unwrap(), vec![Verdict::Stored; all.len()]);
    assert_eq!(status(&*store, "batch-begin").await, Some(Status::Pending));
    assert_eq!(status(&*store, "batch-child").await, Some(Status::Pending));
    assert_eq!(status(&*store, "batch-parent-1").await, Some(Status::Success));
    assert_eq!(status(&*store, "batch-parent-2").await, Some(Status::Success));
    check_stored_rows(&*store, me, "batch").await;
    for entry in every_shape(&*store, me, "lone").await {
        assert_eq!(store.commit(me, std::slice::from_ref(&entry), true).await.unwrap(), [Verdict::Stored], "{entry:?}");
    }
    check_stored_rows(&*store, me, "lone").await;
}

pub(crate) async fn a_retried_commit_completes_a_partial_one(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    store_record(&*store, me, record(run, 1, "1")).await;
    let entry = ending([record(run, 1, "1"), record(run, 2, "2")], success(run, "1"));
    assert_eq!(store.commit(me, &[entry], true).await.unwrap(), [Verdict::Stored]);
    assert_eq!(outcomes(&*store, run).await, [(1, output("1")), (2, output("2"))]);
    assert_eq!(status(&*store, "w").await, Some(Status::Success));
}

pub(crate) async fn a_retried_commit_does_not_match_rows_of_another_writer(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    store_record(&*store, me, record(run, 1, "1")).await;
    let mut of_child = child(run, 2, &workflow("w-2"));
    store.commit(me, &[of_child.clone()], false).await.unwrap();
    of_child.start = Some(workflow("w-2").into());
    of_child.records[0].child = Some("w-9".to_owned());

    let entries = [records([record(run, 1, "2")]), begin(&workflow("w")), of_child, finish(success(run, "1"))];
    let verdicts = store.commit(me, &entries, true).await.unwrap();
    assert_eq!(verdicts[0], Verdict::Superseded);
    assert!(matches!(&verdicts[1], Verdict::Existing(held) if held.key == run));
    assert_eq!(verdicts[2], Verdict::Superseded);
    assert_eq!(verdicts[3], Verdict::Stored);
    let verdicts = store.commit(me, &[finish(success(run, "2"))], true).await.unwrap();
    assert_eq!(verdicts, [Verdict::Superseded]);
}
