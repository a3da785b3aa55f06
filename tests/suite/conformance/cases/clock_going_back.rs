//! A database clock that goes back.

use std::time::Duration;

use durable_core::store::{QueuePlacement, StoredLimits, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, declare_queues, end_run, enqueue, on_queue, rate, with_partition, with_rate_limit,
};
use crate::support::store_rows::{
    commit, event, history, item, publish, read_stream, register_executor, start_running,
};

pub(crate) async fn events_and_items_stay_in_order_when_the_clock_goes_back(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    for (round, again) in [(1, false), (2, false), (3, true)] {
        commit(store, me, publish([item(run, "s", "early"), event(run, "e", "early")])).await;
        let hour = 3_600_000_000_i64 * round;
        let mut clock = database.direct_connection().await;
        clock
            .execute(&format!("update durable.streams set written_at = written_at + {hour} where value = 'early'"))
            .await;
        clock.execute(&format!("update durable.events set set_at = set_at + {hour} where value = 'early'")).await;
        let last = clock.number("select max(set_at) from durable.events").await;
        let lone = [publish([item(run, "s", "late")]), publish([event(run, "e", "late")])];
        let both = [
            publish([item(run, "s", "later"), event(run, "e", "later")]),
            publish([item(run, "s", "last"), event(run, "e", "last")]),
        ];
        for entries in [&lone[..1], &lone[1..], &both] {
            let verdicts = store.commit(me, entries, again).await.unwrap();
            assert_eq!(verdicts, vec![Verdict::Stored; entries.len()]);
        }
        let written = read_stream(store, "w", "s").await;
        assert_eq!(
            written[written.len() - 4..],
            ["early", "late", "later", "last"].map(|it| Some(it.to_owned())),
            "round {round}"
        );
        let set = history(store, "w", "e").await;
        assert_eq!(set[set.len() - 4..], ["early", "late", "later", "last"], "round {round}");
        assert_eq!(clock.number("select max(set_at) from durable.events").await, last + 2, "just behind it");
        let back = "set_at = set_at - 36000000000";
        clock.execute(&format!("update durable.events set {back}")).await;
        clock.execute("update durable.streams set written_at = written_at - 36000000000").await;
    }
}

const PERIOD: Duration = Duration::from_millis(200);

pub(crate) async fn a_rate_limited_queue_continues_within_a_period_when_the_clock_goes_back(database: StoreDatabase) {
    continues_within_a_period(database, with_rate_limit(2, PERIOD), on_queue()).await;
}

pub(crate) async fn a_rate_limited_partition_key_continues_within_a_period_when_the_clock_goes_back(
    database: StoreDatabase,
) {
    let limits = StoredLimits {
        partitioned: true,
        partition_concurrency: Some(9),
        partition_rate_limit: Some(rate(2, PERIOD)),
        ..StoredLimits::default()
    };
    continues_within_a_period(database, limits, with_partition("ada")).await;
}

/// Starts two workflows, sets the clock back by an hour, and starts the others.
async fn continues_within_a_period(database: StoreDatabase, limits: StoredLimits, place: QueuePlacement) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    declare_queues(store, limits).await;
    for number in 0..4 {
        enqueue(store, me, &format!("w-{number}"), place.clone()).await;
    }
    let first = claim(store, me, 9).await;
    assert_eq!(first.runs.len(), 2);
    for run in &first.runs {
        end_run(store, me, run).await;
    }
    let mut clock = database.direct_connection().await;
    clock.execute("update durable.queue_starts set started_at = started_at + 3600000000").await;
    let full = claim(store, me, 9).await;
    let now = store.now().await.unwrap();
    assert!(full.runs.is_empty(), "the window is full by the new clock");
    let next = full.next_at.expect("only the rate limit is in the way");
    assert!(next <= now.saturating_add(PERIOD), "{next:?} is more than a period after {now:?}");
    tokio::time::sleep(next.saturating_duration_since(now)).await; // until the window ends
    assert_eq!(claim(store, me, 9).await.runs.len(), 2);
}
