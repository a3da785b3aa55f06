//! How partition keys take turns, where more of them wait than may run.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use durable_core::store::{ClaimRequest, Fence, NewWorkflow, QueuePlacement, Store, StoredLimits};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, claim_ids, declare_queues, end_run, enqueue, enqueue_together, on_queue, partitioned, queued_workflow, rate,
    request, with_concurrency, with_partition,
};
use crate::support::store_rows::register_executor;

/// Enqueues workflows `<key>-<number>`.
async fn fill(store: &dyn Store, me: Fence, keys: impl Iterator<Item = (String, usize)>, placement: &QueuePlacement) {
    let ids = keys.flat_map(|(key, number)| (0..number).map(move |it| (key.clone(), it)));
    let new = |(key, it): (String, usize)| {
        queued_workflow(&format!("{key}-{it}"), QueuePlacement { partition: Some(key), ..placement.clone() })
    };
    enqueue_together(store, me, &ids.map(new).collect::<Vec<_>>()).await;
}

/// Claims, ends what was claimed, and returns the ids.
async fn run_some(store: &dyn Store, me: Fence, most: u32) -> Vec<String> {
    let runs = claim(store, me, most).await.runs;
    for run in &runs {
        end_run(store, me, run).await;
    }
    runs.iter().map(|it| it.id.to_string()).collect()
}

/// The key of a workflow `<key>-<number>`.
fn key_of(id: &str) -> &str {
    id.rsplit_once('-').expect("it has a number").0
}

pub(crate) async fn every_key_is_served_once_in_a_rotation(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, partitioned()).await;
    let keys = (0..30).map(|it| (format!("k{it}"), 4)).chain([("greedy".to_owned(), 200)]);
    fill(&*store, me, keys, &on_queue()).await;
    let mut ran = Vec::new();
    while ran.len() < 4 * 31 {
        // Of the last claim of a rotation some belong to the next one.
        ran.extend(run_some(&*store, me, 1).await);
    }
    for (rotation, ran) in ran.chunks(31).enumerate() {
        let served: HashSet<_> = ran.iter().map(|it| key_of(it)).collect();
        assert_eq!(served.len(), 31, "rotation {rotation}: {ran:?}");
        assert!(ran.iter().all(|it| it.ends_with(&format!("-{rotation}"))), "in the order of the key: {ran:?}");
    }
}

pub(crate) async fn a_rotation_goes_on_where_the_last_claim_stopped(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(7), ..partitioned() }).await;
    fill(&*store, me, (0..21).map(|it| (format!("k{it}"), 3)), &on_queue()).await;
    let mut counts = BTreeMap::<String, usize>::new();
    for claims in 1_usize..=9 {
        let ran = run_some(&*store, me, 100).await;
        assert_eq!(ran.len(), 7, "{ran:?}");
        for id in ran {
            *counts.entry(key_of(&id).to_owned()).or_default() += 1;
        }
        let (served, most) = (counts.len(), counts.values().max().copied().unwrap_or_default());
        assert_eq!((served, most), ((7 * claims).min(21), claims.div_ceil(3)), "after {claims} claims: {counts:?}");
    }
}

pub(crate) async fn new_keys_do_not_keep_an_old_one_waiting(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(1), ..partitioned() }).await;
    // In the order of their names the new keys are all before one of these, and behind the other.
    for key in ["zz-patient", "0-patient"] {
        enqueue(&*store, me, &format!("{key}-0"), with_partition(key)).await;
    }
    let mut missing = 2;
    for number in 1000..1060 {
        enqueue(&*store, me, &format!("order {number}-0"), with_partition(&format!("order {number}"))).await;
        let ran = run_some(&*store, me, 1).await;
        missing -= ran.iter().filter(|it| it.contains("patient")).count();
        if missing == 0 {
            return;
        }
    }
    panic!("{missing} keys waited for 60 new ones");
}

