//! Workflows and messages of callers that are no executors.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{SendOutcome, StoreErrorKind, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, claim_ids, declare_queues, on_queue, partitioned, queued_workflow, with_debounce, with_deduplication,
    with_partition,
};
use crate::support::store_rows::{inbox, message, once, register_executor, start_running, workflow};

pub(crate) async fn a_start_of_a_client_that_is_sent_again_starts_one_workflow(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    for it in [
        queued_workflow("plain", on_queue()),
        queued_workflow("unique", with_deduplication("k")),
        queued_workflow("last", with_debounce("d", Duration::ZERO, None)),
    ] {
        assert_eq!(store.enqueue(&it).await.unwrap(), Verdict::Stored);
        assert_eq!(store.enqueue(&it).await.unwrap(), Verdict::Stored, "the answer may have been lost");
    }
    store.promote().await.unwrap();
    let runs = claim(store, me, 9).await.runs;
    assert_eq!(runs.len(), 3);
    let again = queued_workflow("plain", on_queue());
    assert!(matches!(store.enqueue(&again).await.unwrap(), Verdict::Existing(it) if it.id == "plain"));
    let duplicate = queued_workflow("other", with_deduplication("k"));
    assert!(matches!(store.enqueue(&duplicate).await.unwrap(), Verdict::Duplicate(it) if it.id == "unique"));
}

pub(crate) async fn a_debounced_start_of_a_client_gives_its_arguments_to_the_delayed_one(database: StoreDatabase) {
    let store = &*database.store;
    let hour = Duration::from_hours(1);
    store.enqueue(&queued_workflow("first", with_debounce("d", hour, None))).await.unwrap();
    let second = queued_workflow("second", with_debounce("d", hour, None));
    assert!(matches!(store.enqueue(&second).await.unwrap(), Verdict::Debounced(it) if it.id == "first"));
    assert_eq!(store.show("second").await.unwrap(), None);
    assert_eq!(store.show("first").await.unwrap().map(|it| it.status), Some(Status::Delayed));
}

pub(crate) async fn a_start_of_a_client_has_a_queue_and_the_key_that_the_queue_asks_for(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    declare_queues(store, partitioned()).await;
    let without_queue = store.enqueue(&workflow("direct")).await.unwrap_err();
    assert_eq!(without_queue.kind, StoreErrorKind::Refused);
    let without_key = store.enqueue(&queued_workflow("w", on_queue())).await.unwrap_err();
    assert!(without_key.message.contains("is partitioned"), "{without_key}");
    store.enqueue(&queued_workflow("keyed", with_partition("ada"))).await.unwrap();
    assert_eq!(claim_ids(store, me, 9).await, ["keyed"]);
}

pub(crate) async fn a_message_of_a_client_that_is_sent_again_is_received_once(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let first = message("w", "1");
    for it in [&first, &first, &message("w", "1"), &once("w", "key", "2"), &once("w", "key", "3")] {
        assert_eq!(store.send(it).await.unwrap(), SendOutcome::Posted);
    }
    assert_eq!(inbox(store, me, run).await, ["1", "1", "2"]);
    assert_eq!(store.send(&message("missing", "1")).await.unwrap(), SendOutcome::NoReceiver(None));
}
