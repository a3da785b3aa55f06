//! Cancelling a workflow, and its descendants.

use std::collections::BTreeMap;
use std::time::Duration;

use durable_core::store::{
    CancelledRun, CancelledWorkflows, ExecutorKey, Finish, PollRequest, ReleaseRequest, Verdict,
};
use durable_core::{Filter, Status};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    child, commit, finish, record, records, register_executor, start_running, status, success, workflow,
};

fn stopped(id: &str, executor: Option<ExecutorKey>) -> CancelledRun {
    CancelledRun { id: id.to_owned(), name: "checkout".to_owned(), queue: None, executor }
}

fn before(id: &str, status: Status) -> BTreeMap<String, Status> {
    BTreeMap::from([(id.to_owned(), status)])
}

pub(crate) async fn cancelling_children_reaches_all_unfinished_descendants(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "a").await, register_executor(&*store, "b").await);
    // w > (child > grandchild), (ended > below), (parked); the grandchild runs elsewhere.
    let root = start_running(&*store, me, "w").await;
    let (inner, ended, parked) = (workflow("child"), workflow("ended"), workflow("parked"));
    for (number, it) in (1..).zip([&inner, &ended, &parked]) {
        commit(&*store, me, child(root, number, it)).await;
    }
    commit(&*store, other, child(inner.key, 1, &workflow("grandchild"))).await;
    commit(&*store, me, child(ended.key, 1, &workflow("below"))).await;
    commit(&*store, me, finish(success(ended.key, "1"))).await;
    commit(&*store, me, finish(Finish { status: Status::Parked, outcome: None, ..success(parked.key, "") })).await;
    start_running(&*store, me, "apart").await;

    let since = store.now().await.unwrap().saturating_sub(Duration::from_secs(1));
    let mut done = store.cancel(&["w".to_owned()], "enough", true).await.unwrap();
    done.runs.sort_by(|a, b| a.id.cmp(&b.id));
    let (mine, others) = (Some(me.executor), Some(other.executor));
    let expected = [
        stopped("below", mine),
        stopped("child", mine),
        stopped("grandchild", others),
        stopped("parked", None),
        stopped("w", mine),
    ];
    assert_eq!(done, CancelledWorkflows { before: before("w", Status::Pending), runs: expected.to_vec() });
    for it in &expected {
        let info = store.show(&it.id).await.unwrap().expect("it was begun");
        assert_eq!((info.status, info.reason.as_deref()), (Status::Cancelled, Some("enough")), "{}", it.id);
        assert!(info.completed_at.expect("it is at its end") >= since.to_date());
    }
    assert_eq!(status(&*store, "ended").await, Some(Status::Success));
    assert_eq!(status(&*store, "apart").await, Some(Status::Pending));

    let wanted = PollRequest { cancelled: Some((other.executor, since)), ..PollRequest::default() };
    assert_eq!(store.poll(&wanted).await.unwrap().cancelled.len(), 1, "a cancelled row keeps its executor");
    let again = store.cancel(&["w".to_owned()], "more than enough", true).await.unwrap();
    assert_eq!(again, CancelledWorkflows { before: before("w", Status::Cancelled), runs: Vec::new() });
    assert_eq!(commit(&*store, me, records([record(inner.key, 9, "1")])).await, Verdict::Stored);
}

pub(crate) async fn cancelling_a_parent_leaves_its_children_running(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let root = start_running(&*store, me, "w").await;
    commit(&*store, me, child(root, 1, &workflow("child"))).await;
    let done = store.cancel(&["w".to_owned()], "enough", false).await.unwrap();
    assert_eq!(
        done,
        CancelledWorkflows { before: before("w", Status::Pending), runs: vec![stopped("w", Some(me.executor))] }
    );
    assert_eq!(status(&*store, "child").await, Some(Status::Pending));
    let done = store.cancel(&["w".to_owned()], "and the others", true).await.unwrap();
    assert_eq!(done.runs, [stopped("child", Some(me.executor))], "the walk goes on below what has ended");
    assert_eq!(done.before, before("w", Status::Cancelled));
    assert_eq!(store.cancel(&["missing".to_owned()], "why", true).await.unwrap(), CancelledWorkflows::default());
}

pub(crate) async fn several_workflows_are_cancelled_in_one_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let root = start_running(&*store, me, "w").await;
    commit(&*store, me, child(root, 1, &workflow("child"))).await;
    commit(&*store, me, child(root, 2, &workflow("other child"))).await;
    let ended = start_running(&*store, me, "ended").await;
    commit(&*store, me, finish(success(ended, "1"))).await;
    start_running(&*store, me, "apart").await;

    let counts = store.statement_counts();
    // One of them is a descendant of another one.
    let ids = ["w", "ended", "child", "missing"].map(str::to_owned);
    let done = store.cancel(&ids, "enough", true).await.unwrap();
    assert_eq!((store.statement_counts() - counts).commits, 1);
    let expected = [("w", Status::Pending), ("ended", Status::Success), ("child", Status::Pending)];
    assert_eq!(done.before, expected.into_iter().map(|(id, status)| (id.to_owned(), status)).collect());
    let mut cancelled: Vec<_> = done.runs.iter().map(|it| it.id.as_str()).collect();
    cancelled.sort_unstable();
    assert_eq!(cancelled, ["child", "other child", "w"]);
    assert_eq!(status(&*store, "apart").await, Some(Status::Pending));
}

pub(crate) async fn cancelling_a_workflow_without_an_owner_names_no_executor(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap();
    let done = store.cancel(&["w".to_owned()], "enough", false).await.unwrap();
    assert_eq!(done.runs, [stopped("w", None)]);
}

pub(crate) async fn children_that_are_being_started_are_cancelled_or_refused(database: StoreDatabase) {
    let store = database.store;
    let (me, other) = (register_executor(&*store, "a").await, register_executor(&*store, "b").await);
    for round in 0..10 {
        let ids = ["x", "y", "z"].map(|it| format!("{it}-{round}"));
        let mut parents = Vec::new();
        for id in &ids {
            parents.push(start_running(&*store, me, id).await);
        }
        // Two executors start children of the same parents, in batches, until they are refused.
        let starting = [me, other].map(|fence| {
            let (store, parents) = (std::sync::Arc::clone(&store), parents.clone());
            tokio::spawn(async move {
                for number in 1.. {
                    let name = |parent: usize| format!("{parent}-{round}-{number}-{}", fence.executor);
                    let number = 2 * number + i32::from(fence == other);
                    let entries: Vec<_> = parents
                        .iter()
                        .enumerate()
                        .map(|(index, parent)| child(*parent, number, &workflow(&name(index))))
                        .collect();
                    match store.commit(fence, &entries, false).await {
                        Ok(verdicts) if verdicts.iter().all(|it| *it == Verdict::Superseded) => return,
                        Ok(_) => {}
                        Err(error) => assert!(error.is_temporary(), "{error}"),
                    }
                }
            })
        });
        for id in &ids {
            store.cancel(std::slice::from_ref(id), "enough", true).await.unwrap();
        }
        for it in starting {
            it.await.unwrap();
        }
        let living = Filter::new().status(Status::Pending).limit(10_000);
        assert_eq!(store.list(&living).await.unwrap().len(), 0, "children live that nothing will cancel");
    }
}
