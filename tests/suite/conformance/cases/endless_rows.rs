//! Durations without end in rows that SQL or an older release has written.

use durable_core::store::{ClaimRequest, NewQueue, QueuePlacement};

use super::super::line::{MAIL, at_once, enqueued, mail, partitioned, request};
use super::super::make::register_executor;
use super::super::site::Site;
use super::endless::LATEST;

pub(crate) async fn no_timeout_in_a_row_is_in_the_way_of_a_claim(site: Site) {
    let store = &*site.store;
    let me = register_executor(store, "a").await;
    let mut door = site.side_door().await;
    for (queue, limits) in [(MAIL, None), ("limited", Some(at_once(9))), ("parted", Some(partitioned()))] {
        if let Some(limits) = limits {
            store.declare_queues(&[NewQueue { name: queue.to_owned(), limits }]).await.unwrap();
        }
        let place = |key: &str| QueuePlacement { queue: queue.to_owned(), partition: Some(key.to_owned()), ..mail() };
        for (id, timeout) in [("most", i64::MAX), ("least", i64::MIN), ("ordinary", 1_000_000)] {
            let id = format!("{id} {queue}");
            enqueued(store, me, &id, place(&id)).await;
            door.execute(&format!("update durable.workflows set timeout = {timeout} where id = '{id}'")).await;
        }
        let request = ClaimRequest { queue: queue.to_owned(), ..request(me, 9) };
        let claimed = store.claim(&request).await.unwrap_or_else(|error| panic!("{queue}: {error}"));
        assert_eq!(claimed.runs.len(), 3, "{queue}");
        let of = |id: &str| claimed.runs.iter().find(|it| it.id.starts_with(id)).and_then(|it| it.deadline);
        assert_eq!(of("most"), Some(LATEST), "{queue}");
        assert!(of("least").is_some_and(|it| it < 0) && of("ordinary").is_some_and(|it| it < LATEST), "{queue}");

        let keys: Vec<_> = claimed.runs.iter().map(|it| it.key).collect();
        store.return_claims(me, &keys).await.unwrap();
        for it in &claimed.runs {
            assert_eq!(store.show(&it.id).await.unwrap().expect("it waits").deadline, None, "{}", it.id);
        }
    }
}
