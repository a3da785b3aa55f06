//! Listing workflows and steps, and cancelling by hand.

use durable_core::store::{NewWorkflow, Outcome, Position, Store};
use durable_core::{Filter, Status};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, cancel, child, commit, ends, finish, output, record, register_executor, start_running, status, store_record,
    success, workflow,
};

pub(crate) async fn cancelling_returns_the_previous_status(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    assert_eq!(cancel(&*store, "w", "no longer wanted").await, Some(Status::Pending));
    let info = store.show("w").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.reason.as_deref()), (Status::Cancelled, Some("no longer wanted")));
    assert!(info.completed_at.is_some());
    assert_eq!(cancel(&*store, "w", "again").await, Some(Status::Cancelled));
    assert_eq!(store.show("w").await.unwrap().expect("it was begun").reason.as_deref(), Some("no longer wanted"));
    assert_eq!(cancel(&*store, "missing", "why").await, None);
}

pub(crate) async fn an_ended_workflow_is_not_cancelled(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    commit(&*store, me, finish(success(run, "1"))).await;
    assert_eq!(cancel(&*store, "w", "too late").await, Some(Status::Success));
    let info = store.show("w").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.reason), (Status::Success, None));
}

async fn ids(store: &dyn Store, filter: &Filter) -> Vec<String> {
    store.list(filter).await.unwrap().into_iter().map(|it| it.id).collect()
}

pub(crate) async fn a_listing_can_be_filtered(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for id in ["a-1", "a-2", "b-1"] {
        start_running(&*store, me, id).await;
    }
    let other = NewWorkflow { name: "refund".to_owned(), ..workflow("b-2") };
    commit(&*store, me, begin(&other)).await;
    cancel(&*store, "a-1", "by hand").await;
    commit(&*store, me, finish(success(other.key, "1"))).await;

    assert_eq!(ids(&*store, &Filter::new()).await, ["a-1", "a-2", "b-1", "b-2"]);
    assert_eq!(ids(&*store, &Filter::new().status(Status::Pending)).await, ["a-2", "b-1"]);
    let two = Filter::new().status(Status::Cancelled).status(Status::Success);
    assert_eq!(ids(&*store, &two).await, ["a-1", "b-2"]);
    assert_eq!(ids(&*store, &Filter::new().name("refund")).await, ["b-2"]);
    assert_eq!(ids(&*store, &Filter::new().id_prefix("a-")).await, ["a-1", "a-2"]);
    assert_eq!(ids(&*store, &Filter::new().id_prefix("a-").status(Status::Pending)).await, ["a-2"]);
    assert_eq!(ids(&*store, &Filter::new().name("'; drop table workflows; --")).await, [""; 0]);
}

pub(crate) async fn wildcards_in_an_id_prefix_are_literal(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for id in ["100%-a", "100x-b", "A_c", "abc", "ż-1"] {
        start_running(&*store, me, id).await;
    }
    assert_eq!(ids(&*store, &Filter::new().id_prefix("100%")).await, ["100%-a"]);
    assert_eq!(ids(&*store, &Filter::new().id_prefix("A_")).await, ["A_c"]);
    assert_eq!(ids(&*store, &Filter::new().id_prefix("%")).await, [""; 0]);
    assert_eq!(ids(&*store, &Filter::new().id_prefix("ż")).await, ["ż-1"]);
    assert_eq!(ids(&*store, &Filter::new().id_prefix("")).await.len(), 5);
}

pub(crate) async fn a_listing_can_be_limited_and_reversed(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let begins: Vec<_> = (0..120).map(|number| begin(&workflow(&format!("w-{number:03}")))).collect();
    store.commit(me, &begins, false).await.unwrap();
    assert_eq!(ids(&*store, &Filter::new()).await.len(), 100);
    assert_eq!(ids(&*store, &Filter::new().limit(2)).await, ["w-000", "w-001"]);
    assert_eq!(ids(&*store, &Filter::new().limit(2).newest_first()).await, ["w-119", "w-118"]);
    assert_eq!(ids(&*store, &Filter::new().limit(u32::MAX)).await.len(), 120);
    assert_eq!(ids(&*store, &Filter::new().limit(0)).await.len(), 0);
}

pub(crate) async fn steps_are_listed_in_position_order(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    for (branch, number) in [("", 10), ("3/2", 1), ("", 3), ("3", 10), ("3", 2), ("", 1)] {
        let mut it = record(run, number, "1");
        it.position = Position::new(branch, number);
        store_record(&*store, me, it).await;
    }
    let mut failed = record(run, 11, "");
    (failed.outcome, failed.attempts) = (Some(Outcome::Error("{}".to_owned())), 4);
    failed.ran_for = std::time::Duration::from_secs(2);
    store_record(&*store, me, failed).await;

    let steps = store.steps("w").await.unwrap();
    let positions: Vec<_> = steps.iter().map(|it| it.position.to_string()).collect();
    assert_eq!(positions, ["1", "3", "3/2", "3/2/1", "3/10", "10", "11"]);
    let last = &steps[6];
    assert_eq!((&*last.kind, &*last.name, last.attempts), ("step", "step_11", 4));
    assert_eq!((last.output.as_deref(), last.error.as_deref()), (None, Some("{}")));
    assert_eq!((last.completed_at - last.started_at).num_milliseconds(), 2_000);
    assert!(store.steps("missing").await.unwrap().is_empty());

    let positions = store.positions("w").await.unwrap();
    assert_eq!(
        positions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["1", "3", "3/2", "3/2/1", "3/10", "10", "11"]
    );
    assert!(store.positions("missing").await.unwrap().is_empty());
    let wanted = [positions[6].clone(), positions[2].clone(), Position::new("", 2), positions[4].clone()];
    assert_eq!(store.steps_at("w", &wanted).await.unwrap(), [&steps[2], &steps[4], &steps[6]].map(Clone::clone));
    assert!(store.steps_at("missing", &wanted).await.unwrap().is_empty());
    assert!(store.steps_at("w", &[]).await.unwrap().is_empty());
}

pub(crate) async fn a_listing_shows_parent_and_executor(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "w").await;
    commit(&*store, me, child(parent, 1, &workflow("w-1"))).await;
    let info = store.show("w-1").await.unwrap().expect("it was begun");
    assert_eq!((info.parent.as_deref(), info.executor.as_deref(), info.queue), (Some("w"), Some("a"), None));
    assert_eq!(store.steps("w").await.unwrap()[0].child.as_deref(), Some("w-1"));
    assert!(store.show("missing").await.unwrap().is_none());
}

pub(crate) async fn ended_workflows_are_found_by_id(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    start_running(&*store, me, "v").await;
    start_running(&*store, me, "u").await;
    commit(&*store, me, finish(success(run, "[1]"))).await;
    cancel(&*store, "v", "by hand").await;
    let ids_to_find = ["u", "v", "w", "missing"].map(str::to_owned);
    let mut ended = ends(&*store, &ids_to_find).await;
    ended.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(ended.len(), 2);
    assert_eq!((ended[0].status, ended[0].reason.as_deref()), (Status::Cancelled, Some("by hand")));
    assert_eq!((ended[1].status, &ended[1].outcome), (Status::Success, &output("[1]")));
    assert!(ends(&*store, &[]).await.is_empty());
    assert_eq!(status(&*store, "u").await, Some(Status::Pending));
}
