//! Workflows enqueued in a transaction of the user's.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{EnqueueOutcome, NewWorkflow, OutboxConnection, StoreErrorKind};
use sqlx::{Connection, SqliteConnection};

use crate::support::store_database::{DirectConnection, StoreDatabase};
use crate::support::store_queues::{
    claim, claim_ids, enqueue, on_queue, queued_workflow, with_debounce, with_deduplication, with_delay,
};
use crate::support::store_rows::{cancel, register_executor, start_running, status, workflow};

async fn begin(user: &mut DirectConnection) {
    user.execute(if matches!(user, DirectConnection::Postgres(..)) { "begin" } else { "begin immediate" }).await;
}

pub(crate) async fn a_posted_workflow_is_visible_after_the_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let mut user = database.direct_connection().await;
    let large =
        NewWorkflow { input: format!(r#"{{"text":"{}"}}"#, "x".repeat(5_000)), ..queued_workflow("large", on_queue()) };
    begin(&mut user).await;
    for it in
        [&queued_workflow("small", on_queue()), &large, &queued_workflow("late", with_delay(Duration::from_hours(1)))]
    {
        assert_eq!(store.enqueue_in(user.outbox(), it).await.unwrap(), EnqueueOutcome::Posted);
        assert_eq!(store.enqueue_in(user.outbox(), it).await.unwrap(), EnqueueOutcome::Posted, "once");
    }
    assert_eq!(claim_ids(store, me, 9).await, [""; 0], "they are not visible yet");
    user.execute("commit").await;
    let runs = claim(store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| (&*it.id, it.input.len())).collect::<Vec<_>>(), [("small", 11), ("large", 5_011)]);
    assert_eq!(status(store, "late").await, Some(Status::Delayed));
}

pub(crate) async fn a_posted_workflow_is_rolled_back_with_its_transaction(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let mut user = database.direct_connection().await;
    begin(&mut user).await;
    assert_eq!(
        store.enqueue_in(user.outbox(), &queued_workflow("w", with_deduplication("k"))).await.unwrap(),
        EnqueueOutcome::Posted
    );
    user.execute("rollback").await;
    assert_eq!(status(store, "w").await, None);
    let alone = queued_workflow("alone", with_deduplication("k"));
    assert_eq!(store.enqueue_in(user.outbox(), &alone).await.unwrap(), EnqueueOutcome::Posted);
    assert_eq!(claim_ids(store, me, 9).await, ["alone"], "a connection without a transaction commits at once");
}

pub(crate) async fn posting_an_existing_workflow_attaches_to_it(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    start_running(store, me, "direct").await;
    enqueue(store, me, "queued", with_deduplication("k")).await;
    let hour = Duration::from_hours(1);
    enqueue(store, me, "waits", with_debounce("cart", hour, None)).await;
    let mut user = database.direct_connection().await;
    begin(&mut user).await;
    for (it, expected) in [
        (queued_workflow("direct", on_queue()), "direct"),
        (queued_workflow("direct", with_debounce("cart", hour, None)), "direct"),
        (queued_workflow("twin", with_deduplication("k")), "queued"),
        (queued_workflow("again", with_debounce("cart", hour, None)), "waits"),
    ] {
        let large = NewWorkflow { input: format!(r#"{{"text":"{}"}}"#, "y".repeat(3_000)), ..it };
        let posted = store.enqueue_in(user.outbox(), &large).await.unwrap();
        assert!(matches!(&posted, EnqueueOutcome::Existing(held) if held.id == expected), "{posted:?}");
    }
    let first = queued_workflow("first", with_debounce("another cart", hour, None));
    assert_eq!(store.enqueue_in(user.outbox(), &first).await.unwrap(), EnqueueOutcome::Posted);
    user.execute("commit").await;
    assert_eq!(
        store.show("waits").await.unwrap().expect("it waits").input.map(|it| it.len()),
        Some(3_011),
        "it has the new arguments"
    );
    assert_eq!(store.show("direct").await.unwrap().expect("it runs").input.as_deref(), Some(r#"{"order":1}"#));
    assert_eq!(status(store, "first").await, Some(Status::Delayed));
    cancel(store, "queued", "by hand").await;
    assert_eq!(
        store.enqueue_in(user.outbox(), &queued_workflow("twin", with_deduplication("k"))).await.unwrap(),
        EnqueueOutcome::Posted
    );
}

pub(crate) async fn a_workflow_can_only_be_posted_to_a_queue_of_the_system_database(database: StoreDatabase) {
    let mut user = database.direct_connection().await;
    let error =
        database.store.enqueue_in(user.outbox(), &workflow("w")).await.expect_err("it has no queue to run from");
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    let nul = queued_workflow("a\0b", on_queue());
    let error = database.store.enqueue_in(user.outbox(), &nul).await.expect_err("a NUL cannot be stored");
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    let mut elsewhere = SqliteConnection::connect("sqlite::memory:").await.expect("memory is there");
    let posted =
        database.store.enqueue_in(OutboxConnection::Sqlite(&mut elsewhere), &queued_workflow("w", on_queue())).await;
    if database.is_postgres() {
        assert_eq!(posted.unwrap(), EnqueueOutcome::OtherDatabase);
        let unprepared = durable_core::store::open(&database.url, "nowhere").await.unwrap();
        let mut user = database.direct_connection().await;
        let error =
            unprepared.enqueue_in(user.outbox(), &queued_workflow("w", on_queue())).await.expect_err("no tables");
        assert!(error.message.contains("system database"), "{error}");
        unprepared.close().await;
    } else {
        let error = posted.expect_err("there are no tables");
        assert!(error.message.contains("system database"), "{error}");
        assert_eq!(error.kind, StoreErrorKind::Refused);
    }
}
