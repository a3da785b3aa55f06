//! Partition keys: order and limits of each.

use std::time::Duration;

use durable_core::store::{ClaimRequest, Fence, NewWorkflow, QueuePlacement, RunRow, Store, StoredLimits, Timestamp};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, claim_ids, declare_queues, end_run, enqueue, enqueue_together, on_queue, partitioned, queued_workflow, rate,
    request, with_concurrency, with_delay, with_partition, with_rate_limit,
};
use crate::support::store_rows::{cancel, fence_out, finish, register_executor, success, takeover_request};

async fn fill(store: &dyn Store, fence: Fence, keys: &[(&str, usize)]) {
    let ids = keys.iter().flat_map(|(key, number)| (0..*number).map(move |it| (*key, it)));
    let all: Vec<_> = ids.map(|(key, it)| queued_workflow(&format!("{key}-{it}"), with_partition(key))).collect();
    enqueue_together(store, fence, &all).await;
}

async fn end_all(store: &dyn Store, fence: Fence, runs: &[RunRow]) {
    for run in runs {
        end_run(store, fence, run).await;
    }
}

pub(crate) async fn a_partition_key_runs_one_at_a_time_and_in_order(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    declare_queues(&*store, partitioned()).await;
    fill(&*store, me, &[("a", 3), ("b", 1), ("c", 2)]).await;
    enqueue(&*store, me, "a-urgent", QueuePlacement { priority: -1, ..with_partition("a") }).await;
    let runs = claim(&*store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-urgent", "b-0", "c-0"], "in the queue's order");
    assert_eq!(claim_ids(&*store, other, 9).await, [""; 0]);
    end_all(&*store, me, &runs[..2]).await;
    let next = claim(&*store, other, 9).await.runs;
    assert_eq!(next.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-0"]);
    store.return_claims(other, &[next[0].key]).await.unwrap();
    assert_eq!(claim_ids(&*store, me, 9).await, ["a-0"]);
    fence_out(&*store, me).await;
    store.take_over(&takeover_request(other, 9)).await.unwrap();
    assert_eq!(claim_ids(&*store, other, 9).await, ["a-0", "c-0"], "after a crash the same ones again");
}

pub(crate) async fn partition_keys_take_turns(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(1), ..partitioned() }).await;
    fill(&*store, me, &[("a", 4), ("b", 3), ("c", 2)]).await;
    let mut order = Vec::new();
    loop {
        let runs = claim(&*store, me, 9).await.runs;
        if runs.is_empty() {
            break;
        }
        order.extend(runs.iter().map(|it| it.id.to_string()));
        end_all(&*store, me, &runs).await;
        if order.len() == 4 {
            enqueue(&*store, me, "d-0", with_partition("d")).await;
        }
    }
    // The late key has its turn in the same rotation.
    assert_eq!(order, ["a-0", "b-0", "c-0", "a-1", "b-1", "c-1", "d-0", "a-2", "b-2", "a-3"]);
}

pub(crate) async fn a_key_with_many_workflows_does_not_starve_the_others(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(2), ..partitioned() }).await;
    let others: Vec<String> = (0..10).map(|it| format!("other-{it}")).collect();
    let mut keys = vec![("greedy", 1_000)];
    keys.extend(others.iter().map(|it| (it.as_str(), 3)));
    fill(&*store, me, &keys).await;
    let mut ran: Vec<String> = Vec::new();
    while ran.iter().filter(|it| it.starts_with("other")).count() < 30 {
        let runs = claim(&*store, me, 9).await.runs;
        assert!(!runs.is_empty());
        ran.extend(runs.iter().map(|it| it.id.to_string()));
        end_all(&*store, me, &runs).await;
    }
    let greedy = ran.iter().filter(|it| it.starts_with("greedy")).count();
    assert!((2..=4).contains(&greedy), "it had its turns like the others: {ran:?}");
}

