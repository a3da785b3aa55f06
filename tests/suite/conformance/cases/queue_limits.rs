//! Limits of a queue over the whole fleet.

use std::time::Duration;

use durable_core::store::{Fence, QueueChange, Store, StoredLimits, Timestamp};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    QUEUE, claim, claim_ids, declare_queues, end_run, enqueue, enqueue_together, on_queue, queued_workflow,
    with_concurrency, with_partition, with_priority, with_rate_limit,
};
use crate::support::store_rows::{cancel, fence_out, register_executor, takeover_request};

async fn fill(store: &dyn Store, fence: Fence, number: usize) {
    let all: Vec<_> = (0..number).map(|it| queued_workflow(&format!("w-{it}"), on_queue())).collect();
    enqueue_together(store, fence, &all).await;
}

/// When the runs of this queue began, in order.
async fn starts(store: &dyn Store) -> Vec<Timestamp> {
    let all = store.list(&durable_core::Filter::new().limit(10_000)).await.unwrap();
    let mut starts: Vec<_> = all.iter().filter_map(|it| it.started_at.map(Timestamp::from_date)).collect();
    starts.sort_unstable();
    starts
}

pub(crate) async fn the_concurrency_is_never_exceeded(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    declare_queues(&*store, with_concurrency(3)).await;
    fill(&*store, me, 9).await;
    enqueue(&*store, me, "urgent", with_priority(-1)).await;
    let first = claim(&*store, me, 2).await;
    assert_eq!(first.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["urgent", "w-0"]);
    assert_eq!((first.limits, first.paused, first.next_at), (with_concurrency(3), false, None));
    assert_eq!(claim_ids(&*store, other, 9).await, ["w-1"]);
    assert_eq!(claim_ids(&*store, me, 9).await, [""; 0]);
    end_run(&*store, me, &first.runs[0]).await;
    assert_eq!(claim_ids(&*store, other, 9).await, ["w-2"]);
    store.return_claims(me, &[first.runs[1].key]).await.unwrap();
    assert_eq!(claim_ids(&*store, other, 9).await, ["w-0"], "what was given back has made room");
    cancel(&*store, "w-1", "by hand").await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["w-3"]);
    assert!(store.change_queue(QUEUE, QueueChange::Limits(with_concurrency(5))).await.unwrap());
    assert_eq!(claim_ids(&*store, me, 9).await, ["w-4", "w-5"]);
    assert!(store.change_queue(QUEUE, QueueChange::Limits(with_concurrency(1))).await.unwrap());
    assert_eq!(claim_ids(&*store, me, 9).await, [""; 0], "more run than may now");
}

pub(crate) async fn slots_of_a_dead_executor_become_free(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, dead) = (register_executor(&*store, "me").await, register_executor(&*store, "dead").await);
    declare_queues(&*store, with_concurrency(2)).await;
    fill(&*store, me, 3).await;
    assert_eq!(claim_ids(&*store, dead, 9).await.len(), 2);
    fence_out(&*store, dead).await;
    assert_eq!(claim_ids(&*store, me, 9).await, [""; 0], "they are not taken over yet");
    assert_eq!(store.take_over(&takeover_request(me, 9)).await.unwrap().requeued, [QUEUE]);
    assert_eq!(claim_ids(&*store, me, 9).await, ["w-0", "w-1"]);
}

pub(crate) async fn the_rate_limit_is_not_exceeded_in_any_window(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let period = Duration::from_millis(250);
    declare_queues(&*store, with_rate_limit(3, period)).await;
    fill(&*store, me, 10).await;
    let mut left = 10;
    while left > 0 {
        let claimed = claim(&*store, me, 2).await;
        left -= claimed.runs.len();
        for run in &claimed.runs {
            end_run(&*store, me, run).await;
        }
        if let Some(next) = claimed.next_at {
            let now = store.now().await.unwrap();
            assert!(claimed.runs.len() < 2 && next <= now.saturating_add(period), "{next:?} {now:?}");
            tokio::time::sleep(next.saturating_duration_since(now)).await; // until the window ends
        } else {
            assert!(claimed.runs.len() == 2 || left == 0, "the window is the one thing in the way");
        }
    }
    let starts = starts(&*store).await;
    assert_eq!(starts.len(), 10);
    assert!(starts.windows(4).all(|it| it[3].saturating_duration_since(it[0]) >= period), "{starts:?}");
    assert!(starts[9].saturating_duration_since(starts[0]) < Duration::from_secs(5), "and the window is used");
}

pub(crate) async fn a_rate_limit_counts_every_start_in_its_window(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, dead) = (register_executor(&*store, "me").await, register_executor(&*store, "dead").await);
    declare_queues(&*store, with_rate_limit(4, Duration::from_hours(1))).await;
    fill(&*store, me, 9).await;
    let first = claim(&*store, me, 2).await;
    assert_eq!(first.next_at, None);
    end_run(&*store, me, &first.runs[0]).await;
    cancel(&*store, &first.runs[1].id, "by hand").await;
    assert_eq!(claim_ids(&*store, dead, 1).await, ["w-2"]);
    fence_out(&*store, dead).await;
    store.take_over(&takeover_request(me, 9)).await.unwrap();
    let last = claim(&*store, me, 9).await;
    assert_eq!(last.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["w-2"], "again, and counted again");
    let began = starts(&*store).await[0];
    assert_eq!(
        last.next_at,
        Some(began.saturating_add(Duration::from_hours(1))),
        "when the first start leaves the window"
    );
    let full = claim(&*store, me, 9).await;
    assert_eq!((full.runs.len(), full.next_at), (0, last.next_at));
    store.return_claims(me, &[last.runs[0].key]).await.unwrap();
    assert_eq!(claim_ids(&*store, me, 9).await, ["w-2"], "what was given back is not counted");
}

pub(crate) async fn a_rate_limit_reports_its_next_start_only_if_it_is_what_blocks(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(2), ..with_rate_limit(2, Duration::from_hours(1)) }).await;
    assert_eq!(claim(&*store, me, 9).await.next_at, None, "nothing waits");
    fill(&*store, me, 2).await;
    let both = claim(&*store, me, 9).await;
    assert_eq!((both.runs.len(), both.next_at), (2, None), "nothing more waits");
    enqueue(&*store, me, "next", on_queue()).await;
    assert_eq!(claim(&*store, me, 9).await.next_at, None, "two run at once");
    end_run(&*store, me, &both.runs[0]).await;
    assert!(claim(&*store, me, 9).await.next_at.is_some());
    let foreign = crate::support::store_queues::request(me, 9);
    let foreign = durable_core::store::ClaimRequest { known: vec!["foreign".to_owned()], ..foreign };
    assert_eq!(store.claim(&foreign).await.unwrap().next_at, None, "it cannot run what waits");
    store.change_queue(QUEUE, QueueChange::Pause).await.unwrap();
    assert_eq!(claim(&*store, me, 9).await.next_at, None, "it is paused");
}

pub(crate) async fn a_limit_of_zero_starts_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    fill(&*store, me, 1).await;
    for limits in [with_concurrency(0), with_rate_limit(0, Duration::from_secs(1))] {
        declare_queues(&*store, limits).await;
        let claimed = claim(&*store, me, 9).await;
        assert_eq!((claimed.runs.len(), claimed.next_at), (0, None));
    }
    let no_key = StoredLimits { partition_concurrency: Some(0), ..StoredLimits::default() };
    declare_queues(&*store, no_key).await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["w-0"], "it has no key");
    enqueue(&*store, me, "keyed", with_partition("k")).await;
    assert_eq!(claim_ids(&*store, me, 9).await, [""; 0]);
}
