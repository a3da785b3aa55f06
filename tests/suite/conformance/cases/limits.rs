//! The limits of a queue over the whole fleet.

use std::time::Duration;

use durable_core::store::{Fence, QueueChange, Store, StoredLimits};

use super::super::line::{
    MAIL, all_enqueued, at_once, claim, declare_queues, ended, enqueued, mail, placed, rated, taken, urgent,
};
use super::super::make::{adopting, cancel, fence_out, register_executor};
use super::super::site::Site;

async fn fill(store: &dyn Store, fence: Fence, number: usize) {
    let all: Vec<_> = (0..number).map(|it| placed(&format!("w-{it}"), mail())).collect();
    all_enqueued(store, fence, &all).await;
}

/// When the runs of this queue began, in order.
async fn starts(store: &dyn Store) -> Vec<i64> {
    let all = store.list(&durable_core::Filter::new().limit(10_000)).await.unwrap();
    let mut starts: Vec<i64> = all.iter().filter_map(|it| Some(it.started_at?.timestamp_micros())).collect();
    starts.sort_unstable();
    starts
}

pub(crate) async fn no_more_run_at_once_than_may(Site { store, .. }: Site) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    declare_queues(&*store, at_once(3)).await;
    fill(&*store, me, 9).await;
    enqueued(&*store, me, "urgent", urgent(-1)).await;
    let first = claim(&*store, me, 2).await;
    assert_eq!(first.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["urgent", "w-0"]);
    assert_eq!((first.limits, first.paused, first.next_at), (at_once(3), false, None));
    assert_eq!(taken(&*store, other, 9).await, ["w-1"]);
    assert_eq!(taken(&*store, me, 9).await, [""; 0]);
    ended(&*store, me, &first.runs[0]).await;
    assert_eq!(taken(&*store, other, 9).await, ["w-2"]);
    store.return_claims(me, &[first.runs[1].key]).await.unwrap();
    assert_eq!(taken(&*store, other, 9).await, ["w-0"], "what was given back has made room");
    cancel(&*store, "w-1", "by hand").await;
    assert_eq!(taken(&*store, me, 9).await, ["w-3"]);
    assert!(store.change_queue(MAIL, QueueChange::Limits(at_once(5))).await.unwrap());
    assert_eq!(taken(&*store, me, 9).await, ["w-4", "w-5"]);
    assert!(store.change_queue(MAIL, QueueChange::Limits(at_once(1))).await.unwrap());
    assert_eq!(taken(&*store, me, 9).await, [""; 0], "more run than may now");
}

pub(crate) async fn the_slots_of_the_dead_come_back(Site { store, .. }: Site) {
    let (me, dead) = (register_executor(&*store, "me").await, register_executor(&*store, "dead").await);
    declare_queues(&*store, at_once(2)).await;
    fill(&*store, me, 3).await;
    assert_eq!(taken(&*store, dead, 9).await.len(), 2);
    fence_out(&*store, dead).await;
    assert_eq!(taken(&*store, me, 9).await, [""; 0], "nobody knows yet what becomes of them");
    assert_eq!(store.take_over(&adopting(me, 9)).await.unwrap().requeued, [MAIL]);
    assert_eq!(taken(&*store, me, 9).await, ["w-0", "w-1"]);
}

pub(crate) async fn no_more_begin_in_a_window_than_may(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let period = Duration::from_millis(250);
    declare_queues(&*store, rated(3, period)).await;
    fill(&*store, me, 10).await;
    let mut left = 10;
    while left > 0 {
        let claimed = claim(&*store, me, 2).await;
        left -= claimed.runs.len();
        for run in &claimed.runs {
            ended(&*store, me, run).await;
        }
        if let Some(next) = claimed.next_at {
            let now = store.now().await.unwrap();
            assert!(claimed.runs.len() < 2 && next <= now + 250_000, "{next} {now}");
            tokio::time::sleep(Duration::from_micros(u64::try_from(next - now).unwrap_or(0))).await;
        } else {
            assert!(claimed.runs.len() == 2 || left == 0, "the window is the one thing in the way");
        }
    }
    let starts = starts(&*store).await;
    assert_eq!(starts.len(), 10);
    assert!(starts.windows(4).all(|it| it[3] - it[0] >= 250_000), "{starts:?}");
    assert!(starts[9] - starts[0] < 5_000_000, "and the window is used");
}

pub(crate) async fn a_window_counts_whatever_began_in_it(Site { store, .. }: Site) {
    let (me, dead) = (register_executor(&*store, "me").await, register_executor(&*store, "dead").await);
    declare_queues(&*store, rated(4, Duration::from_hours(1))).await;
    fill(&*store, me, 9).await;
    let first = claim(&*store, me, 2).await;
    assert_eq!(first.next_at, None);
    ended(&*store, me, &first.runs[0]).await;
    cancel(&*store, &first.runs[1].id, "by hand").await;
    assert_eq!(taken(&*store, dead, 1).await, ["w-2"]);
    fence_out(&*store, dead).await;
    store.take_over(&adopting(me, 9)).await.unwrap();
    let last = claim(&*store, me, 9).await;
    assert_eq!(last.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["w-2"], "again, and counted again");
    let began = starts(&*store).await[0];
    assert_eq!(last.next_at, Some(began + 3_600_000_000), "when the first start leaves the window");
    let full = claim(&*store, me, 9).await;
    assert_eq!((full.runs.len(), full.next_at), (0, last.next_at));
    store.return_claims(me, &[last.runs[0].key]).await.unwrap();
    assert_eq!(taken(&*store, me, 9).await, ["w-2"], "what was given back is not counted");
}

pub(crate) async fn a_window_is_in_the_way_only_if_something_waits_and_has_room(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(2), ..rated(2, Duration::from_hours(1)) }).await;
    assert_eq!(claim(&*store, me, 9).await.next_at, None, "nothing waits");
    fill(&*store, me, 2).await;
    let both = claim(&*store, me, 9).await;
    assert_eq!((both.runs.len(), both.next_at), (2, None), "nothing more waits");
    enqueued(&*store, me, "next", mail()).await;
    assert_eq!(claim(&*store, me, 9).await.next_at, None, "two run at once");
    ended(&*store, me, &both.runs[0]).await;
    assert!(claim(&*store, me, 9).await.next_at.is_some());
    let foreign = super::super::line::request(me, 9);
    let foreign = durable_core::store::ClaimRequest { known: vec!["foreign".to_owned()], ..foreign };
    assert_eq!(store.claim(&foreign).await.unwrap().next_at, None, "it cannot run what waits");
    store.change_queue(MAIL, QueueChange::Pause).await.unwrap();
    assert_eq!(claim(&*store, me, 9).await.next_at, None, "it is paused");
}

pub(crate) async fn a_limit_of_none_lets_nobody_through(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    fill(&*store, me, 1).await;
    for limits in [at_once(0), rated(0, Duration::from_secs(1))] {
        declare_queues(&*store, limits).await;
        let claimed = claim(&*store, me, 9).await;
        assert_eq!((claimed.runs.len(), claimed.next_at), (0, None));
    }
    let no_key = StoredLimits { partition_concurrency: Some(0), ..StoredLimits::default() };
    declare_queues(&*store, no_key).await;
    assert_eq!(taken(&*store, me, 9).await, [""; 0]);
}