pub(crate) async fn a_busy_partition_key_does_not_starve_the_others(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(1), ..partitioned() }).await;
    fill(&*store, me, &[("patient", 3)]).await;
    let mut ran = Vec::new();
    for number in 0..40 {
        // A new key each time, and one that is always there again.
        enqueue(&*store, me, &format!("new-{number}"), with_partition(&format!("new-{number}"))).await;
        enqueue(&*store, me, &format!("busy-{number}"), with_partition("busy")).await;
        let runs = claim(&*store, me, 9).await.runs;
        ran.extend(runs.iter().map(|it| it.id.to_string()));
        end_all(&*store, me, &runs).await;
    }
    let rotations: Vec<_> = ran.split(|it| it.starts_with("patient")).collect();
    assert!(rotations.len() > 2, "it ran twice: {ran:?}");
    for rotation in &rotations[..rotations.len() - 1] {
        let mut keys: Vec<_> = rotation.iter().map(|it| if it.starts_with("busy") { "busy" } else { it }).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "no key runs twice while it waits: {ran:?}");
    }
}

pub(crate) async fn a_workflow_unknown_to_the_claimer_blocks_only_its_partition_key(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { partition_concurrency: Some(3), ..partitioned() }).await;
    let first = queued_workflow("a-0", with_partition("a"));
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..queued_workflow("a-foreign", with_partition("a")) };
    enqueue_together(&*store, me, &[first, foreign, queued_workflow("a-1", with_partition("a"))]).await;
    fill(&*store, me, &[("b", 2)]).await;
    let mut runs = claim(&*store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-0", "b-0", "b-1"]);
    end_all(&*store, me, &runs).await;
    assert_eq!(claim_ids(&*store, me, 9).await, [""; 0], "it is not jumped over");
    let both = ClaimRequest { known: vec!["checkout".to_owned(), "foreign".to_owned()], ..request(me, 9) };
    runs = store.claim(&both).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-foreign", "a-1"]);
}

pub(crate) async fn delayed_and_parked_workflows_do_not_block_their_partition_key(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, partitioned()).await;
    let late = QueuePlacement { partition: Some("a".to_owned()), ..with_delay(Duration::from_hours(1)) };
    enqueue(&*store, me, "late", late).await;
    fill(&*store, me, &[("a", 3)]).await;
    let run = claim(&*store, me, 9).await.runs.remove(0);
    assert_eq!(&*run.id, "a-0");
    let park = durable_core::store::Finish {
        status: durable_core::Status::Parked,
        outcome: None,
        reason: Some("for a person".to_owned()),
        ..success(run.key, "1")
    };
    crate::support::store_rows::commit(&*store, me, finish(park)).await;
    cancel(&*store, "a-1", "by hand").await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["a-2"]);
}

pub(crate) async fn a_partition_key_means_order_under_all_limits(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let one_key = StoredLimits { partition_concurrency: Some(1), ..StoredLimits::default() };
    let limited = [
        None, // a queue that no program has declared
        Some(StoredLimits::default()),
        Some(StoredLimits { worker_concurrency: Some(10), ..StoredLimits::default() }),
        Some(with_concurrency(5)),
        Some(with_rate_limit(50, Duration::from_hours(1))),
        Some(one_key),
        Some(partitioned()),
    ];
    for (number, limits) in limited.into_iter().enumerate() {
        if let Some(limits) = limits {
            declare_queues(&*store, limits).await;
        }
        let (a, b) = (format!("{number}a"), format!("{number}b"));
        fill(&*store, me, &[(&a, 2), (&b, 1)]).await;
        enqueue(&*store, me, &format!("{number}-keyless"), on_queue()).await;
        let runs = claim(&*store, me, 4).await.runs;
        let ids: Vec<_> = runs.iter().map(|it| (it.id.to_string(), it.keyed)).collect();
        let expected = [(format!("{a}-0"), true), (format!("{b}-0"), true), (format!("{number}-keyless"), false)];
        assert_eq!(ids, expected, "{limits:?}");
        assert_eq!(claim_ids(&*store, me, 4).await, [""; 0], "{limits:?}");
        end_all(&*store, me, &runs).await;
        let runs = claim(&*store, me, 4).await.runs;
        assert_eq!(runs.iter().map(|it| it.id.to_string()).collect::<Vec<_>>(), [format!("{a}-1")]);
        end_all(&*store, me, &runs).await;
    }
}

pub(crate) async fn workflows_without_a_partition_key_wait_for_no_other(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, partitioned()).await;
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..queued_workflow("foreign", on_queue()) };
    enqueue_together(
        &*store,
        me,
        &[
            foreign,
            queued_workflow("one", on_queue()),
            queued_workflow("keyed", with_partition("a")),
            queued_workflow("two", with_partition("")),
            queued_workflow("three", on_queue()),
        ],
    )
    .await;
    assert_eq!(claim_ids(&*store, me, 3).await, ["one", "keyed", "two"]);
    assert_eq!(claim_ids(&*store, me, 3).await, ["three"]);
}

