//! Workflows enqueued in a transaction of the user's.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{EnqueueOutcome, NewWorkflow, OutboxConnection, StoreErrorKind};
use sqlx::{Connection, SqliteConnection};

use crate::support::store_database::{DirectConnection, StoreDatabase};
use crate::support::store_queues::{claim, debounced, delayed, enqueued, mail, placed, sole, taken};
use crate::support::store_rows::{cancel, register_executor, running, status, workflow};

async fn begin(user: &mut DirectConnection) {
    user.execute(if matches!(user, DirectConnection::Postgres(..)) { "begin" } else { "begin immediate" }).await;
}

pub(crate) async fn a_posted_workflow_is_visible_after_the_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let mut user = database.direct_connection().await;
    let large = NewWorkflow { input: format!(r#"{{"text":"{}"}}"#, "x".repeat(5_000)), ..placed("large", mail()) };
    begin(&mut user).await;
    for it in [&placed("small", mail()), &large, &placed("late", delayed(Duration::from_hours(1)))] {
        assert_eq!(store.enqueue_in(user.outbox(), it).await.unwrap(), EnqueueOutcome::Posted);
        assert_eq!(store.enqueue_in(user.outbox(), it).await.unwrap(), EnqueueOutcome::Posted, "once");
    }
    assert_eq!(taken(store, me, 9).await, [""; 0], "they are not visible yet");
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
    assert_eq!(store.enqueue_in(user.outbox(), &placed("w", sole("k"))).await.unwrap(), EnqueueOutcome::Posted);
    user.execute("rollback").await;
    assert_eq!(status(store, "w").await, None);
    let alone = placed("alone", sole("k"));
    assert_eq!(store.enqueue_in(user.outbox(), &alone).await.unwrap(), EnqueueOutcome::Posted);
    assert_eq!(taken(store, me, 9).await, ["alone"], "a connection without a transaction commits at once");
}

pub(crate) async fn posting_an_existing_workflow_attaches_to_it(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    running(store, me, "direct").await;
    enqueued(store, me, "queued", sole("k")).await;
    let hour = Duration::from_hours(1);
    enqueued(store, me, "waits", debounced("cart", hour, None)).await;
    let mut user = database.direct_connection().await;
    begin(&mut user).await;
    for (it, expected) in [
        (placed("direct", mail()), "direct"),
        (placed("direct", debounced("cart", hour, None)), "direct"),
        (placed("twin", sole("k")), "queued"),
        (placed("again", debounced("cart", hour, None)), "waits"),
    ] {
        let large = NewWorkflow { input: format!(r#"{{"text":"{}"}}"#, "y".repeat(3_000)), ..it };
        let posted = store.enqueue_in(user.outbox(), &large).await.unwrap();
        assert!(matches!(&posted, EnqueueOutcome::Existing(held) if held.id == expected), "{posted:?}");
    }
    let first = placed("first", debounced("another cart", hour, None));
    assert_eq!(store.enqueue_in(user.outbox(), &first).await.unwrap(), EnqueueOutcome::Posted);
    user.execute("commit").await;
    assert_eq!(store.show("waits").await.unwrap().expect("it waits").input.len(), 3_011, "it has the new arguments");
    assert_eq!(store.show("direct").await.unwrap().expect("it runs").input, r#"{"order":1}"#);
    assert_eq!(status(store, "first").await, Some(Status::Delayed));
    cancel(store, "queued", "by hand").await;
    assert_eq!(store.enqueue_in(user.outbox(), &placed("twin", sole("k"))).await.unwrap(), EnqueueOutcome::Posted);
}

pub(crate) async fn a_workflow_can_only_be_posted_to_a_queue_of_the_system_database(database: StoreDatabase) {
    let mut user = database.direct_connection().await;
    let error =
        database.store.enqueue_in(user.outbox(), &workflow("w")).await.expect_err("it has no queue to run from");
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    let nul = placed("a\0b", mail());
    let error = database.store.enqueue_in(user.outbox(), &nul).await.expect_err("a NUL cannot be stored");
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    let mut elsewhere = SqliteConnection::connect("sqlite::memory:").await.expect("memory is there");
    let posted = database.store.enqueue_in(OutboxConnection::Sqlite(&mut elsewhere), &placed("w", mail())).await;
    if database.is_postgres() {
        assert_eq!(posted.unwrap(), EnqueueOutcome::OtherDatabase);
        let unprepared = durable_core::store::open(&database.url, "nowhere").await.unwrap();
        let mut user = database.direct_connection().await;
        let error = unprepared.enqueue_in(user.outbox(), &placed("w", mail())).await.expect_err("no tables");
        assert!(error.message.contains("system database"), "{error}");
        unprepared.close().await;
    } else {
        let error = posted.expect_err("there are no tables");
        assert!(error.message.contains("system database"), "{error}");
        assert_eq!(error.kind, StoreErrorKind::Refused);
    }
}
