//! Parts of a queue, each with its own order and limits.

use std::time::Duration;

use durable_core::store::{ClaimRequest, Fence, NewWorkflow, QueuePlacement, RunRow, Store, StoredLimits};

use super::super::line::{
    all_enqueued, claim, declare_queues, delayed, ended, enqueued, mail, of_key, partitioned, placed, rate, request,
    taken,
};
use super::super::make::{adopting, cancel, fence_out, finish, register_executor, success};
use super::super::site::Site;

async fn fill(store: &dyn Store, fence: Fence, keys: &[(&str, usize)]) {
    let ids = keys.iter().flat_map(|(key, number)| (0..*number).map(move |it| (*key, it)));
    let all: Vec<_> = ids.map(|(key, it)| placed(&format!("{key}-{it}"), of_key(key))).collect();
    all_enqueued(store, fence, &all).await;
}

async fn end_all(store: &dyn Store, fence: Fence, runs: &[RunRow]) {
    for run in runs {
        ended(store, fence, run).await;
    }
}

pub(crate) async fn one_at_a_time_and_in_order_for_each_key(Site { store, .. }: Site) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    declare_queues(&*store, partitioned()).await;
    fill(&*store, me, &[("a", 3), ("b", 1), ("c", 2)]).await;
    enqueued(&*store, me, "a-urgent", QueuePlacement { priority: -1, ..of_key("a") }).await;
    let runs = claim(&*store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-urgent", "b-0", "c-0"], "in the queue's order");
    assert_eq!(taken(&*store, other, 9).await, [""; 0]);
    end_all(&*store, me, &runs[..2]).await;
    let next = claim(&*store, other, 9).await.runs;
    assert_eq!(next.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-0"]);
    store.return_claims(other, &[next[0].key]).await.unwrap();
    assert_eq!(taken(&*store, me, 9).await, ["a-0"]);
    fence_out(&*store, me).await;
    store.take_over(&adopting(other, 9)).await.unwrap();
    assert_eq!(taken(&*store, other, 9).await, ["a-0", "c-0"], "after a crash the same ones again");
}

pub(crate) async fn keys_take_turns(Site { store, .. }: Site) {
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
            enqueued(&*store, me, "d-0", of_key("d")).await;
        }
    }
    // The late key stands in line since it came: behind those who have waited longer for their turn.
    assert_eq!(order, ["a-0", "b-0", "c-0", "a-1", "b-1", "c-1", "a-2", "d-0", "b-2", "a-3"]);
}

pub(crate) async fn a_long_line_starves_nobody(Site { store, .. }: Site) {
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
    assert!((3..=5).contains(&greedy), "it had its turns like everybody: {ran:?}");
}

pub(crate) async fn a_key_that_comes_and_goes_does_not_starve_who_waits(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(1), ..partitioned() }).await;
    fill(&*store, me, &[("patient", 3)]).await;
    let mut ran = Vec::new();
    for number in 0..6 {
        // A new key each time, and one that is always there again.
        enqueued(&*store, me, &format!("new-{number}"), of_key(&format!("new-{number}"))).await;
        enqueued(&*store, me, &format!("busy-{number}"), of_key("busy")).await;
        let runs = claim(&*store, me, 9).await.runs;
        ran.extend(runs.iter().map(|it| it.id.to_string()));
        end_all(&*store, me, &runs).await;
    }
    assert!(ran.iter().filter(|it| it.starts_with("patient")).count() >= 2, "{ran:?}");
}

pub(crate) async fn an_unknown_name_holds_its_key_and_no_other(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { partition_concurrency: Some(3), ..partitioned() }).await;
    let first = placed("a-0", of_key("a"));
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..placed("a-foreign", of_key("a")) };
    all_enqueued(&*store, me, &[first, foreign, placed("a-1", of_key("a"))]).await;
    fill(&*store, me, &[("b", 2)]).await;
    let mut runs = claim(&*store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-0", "b-0", "b-1"]);
    end_all(&*store, me, &runs).await;
    assert_eq!(taken(&*store, me, 9).await, [""; 0], "it is not jumped over");
    let both = ClaimRequest { known: vec!["checkout".to_owned(), "foreign".to_owned()], ..request(me, 9) };
    runs = store.claim(&both).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["a-foreign", "a-1"]);
}

pub(crate) async fn what_is_delayed_or_parked_holds_nobody_up(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, partitioned()).await;
    let late = QueuePlacement { partition: Some("a".to_owned()), ..delayed(Duration::from_hours(1)) };
    enqueued(&*store, me, "late", late).await;
    fill(&*store, me, &[("a", 3)]).await;
    let run = claim(&*store, me, 9).await.runs.remove(0);
    assert_eq!(&*run.id, "a-0");
    let park = durable_core::store::Finish {
        status: durable_core::Status::Parked,
        outcome: None,
        reason: Some("for a person".to_owned()),
        ..success(run.key, "1")
    };
    super::super::make::commit(&*store, me, finish(park)).await;
    cancel(&*store, "a-1", "by hand").await;
    assert_eq!(taken(&*store, me, 9).await, ["a-2"]);
}

pub(crate) async fn no_key_is_a_key(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, partitioned()).await;
    all_enqueued(&*store, me, &[placed("one", mail()), placed("two", of_key("")), placed("three", mail())]).await;
    for id in ["one", "two", "three"] {
        let runs = claim(&*store, me, 9).await.runs;
        assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), [id]);
        end_all(&*store, me, &runs).await;
    }
}

pub(crate) async fn as_many_run_of_a_key_as_may(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    // The limit of partitions says that there are some.
    declare_queues(
        &*store,
        StoredLimits { partition_concurrency: Some(2), concurrency: Some(5), ..StoredLimits::default() },
    )
    .await;
    fill(&*store, me, &[("a", 4), ("b", 4), ("c", 4)]).await;
    let runs = claim(&*store, me, 9).await.runs;
    let ids: Vec<_> = runs.iter().map(|it| &*it.id).collect();
    assert_eq!(ids, ["a-0", "a-1", "b-0", "b-1", "c-0"], "one each, and then the next round");
    ended(&*store, me, &runs[1]).await;
    assert_eq!(taken(&*store, me, 9).await, ["c-1"], "it has waited longest");
    ended(&*store, me, &runs[0]).await;
    ended(&*store, me, &runs[2]).await;
    assert_eq!(taken(&*store, me, 9).await, ["a-2", "b-2"]);
}

pub(crate) async fn each_key_has_a_window_of_its_own(Site { store, .. }: Site) {
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
    let began = store.show("a-0").await.unwrap().expect("it ran").started_at.expect("it ran").timestamp_micros();
    assert_eq!((full.runs.len(), full.next_at), (0, Some(began + 3_600_000_000)));
    enqueued(&*store, me, "c-0", of_key("c")).await;
    let third = claim(&*store, me, 9).await;
    assert_eq!((third.runs.len(), third.next_at), (1, full.next_at));
    store.return_claims(me, &[third.runs[0].key]).await.unwrap();
    assert_eq!(taken(&*store, me, 9).await, ["c-0"]);
}

pub(crate) async fn both_windows_count(Site { store, .. }: Site) {
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
    let wait = u64::try_from(next - store.now().await.unwrap()).unwrap_or(0);
    assert!(wait <= 150_000);
    tokio::time::sleep(Duration::from_micros(wait)).await;
    let second = claim(&*store, me, 9).await;
    assert_eq!(second.runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["d-0"]);
    assert!(second.next_at.expect("now those of the keys are") > next + 3_000_000_000);
}
