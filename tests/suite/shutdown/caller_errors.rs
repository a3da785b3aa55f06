//! Errors of callers that get no reply: they contain whether anything was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::prelude::*;
use durable::{ErrorKind, queue};
use durable_core::store::Store;

use crate::support::{
    FaultMode, FaultPlan, FaultyStore, TestDatabase, begun, budgets, count, database_tests, fresh, until,
};

database_tests! {
calls_after_the_shutdown_report_that_nothing_was_written,
an_unconfirmed_start_is_an_unconfirmed_error,
an_unconfirmed_message_is_an_unconfirmed_error,
a_fenced_executor_reports_that_nothing_was_written,
}

#[queue]
static AFTER: Queue = Queue::new("shutdown-after");

#[workflow]
async fn counted_once(key: String) -> Result<u32> {
    Ok(count(&key))
}

fn refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::ShuttingDown, "{error}");
    assert!(error.is_interrupted() && error.to_string().contains("shutting down"), "{error}");
}

async fn calls_after_the_shutdown_report_that_nothing_was_written(database: &TestDatabase) {
    let key = fresh("after");
    let app = database.launch().await;
    let handle = app.scope(async { counted_once(key.clone()).id("w").start().await.unwrap() }).await;
    handle.result().await.unwrap();
    app.shutdown().await;
    app.scope(async {
        for error in [
            counted_once(key.clone()).id("late").enqueue(&AFTER).await.unwrap_err(),
            counted_once(key.clone()).id("late").start().await.unwrap_err(),
            durable::send("w", "topic", &1).await.unwrap_err(),
            handle.send("topic", &1).await.unwrap_err(),
        ] {
            refused(&error);
            assert!(error.to_string().contains("nothing was written"), "{error}");
        }
        // Reading calls fail without naming a workflow that may not exist.
        refused(&durable::retrieve_workflow::<u32>("late").await.unwrap_err());
        refused(&durable::cancel_workflow("late").await.unwrap_err());
        refused(&durable::event_history::<u32>("late", "event").await.unwrap_err());
        refused(&durable::read_stream::<u32>("late", "stream").next().await.unwrap().unwrap_err());
        let error = durable::get_event::<u32>("late", "event", Duration::from_secs(9)).await.unwrap_err();
        assert_eq!((error.kind(), error.workflow_id()), (ErrorKind::Interrupted, None), "{error}");
    })
    .await;

    let app = database.launch().await;
    let error = app.retrieve_workflow::<u32>("late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    app.shutdown().await;
}

/// An engine with a store that fails the first commits as planned, and is unreachable for all others.
async fn failing(database: &TestDatabase, first: &[FaultMode]) -> (Durable, Arc<dyn Store>) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faults: BTreeMap<u64, FaultMode> =
        (1..).zip(first.iter().copied().chain([FaultMode::Unreachable; 500])).collect();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan { faults, ..FaultPlan::default() }));
    let app = database.builder("fails").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    (app, inner)
}

fn unconfirmed(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Unconfirmed, "{error}");
    assert!(error.is_interrupted() && error.to_string().contains("may or may not have been written"), "{error}");
}

async fn an_unconfirmed_start_is_an_unconfirmed_error(database: &TestDatabase) {
    for (was_written, first) in [(false, FaultMode::Unreachable), (true, FaultMode::LostAnswer)] {
        let (key, id) = (fresh("unknown"), if was_written { "there" } else { "not there" });
        let (app, store) = failing(database, &[first]).await;
        let call = counted_once(key.clone()).id(id);
        let enqueues = begun(app.scope(async move { call.enqueue(&AFTER).await })).await;
        until("the write is sent", async || !was_written || app.store().statement_counts().commits > 0).await;
        let report = app.shutdown_with(budgets(0, 0)).await;
        let error = enqueues.await.unwrap().unwrap_err();
        unconfirmed(&error);
        assert!(error.to_string().contains(id) && error.workflow_id() == Some(id), "{report}: {error}");
        store.close().await;

        // As the error explains, starting it again is safe.
        let app = database.launch().await;
        let found = app.retrieve_workflow::<u32>(id).await;
        assert_eq!(found.is_ok(), was_written, "{found:?}");
        let again = app.scope(async { counted_once(key.clone()).id(id).enqueue(&AFTER).await.unwrap() }).await;
        assert_eq!(again.await.unwrap(), 1);
        app.shutdown().await;
    }
}

async fn an_unconfirmed_message_is_an_unconfirmed_error(database: &TestDatabase) {
    let (app, store) = failing(database, &[]).await;
    let sends = begun(app.scope(async move { durable::send("w", "topic", &1).await })).await;
    app.shutdown_with(budgets(0, 0)).await;
    let error = sends.await.unwrap().unwrap_err();
    unconfirmed(&error);
    assert!(error.to_string().contains("idempotency key") && error.workflow_id().is_none(), "{error}");
    store.close().await;
}

async fn a_fenced_executor_reports_that_nothing_was_written(database: &TestDatabase) {
    let key = fresh("deposed");
    let app = database.launch().await;
    let own = app.store().executors().await.unwrap().remove(0);
    assert!(app.store().fence_out(own.key, own.epoch).await.unwrap());
    let error = app.scope(counted_once(key.clone()).id("late").enqueue(&AFTER)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database, "it is not shutting down: {error}");
    assert!(error.to_string().contains("was not written") && error.to_string().contains("retry"), "{error}");
    let found = app.retrieve_workflow::<u32>("late").await.unwrap_err();
    assert_eq!(found.kind(), ErrorKind::NotFound, "{found}");
    app.shutdown_with(budgets(0, 0)).await;
}
