//! The rows of dead executors are removed.

use std::time::Duration;

use durable_core::store::RunningPart;

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{fence_out, register_executor, start_running, takeover_request};

pub(crate) async fn rows_of_dead_executors_are_removed_once_their_workflows_are_taken_over(database: StoreDatabase) {
    let store = &*database.store;
    let mut direct = database.direct_connection().await;
    let (dead, living) = (register_executor(store, "dead").await, register_executor(store, "living").await);
    start_running(store, dead, "w").await;
    start_running(store, living, "v").await;
    fence_out(store, dead).await;
    store.remove_dead_executors().await.unwrap();
    assert_eq!(direct.number("select count(*) from durable.executors").await, 2, "a workflow refers to it");
    store.take_over(&takeover_request(living, 10)).await.unwrap();
    store.remove_dead_executors().await.unwrap();
    assert_eq!(direct.number("select count(*) from durable.executors").await, 1);
    assert!(store.heartbeat(living, Duration::from_mins(1), RunningPart::all(&[])).await.unwrap().fence_holds);
    assert!(
        !store.heartbeat(dead, Duration::from_mins(1), RunningPart::all(&[])).await.unwrap().fence_holds,
        "it stays fenced out"
    );
}