pub(crate) async fn more_urgent_workflows_go_first_whatever_their_key(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, StoredLimits { concurrency: Some(1), ..partitioned() }).await;
    let with = |priority| QueuePlacement { priority, ..on_queue() };
    fill(&*store, me, (0..12).map(|it| (format!("k{it}"), 2)), &with(0)).await;
    let mut ran = Vec::new();
    for round in 0..12 {
        // Always the same key: its turns are not those of the others.
        let urgent = QueuePlacement { priority: -5, ..with_partition("k7") };
        enqueue(&*store, me, &format!("urgent {round}"), urgent).await;
        assert_eq!(run_some(&*store, me, 9).await, [format!("urgent {round}")]);
        ran.extend(run_some(&*store, me, 9).await);
    }
    let served: HashSet<_> = ran.iter().map(|it| key_of(it)).collect();
    assert_eq!(served.len(), 12, "each key once: {ran:?}");
}

pub(crate) async fn keys_whose_workflows_all_have_other_priorities_run_by_priority(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    const KEYS: usize = 6;
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, partitioned()).await;
    // Priorities from 0 on, each once, and each key with two of three in one half.
    let number = 60 * KEYS;
    let all: Vec<_> = (0..number)
        .map(|it| {
            let key = if it % 3 == 0 { it % KEYS } else { (it / 90) % KEYS };
            let priority = i32::try_from(it).expect("they are few");
            queued_workflow(&format!("k{key}-{it}"), QueuePlacement { priority, ..with_partition(&format!("k{key}")) })
        })
        .collect();
    enqueue_together(&*store, me, &all).await;
    let mut waiting: Vec<String> = all.iter().map(|it| it.id.clone()).collect();
    let mut running = Vec::new();
    while !waiting.is_empty() {
        // The first workflow of each key that does not run, by priority.
        let runs = claim(&*store, me, 2).await.runs;
        let ids: Vec<_> = runs.iter().map(|it| it.id.to_string()).collect();
        let mut expected: Vec<String> = Vec::new();
        for id in &waiting {
            let mut taken =
                running.iter().map(|it: &durable_core::store::RunRow| &*it.id).chain(expected.iter().map(|it| &**it));
            if expected.len() < 2 && !taken.any(|it| key_of(it) == key_of(id)) {
                expected.push(id.clone());
            }
        }
        assert_eq!(ids, expected);
        waiting.retain(|it| !ids.contains(it));
        running.extend(runs);
        // Of those that run, all but two keys go on.
        while running.len() > 2 || (!running.is_empty() && ids.is_empty()) {
            end_run(&*store, me, &running.remove(0)).await;
        }
    }
}

pub(crate) async fn workflows_without_a_key_take_turns_with_the_keys(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, with_concurrency(1)).await;
    let free: Vec<_> = (0..8).map(|it| queued_workflow(&format!("free-{it}"), on_queue())).collect();
    enqueue_together(&*store, me, &free).await;
    fill(&*store, me, (0..4).map(|it| (format!("k{it}"), 2)), &on_queue()).await;
    let mut ran = Vec::new();
    for _ in 0..16 {
        ran.extend(run_some(&*store, me, 9).await);
    }
    for (number, pair) in ran.chunks(2).enumerate() {
        assert!(pair[0].starts_with('k') && pair[1] == format!("free-{number}"), "{ran:?}");
    }
}

pub(crate) async fn keys_at_their_limits_are_passed_over(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let limits = StoredLimits {
        partition_concurrency: Some(2),
        partition_rate_limit: Some(rate(3, Duration::from_hours(1))),
        ..partitioned()
    };
    declare_queues(&*store, limits).await;
    fill(&*store, me, (0..60).map(|it| (format!("k{it}"), 5)), &on_queue()).await;
    let first = claim(&*store, me, 1_000).await.runs;
    assert_eq!(first.len(), 120, "two of each");
    assert_eq!(claim_ids(&*store, me, 1_000).await, [""; 0]);
    for run in first.iter().filter(|it| it.id.starts_with("k3") || it.id.starts_with("k41-")) {
        end_run(&*store, me, run).await;
    }
    let second = claim(&*store, me, 1_000).await.runs;
    let keys: HashSet<_> = second.iter().map(|it| key_of(&it.id).to_owned()).collect();
    assert_eq!((second.len(), keys.len()), (12, 12), "their windows have room for one more");
    assert!(keys.iter().all(|it| it.starts_with("k3") || it == "k41"));
    for run in &second {
        end_run(&*store, me, run).await;
    }
    // The windows of those keys are full, and the others run as many as they may.
    let third = claim(&*store, me, 1_000).await;
    assert_eq!(third.runs.len(), 0);
    let next = third.next_at.expect("some wait for their windows alone");
    let now = store.now().await.unwrap();
    assert!(next > now.saturating_add(Duration::from_mins(30)) && next <= now.saturating_add(Duration::from_hours(1)));
    enqueue(&*store, me, "late-0", with_partition("late")).await;
    assert_eq!(claim_ids(&*store, me, 1_000).await, ["late-0"], "a new key is not held up");
}

