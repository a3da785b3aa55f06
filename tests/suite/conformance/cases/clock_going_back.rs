//! A database clock that goes back.

use durable_core::store::Verdict;

use crate::support::store_database::StoreDatabase;
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
