//! Sending a call again whose answer was lost.

use durable_core::Status;
use durable_core::store::{Entry, Fence, Store, Verdict};

use super::super::make::{
    begin, child, ending, finish, outcomes, output, record, recorded, records, running, sign_on, status, success,
    workflow,
};
use super::super::site::Site;

/// One entry of every shape, each about workflows of its own.
async fn every_shape(store: &dyn Store, me: Fence, run: &str) -> Vec<Entry> {
    let mut keys = Vec::new();
    for number in 0..5 {
        keys.push(running(store, me, &format!("{run}-parent-{number}")).await);
    }
    vec![
        begin(&workflow(&format!("{run}-begin"))),
        records([record(keys[0], 1, "1")]),
        finish(success(keys[1], "1")),
        ending([record(keys[2], 1, "1"), record(keys[2], 2, "2")], success(keys[2], "1")),
        child(keys[3], 1, &workflow(&format!("{run}-child"))),
        records([record(keys[4], 1, "1"), record(keys[4], 2, "2")]),
    ]
}

pub(crate) async fn what_was_committed_counts_as_stored(Site { store, .. }: Site) {
    let me = sign_on(&*store, "a").await;
    let all = every_shape(&*store, me, "batch").await;
    let stored = vec![Verdict::Stored; all.len()];
    for again in [false, true, true] {
        assert_eq!(store.commit(me, &all, again).await.unwrap(), stored);
    }
    for entry in every_shape(&*store, me, "lone").await {
        for again in [false, true] {
            assert_eq!(
                store.commit(me, std::slice::from_ref(&entry), again).await.unwrap(),
                [Verdict::Stored],
                "{entry:?}"
            );
        }
    }
}

pub(crate) async fn what_was_never_committed_is_stored_now(Site { store, .. }: Site) {
    let me = sign_on(&*store, "a").await;
    let all = every_shape(&*store, me, "batch").await;
    assert_eq!(store.commit(me, &all, true).await.unwrap(), vec![Verdict::Stored; all.len()]);
    assert_eq!(status(&*store, "batch-begin").await, Some(Status::Pending));
    assert_eq!(status(&*store, "batch-child").await, Some(Status::Pending));
    assert_eq!(status(&*store, "batch-parent-1").await, Some(Status::Success));
    assert_eq!(status(&*store, "batch-parent-2").await, Some(Status::Success));
    for entry in every_shape(&*store, me, "lone").await {
        assert_eq!(store.commit(me, std::slice::from_ref(&entry), true).await.unwrap(), [Verdict::Stored], "{entry:?}");
    }
}

pub(crate) async fn what_was_partly_there_is_completed(Site { store, .. }: Site) {
    let me = sign_on(&*store, "a").await;
    let run = running(&*store, me, "w").await;
    recorded(&*store, me, record(run, 1, "1")).await;
    let entry = ending([record(run, 1, "1"), record(run, 2, "2")], success(run, "1"));
    assert_eq!(store.commit(me, &[entry], true).await.unwrap(), [Verdict::Stored]);
    assert_eq!(outcomes(&*store, run).await, [(1, output("1")), (2, output("2"))]);
    assert_eq!(status(&*store, "w").await, Some(Status::Success));
}

pub(crate) async fn what_somebody_else_wrote_is_not_taken_for_ones_own(Site { store, .. }: Site) {
    let me = sign_on(&*store, "a").await;
    let run = running(&*store, me, "w").await;
    recorded(&*store, me, record(run, 1, "1")).await;
    let mut of_child = child(run, 2, &workflow("w-2"));
    store.commit(me, &[of_child.clone()], false).await.unwrap();
    of_child.begin = Some(workflow("w-2"));
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
