//! Extreme timeouts in rows that SQL or an older release has written.

use durable_core::store::{ClaimRequest, NewQueue, QueuePlacement, Timestamp};

use super::unlimited_durations::LATEST;
use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{QUEUE, enqueue, on_queue, partitioned, request, with_concurrency};
use crate::support::store_rows::register_executor;

pub(crate) async fn any_stored_timeout_can_be_claimed(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let mut direct = database.direct_connection().await;
    for (queue, limits) in [(QUEUE, None), ("limited", Some(with_concurrency(9))), ("parted", Some(partitioned()))] {
        if let Some(limits) = limits {
            store.declare_queues(&[NewQueue { name: queue.to_owned(), limits }]).await.unwrap();
        }
        let placement =
            |key: &str| QueuePlacement { queue: queue.to_owned(), partition: Some(key.to_owned()), ..on_queue() };
        for (id, timeout) in [("most", i64::MAX), ("least", i64::MIN), ("ordinary", 1_000_000)] {
            let id = format!("{id} {queue}");
            enqueue(store, me, &id, placement(&id)).await;
            direct.execute(&format!("update durable.workflows set timeout = {timeout} where id = '{id}'")).await;
        }
        let request = ClaimRequest { queue: queue.to_owned(), ..request(me, 9) };
        let claimed = store.claim(&request).await.unwrap_or_else(|error| panic!("{queue}: {error}"));
        assert_eq!(claimed.runs.len(), 3, "{queue}");
        let of = |id: &str| claimed.runs.iter().find(|it| it.id.starts_with(id)).and_then(|it| it.deadline);
        assert_eq!(of("most"), Some(LATEST), "{queue}");
        assert!(
            of("least").is_some_and(|it| it < Timestamp::UNIX_EPOCH) && of("ordinary").is_some_and(|it| it < LATEST),
            "{queue}"
        );

        let keys: Vec<_> = claimed.runs.iter().map(|it| it.key).collect();
        store.return_claims(me, &keys).await.unwrap();
        for it in &claimed.runs {
            assert_eq!(store.show(&it.id).await.unwrap().expect("it waits").deadline, None, "{}", it.id);
        }
    }
}
