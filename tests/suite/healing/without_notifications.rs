//! A process that gets no notifications, as behind a pooler: it polls.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{FaultPlan, FaultyStore, HoldAt, TestDatabase, database_tests, until};

database_tests! {
    a_message_from_another_process_is_received_however_busy_the_poller_is,
}

#[workflow]
async fn receives_from_elsewhere() -> Result<Option<u32>> {
    durable::recv("topic", Duration::from_mins(10)).await
}

async fn a_message_from_another_process_is_received_however_busy_the_poller_is(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    faulty.hold_next("listen", HoldAt::Before); // it is never let through
    let app = database.builder("app").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    let sender = database.builder("app").launch().await.unwrap();
    faulty.wait_for_held_call().await;
    let receiver = app.scope(async { receives_from_elsewhere().id("w").start().await.unwrap() }).await;
    until("it waits", async || receiver.status().await.unwrap() == Status::Pending).await;
    // Every call wakes the poller, long before it would poll for the others.
    let busy = app.spawn_scoped(async {
        loop {
            drop(durable::get_event::<u32>("w", "unset", Duration::ZERO).await);
        }
    });
    sender.scope(async { durable::send("w", "topic", &7).await.unwrap() }).await;
    let received = tokio::time::timeout(Duration::from_mins(1), receiver.result()).await;
    assert_eq!(received.expect("it is polled for").unwrap(), Some(7));
    busy.abort();
    app.shutdown().await;
    sender.shutdown().await;
}
