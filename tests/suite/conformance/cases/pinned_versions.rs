//! Callers that run the workflows of one version only: claims, takeovers, and what is counted.

use durable_core::Status;
use durable_core::store::{
    ClaimRequest, KnownCode, KnownWorkflow, NewWorkflow, StoredLimits, TakeoverRequest, WorkQuery,
};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    declare_queues, end_run, enqueue_together, on_queue, queued_workflow, request, with_concurrency, with_partition,
};
use crate::support::store_rows::{
    begin, commit, fence_out, record, records, register_executor, start_running, status, takeover_request, workflow,
};

fn of_version(version: &str, new: NewWorkflow) -> NewWorkflow {
    NewWorkflow { version: Some(version.to_owned()), ..new }
}

fn pinned_to(version: &str) -> Vec<KnownWorkflow> {
    vec![KnownWorkflow { name: format!("checkout\n{version}"), max_recoveries: 2 }]
}

pub(crate) async fn a_claim_of_one_version_leaves_the_others_in_the_queue(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for (round, (limits, keyed)) in
        [(StoredLimits::default(), false), (with_concurrency(9), false), (StoredLimits::default(), true)]
            .into_iter()
            .enumerate()
    {
        let placement = |number: usize| if keyed { with_partition(&format!("key {number}")) } else { on_queue() };
        declare_queues(&*store, limits).await;
        let new = |number: usize, version| {
            of_version(version, queued_workflow(&format!("w-{round}-{number}"), placement(number)))
        };
        enqueue_together(&*store, me, &[new(1, "v1"), new(2, "v2"), new(3, "v1")]).await;
        let known = pinned_to("v2").into_iter().map(|it| it.name).collect();
        let runs = store.claim(&ClaimRequest { known, ..request(me, 9) }).await.unwrap().runs;
        assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), [format!("w-{round}-2")]);
        let others = store.claim(&request(me, 9)).await.unwrap().runs;
        assert_eq!(others.len(), 2, "a caller without a version takes all");
        for run in runs.iter().chain(&others) {
            end_run(&*store, me, run).await;
        }
    }
}

pub(crate) async fn a_workflow_of_another_version_holds_up_those_of_its_partition_key(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let new = |id, version, key| of_version(version, queued_workflow(id, with_partition(key)));
    enqueue_together(&*store, me, &[new("first", "v1", "a"), new("second", "v2", "a"), new("other", "v2", "b")]).await;
    let known = pinned_to("v2").into_iter().map(|it| it.name).collect();
    let runs = store.claim(&ClaimRequest { known, ..request(me, 9) }).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["other"]);
}

pub(crate) async fn a_takeover_of_one_version_leaves_the_others_and_counts_them(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let (dead, heir) = (register_executor(&*store, "dead").await, register_executor(&*store, "heir").await);
    for (id, version) in [("old", "v1"), ("new", "v2")] {
        commit(&*store, dead, begin(&of_version(version, workflow(id)))).await;
    }
    fence_out(&*store, dead).await;
    let known = pinned_to("v2");
    assert_eq!(store.count_unknown(&known).await.unwrap(), [("checkout".to_owned(), 1)]);
    let request = TakeoverRequest { known: known.clone(), ..takeover_request(heir, 10) };
    let runs = store.take_over(&request).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["new"]);
    assert_eq!(runs[0].recoveries, 1);
    assert_eq!(status(&*store, "old").await, Some(Status::Pending));
    let query = WorkQuery { executor: heir.executor, queues: Vec::new(), delayed: true, known };
    assert!(!store.work_left(&query).await.unwrap().released, "nothing is left that this caller could run");
    let all = store.take_over(&takeover_request(heir, 10)).await.unwrap().runs;
    assert_eq!(all.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["old"]);
}

pub(crate) async fn versions_are_counted_by_status_with_their_living_executors(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let dead = register_executor(&*store, "dead").await;
    fence_out(&*store, dead).await;
    start_running(&*store, me, "direct").await;
    let new = |id, version| of_version(version, queued_workflow(id, on_queue()));
    enqueue_together(&*store, me, &[new("one", "v1"), new("two", "v2"), new("three", "v2")]).await;
    let found = store.versions().await.unwrap();
    let counts: Vec<_> = found
        .iter()
        .map(|it| (it.version.as_deref().unwrap_or_default(), it.pending, it.enqueued, it.delayed, it.executors))
        .collect();
    assert_eq!(counts, [("v1", 1, 1, 0, 1), ("v2", 0, 2, 0, 0)]);
    assert!(found.iter().all(|it| it.oldest.is_some()), "{found:?}");
}

pub(crate) async fn workflows_whose_code_may_have_changed_are_found_if_they_have_records(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "recorded").await;
    commit(&*store, me, records(vec![record(run, 1, "1")])).await;
    start_running(&*store, me, "fresh").await;
    let changed = async |name, fingerprint: i64, version: &str| {
        let code = [KnownCode { name, fingerprint: fingerprint.into(), version: version.to_owned() }];
        let found = store.changed(&code, 10).await.unwrap();
        found.into_iter().map(|it| (it.id, it.has_changed)).collect::<Vec<_>>()
    };
    let recorded = |has_changed| vec![("recorded".to_owned(), has_changed)];
    assert_eq!(changed("checkout", 8, "v1").await, recorded(true));
    assert_eq!(changed("checkout", -7, "v2").await, recorded(false), "it was started by another version");
    assert_eq!(changed("checkout", -7, "v1").await, [], "it is the code that started it");
    assert_eq!(changed("another", 8, "v1").await, []);
}
