//! The verdict on a single row of a commit.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{Finish, NewRecord, NewWorkflow, Outcome, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, cancel, commit, ending, finish, outcomes, output, record, records, register_executor, start_running, status,
    store_record, success, workflow,
};

pub(crate) async fn a_record_is_stored_once(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;

    assert_eq!(commit(&*store, me, records([record(run, 1, "1")])).await, Verdict::Stored);
    assert_eq!(commit(&*store, me, records([record(run, 1, "2")])).await, Verdict::Superseded);
    let other_name = NewRecord { name: "another".into(), ..record(run, 1, "1") };
    assert_eq!(commit(&*store, me, records([other_name])).await, Verdict::Superseded);

    assert_eq!(outcomes(&*store, run).await, [(1, output("1"))]);
}

pub(crate) async fn an_equal_existing_record_counts_as_stored(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    for mut it in [record(run, 1, "1"), record(run, 2, "2"), record(run, 3, "3")] {
        it.outcome = match it.position.number {
            1 => it.outcome,
            2 => Some(Outcome::Error(r#"{"message":"no"}"#.to_owned())),
            _ => None,
        };
        store_record(&*store, me, it.clone()).await;
        it.attempts = 7; // how long it took to get there makes no difference to the workflow
        store_record(&*store, me, it).await;
    }
    assert_eq!(outcomes(&*store, run).await.len(), 3);
}

pub(crate) async fn a_started_workflow_is_stored_as_given(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let before = store.now().await.unwrap();
    let given = NewWorkflow { name: "invoice".to_owned(), ..workflow("order-1") };
    assert_eq!(commit(&*store, me, begin(&given)).await, Verdict::Stored);

    let held = store.find("order-1").await.unwrap().expect("it was begun");
    assert_eq!((held.key, &*held.id, &*held.name, held.status), (given.key, "order-1", "invoice", Status::Pending));
    let info = store.show("order-1").await.unwrap().expect("it was begun");
    assert_eq!((&info.input, info.version.as_deref()), (&Some(given.input.clone()), Some("v1")));
    assert_eq!((info.attempts, info.recoveries, info.executor.as_deref()), (1, 0, Some("a")));
    assert!(info.created_at >= before.saturating_sub(Duration::from_secs(1)).to_date(), "the clock is the database's");
    assert_eq!(info.started_at, Some(info.created_at));
    assert_eq!((info.completed_at, info.output, info.error, info.reason), (None, None, None, None));
    assert!(store.find("order-2").await.unwrap().is_none());
}

pub(crate) async fn a_second_start_with_an_id_attaches_to_the_first(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let second = NewWorkflow { name: "refund".to_owned(), input: "{}".to_owned(), ..workflow("w") };
    let Verdict::Existing(held) = commit(&*store, me, begin(&second)).await else { panic!("the id is taken") };
    assert_eq!((held.key, &*held.id, &*held.name, held.status), (run, "w", "checkout", Status::Pending));

    commit(&*store, me, finish(success(run, "1"))).await;
    let Verdict::Existing(held) = commit(&*store, me, begin(&second)).await else { panic!("the id is taken") };
    assert_eq!(held.status, Status::Success);
}

pub(crate) async fn a_run_ends_once(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let error = Finish {
        status: Status::Error,
        outcome: Some(Outcome::Error(r#"{"message":"declined"}"#.to_owned())),
        ..success(run, "")
    };
    assert_eq!(commit(&*store, me, finish(error.clone())).await, Verdict::Stored);
    assert_eq!(commit(&*store, me, finish(error)).await, Verdict::Stored, "it is the same end");
    assert_eq!(commit(&*store, me, finish(success(run, "1"))).await, Verdict::Superseded);

    let info = store.show("w").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.output), (Status::Error, None));
    assert_eq!(info.error.as_deref(), Some(r#"{"message":"declined"}"#));
    assert!(info.completed_at >= info.started_at);
    assert_eq!(
        commit(&*store, me, finish(success((-1).into(), "1"))).await,
        Verdict::Superseded,
        "there is no such workflow"
    );
}

pub(crate) async fn an_end_by_another_run_is_superseded(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let earlier = Finish { attempt: 0, ..success(run, "1") };
    assert_eq!(commit(&*store, me, finish(earlier)).await, Verdict::Superseded);
    let other = register_executor(&*store, "b").await;
    assert_eq!(commit(&*store, other, finish(success(run, "1"))).await, Verdict::Superseded, "it is not its own");
    assert_eq!(status(&*store, "w").await, Some(Status::Pending));
}

pub(crate) async fn an_end_of_a_cancelled_workflow_is_superseded(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    assert_eq!(cancel(&*store, "w", "by hand").await, Some(Status::Pending));
    assert_eq!(commit(&*store, me, finish(success(run, "1"))).await, Verdict::Superseded);
    assert_eq!(status(&*store, "w").await, Some(Status::Cancelled));
}

pub(crate) async fn the_last_record_and_the_end_are_one_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let entry = ending([record(run, 1, "1")], success(run, "1"));
    assert_eq!(commit(&*store, me, entry.clone()).await, Verdict::Stored);
    assert_eq!(outcomes(&*store, run).await, [(1, output("1"))]);
    assert_eq!(commit(&*store, me, entry).await, Verdict::Stored, "it is all there");

    let run = start_running(&*store, me, "cancelled").await;
    cancel(&*store, "cancelled", "by hand").await;
    let entry = ending([record(run, 1, "1")], success(run, "1"));
    assert_eq!(commit(&*store, me, entry).await, Verdict::Superseded);
    assert_eq!(outcomes(&*store, run).await, []);

    let run = start_running(&*store, me, "raced").await;
    store_record(&*store, me, record(run, 1, "1")).await;
    let entry = ending([record(run, 1, "another")], success(run, "1"));
    assert_eq!(commit(&*store, me, entry).await, Verdict::Superseded);
    assert_eq!(status(&*store, "raced").await, Some(Status::Pending));
}

pub(crate) async fn a_parked_workflow_has_a_reason_and_no_completion(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let parked = Finish { status: Status::Parked, outcome: None, reason: Some("why".to_owned()), ..success(run, "") };
    assert_eq!(commit(&*store, me, finish(parked.clone())).await, Verdict::Stored);
    let info = store.show("w").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.reason.as_deref(), info.completed_at), (Status::Parked, Some("why"), None));

    let (first, second) = (start_running(&*store, me, "v").await, start_running(&*store, me, "u").await);
    let both = [first, second].map(|workflow| finish(Finish { workflow, ..parked.clone() }));
    assert_eq!(store.commit(me, &both, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(store.show("u").await.unwrap().expect("it was begun").completed_at, None);
}

pub(crate) async fn an_empty_commit_has_no_verdicts(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for again in [false, true] {
        assert_eq!(store.commit(me, &[], again).await.unwrap(), []);
    }
}