pub(crate) async fn workflows_behind_many_unknown_ones_are_claimed_in_their_order(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let queues = [
        None,
        Some(StoredLimits::default()),
        Some(with_concurrency(300)),
        Some(StoredLimits { partition_concurrency: Some(1), ..StoredLimits::default() }),
    ];
    let named = |name: &str, version: &str, id: &str, placement| NewWorkflow {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        ..queued_workflow(id, placement)
    };
    let foreign: Vec<_> = (0..400)
        .map(|it| {
            let (name, version) = [("foreign", "v1"), ("checkout", "old"), ("zebra", "v1")][it % 3];
            named(name, version, &format!("foreign-{it}"), on_queue())
        })
        .collect();
    enqueue_together(&*store, me, &foreign).await;
    let known = vec!["checkout\nnew".to_owned(), "parcel".to_owned(), "unused".to_owned()];
    for (round, limits) in queues.into_iter().enumerate() {
        if let Some(limits) = limits {
            declare_queues(&*store, limits).await;
        }
        let keyed = round == 3;
        let mine: Vec<_> = (0..40)
            .map(|it| {
                let (name, version) = [("checkout", "new"), ("parcel", "any")][it % 2];
                named(name, version, &format!("mine-{round}-{it}"), on_queue())
            })
            .collect();
        enqueue_together(&*store, me, &mine).await;
        if keyed {
            enqueue_together(&*store, me, &[named("parcel", "v1", "keyed", with_partition("a"))]).await;
        }
        let mut claimed = Vec::new();
        for most in [1, 9, 100] {
            let request = ClaimRequest { known: known.clone(), ..request(me, most) };
            let runs = store.claim(&request).await.unwrap().runs;
            for run in &runs {
                end_run(&*store, me, run).await;
            }
            claimed.extend(runs.iter().map(|it| it.id.to_string()).filter(|it| it != "keyed"));
        }
        assert_eq!(claimed, (0..40).map(|it| format!("mine-{round}-{it}")).collect::<Vec<_>>(), "{limits:?}");
        let nothing = ClaimRequest { known: known.clone(), ..request(me, 100) };
        assert_eq!(store.claim(&nothing).await.unwrap().runs.len(), 0);
    }
    let all =
        ClaimRequest { known: ["checkout", "foreign", "zebra"].map(str::to_owned).to_vec(), ..request(me, 1_000) };
    let runs = store.claim(&all).await.unwrap().runs;
    let ids: Vec<_> = runs.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(ids, (0..400).map(|it| format!("foreign-{it}")).collect::<Vec<_>>());
}

pub(crate) async fn a_claim_behind_many_unknown_workflows_keeps_the_limits(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, with_concurrency(5)).await;
    let foreign: Vec<_> = (0..400)
        .map(|it| NewWorkflow { name: "foreign".to_owned(), ..queued_workflow(&format!("foreign-{it}"), on_queue()) })
        .collect();
    // Some in front of the unknown ones, and some behind them.
    let mine = |from: usize, to: usize| -> Vec<_> {
        (from..to).map(|it| queued_workflow(&format!("mine-{it}"), on_queue())).collect()
    };
    enqueue_together(&*store, me, &mine(0, 2)).await;
    enqueue_together(&*store, me, &foreign).await;
    enqueue_together(&*store, me, &mine(2, 12)).await;
    let runs = claim(&*store, me, 9).await.runs;
    assert_eq!(
        runs.iter().map(|it| it.id.to_string()).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4].map(|it| format!("mine-{it}"))
    );
    assert_eq!(claim_ids(&*store, me, 9).await, [""; 0]);
    end_run(&*store, me, &runs[0]).await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["mine-5"]);
    declare_queues(&*store, StoredLimits::default()).await;
    assert_eq!(claim_ids(&*store, me, 3).await, ["mine-6", "mine-7", "mine-8"]);
}