pub(crate) async fn priorities_hold_between_partition_keys(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for (id, key, priority) in
        [("a-0", "a", 0), ("b-0", "b", 0), ("b-urgent", "b", -1), ("free", "", 0), ("free-urgent", "", -2)]
    {
        enqueue(&*store, me, id, QueuePlacement { priority, ..with_partition(key) }).await;
    }
    for expected in ["free-urgent", "b-urgent", "a-0", "free"] {
        assert_eq!(claim_ids(&*store, me, 1).await, [expected]);
    }
    assert_eq!(claim_ids(&*store, me, 1).await, [""; 0], "b-0 waits for b-urgent");
}

pub(crate) async fn the_concurrency_of_a_partition_key_is_used_and_not_exceeded(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    // The limit of a partition key makes the queue partitioned.
    declare_queues(
        &*store,
        StoredLimits { partition_concurrency: Some(2), concurrency: Some(5), ..StoredLimits::default() },
    )
    .await;
    fill(&*store, me, &[("a", 4), ("b", 4), ("c", 4)]).await;
    let runs = claim(&*store, me, 9).await.runs;
    let ids: Vec<_> = runs.iter().map(|it| &*it.id).collect();
    assert_eq!(ids, ["a-0", "a-1", "b-0", "b-1", "c-0"], "one each, and then the next round");
    end_run(&*store, me, &runs[1]).await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["c-1"], "it has waited longest");
    end_run(&*store, me, &runs[0]).await;
    end_run(&*store, me, &runs[2]).await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["a-2", "b-2"]);
}

pub(crate) async fn each_partition_key_has_its_own_rate_limit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let limits = StoredLimits { partition_rate_limit: Some(rate(2, Duration::from_hours(1))), ..partitioned() };
    declare_queues(&*store, limits).await;
    fill(&*store, me, &[("a", 3), ("b", 2)]).await;
    let first = claim(&*store, me, 9).await;
    assert_eq!((first.runs.len(), first.next_at), (2, None), "one each at a time");
    end_all(&*store, me, &first.runs).await;
    let second = claim(&*store, me, 9).await;
    assert_eq!(second.runs.len(), 2);
    assert_eq!(second.next_at, None, "one runs");
    end_all(&*store, me, &second.runs).await;
    let full = claim(&*store, me, 9).await;
    let began = store.show("a-0").await.unwrap().expect("it ran").started_at.expect("it ran");
    let later = Timestamp::from_date(began).saturating_add(Duration::from_hours(1));
    assert_eq!((full.runs.len(), full.next_at), (0, Some(later)));
    enqueue(&*store, me, "c-0", with_partition("c")).await;
    let third = claim(&*store, me, 9).await;
    assert_eq!((third.runs.len(), third.next_at), (1, full.next_at));
    store.return_claims(me, &[third.runs[0].key]).await.unwrap();
    assert_eq!(claim_ids(&*store, me, 9).await, ["c-0"]);
}

pub(crate) async fn rate_limits_of_queue_and_partition_both_apply(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let limits = StoredLimits {
        rate_limit: Some(rate(3, Duration::from_millis(150))),
        partition_rate_limit: Some(rate(1, Duration::from_hours(1))),
        partition_concurrency: Some(9),
        ..StoredLimits::default()
    };
    declare_queues(&*store, limits).await;
    fill(&*store, me, &[("a", 2), ("b", 2), ("c", 2), ("d", 2)]).await;
    let first = claim(&*store, me, 9).await;
    assert_eq!(first.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-0", "b-0", "c-0"]);
    let next = first.next_at.expect("the window of the queue is in the way");
    let wait = next.saturating_duration_since(store.now().await.unwrap());
    assert!(wait <= Duration::from_millis(150));
    tokio::time::sleep(wait).await; // until the window ends
    let second = claim(&*store, me, 9).await;
    assert_eq!(second.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["d-0"]);
    let later = second.next_at.expect("now those of the keys are");
    assert!(later > next.saturating_add(Duration::from_mins(50)));
}
