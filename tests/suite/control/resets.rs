//! `reset_system_database`, for tests and development.

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::support::{TestDatabase, begun, database_tests, until};

database_tests! {
    a_reset_is_refused_unless_it_is_allowed,
    a_reset_is_refused_while_another_executor_lives_and_names_it,
    a_reset_deletes_everything_and_the_engine_goes_on,
    a_reset_in_a_workflow_is_refused,
}

#[queue]
static RESET: Queue = Queue::new("reset").worker_concurrency(1);

#[workflow]
async fn waits(number: u32) -> Result<u32> {
    durable::set_event("event", &number).await?;
    durable::recv::<u32>("go", Duration::from_hours(1)).await.map(Option::unwrap_or_default)
}

/// The engine, for a step.
#[derive(Default)]
struct Engine(std::sync::Mutex<Option<Durable>>);

#[step]
async fn resets() -> Result<()> {
    let engine = durable::state::<std::sync::Arc<Engine>>();
    let app = engine.0.lock().unwrap().take();
    app.expect("it is set").reset_system_database().await
}

#[workflow]
async fn resets_in_a_step() -> Result<()> {
    resets().await
}

async fn a_reset_is_refused_unless_it_is_allowed(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = waits(1).id("w").start().await.unwrap();
        let refused = app.reset_system_database().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().contains("`.allow_reset()`"), "{refused}");
        handle.send("go", &4).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 4);
    })
    .await;
    app.shutdown().await;
}

async fn a_reset_is_refused_while_another_executor_lives_and_names_it(database: &TestDatabase) {
    let other = database.builder("app").executor_id("the-other-one").launch().await.unwrap();
    let app = database.builder("app").executor_id("this-one").allow_reset().launch().await.unwrap();
    app.scope(async { waits(1).id("w").start().await.unwrap() }).await;
    let refused = app.reset_system_database().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("\"the-other-one\""), "{refused}");
    assert!(!refused.to_string().contains("this-one"), "{refused}");
    assert_eq!(app.workflow("w").await.unwrap().unwrap().status, Status::Pending);
    other.shutdown().await;
    app.reset_system_database().await.unwrap();
    assert!(app.workflow("w").await.unwrap().is_none());
    app.shutdown().await;
}

async fn a_reset_deletes_everything_and_the_engine_goes_on(database: &TestDatabase) {
    let app = database.builder("app").allow_reset().launch().await.unwrap();
    app.scope(async {
        let running = waits(1).id("running").label("a", "b").start().await.unwrap();
        let queued = waits(2).id("queued").enqueue(&RESET).await.unwrap();
        let delayed = waits(3).id("delayed").queue(&RESET).delay(Duration::from_hours(1)).start().await.unwrap();
        waits(4).id("x".repeat(200)).enqueue(&RESET).await.unwrap();
        durable::send("running", "other", &"x".repeat(3_000)).await.unwrap();
        until("the event is set", async || !app.list_events("running").await.unwrap().is_empty()).await;
        RESET.pause().await.unwrap();
        let schedules = app.list_schedules().await.unwrap().len();
        let mut waiting = Vec::new();
        for handle in [running, queued, delayed] {
            waiting.push(begun(handle.result()).await);
        }

        app.reset_system_database().await.unwrap();
        for it in waiting {
            let kind = it.await.unwrap().unwrap_err().kind();
            assert!(kind == ErrorKind::Cancelled, "{kind:?}");
        }
        for table in ["workflows", "steps", "labels", "messages", "events", "streams"] {
            let sql = format!("select count(*) from durable.{table}");
            assert_eq!(database.direct_connection().await.number(&sql).await, 0, "{table}");
        }
        assert!(!RESET.info().await.unwrap().paused);
        assert_eq!(app.list_schedules().await.unwrap().len(), schedules);

        let again = waits(5).id("running").enqueue(&RESET).await.unwrap();
        again.send("go", &6).await.unwrap();
        assert_eq!(again.result().await.unwrap(), 6);
        assert_eq!(waits(7).id("direct").start().await.unwrap().status().await.unwrap(), Status::Pending);
    })
    .await;
    assert!(app.shutdown().await.is_clean());
}

async fn a_reset_in_a_workflow_is_refused(database: &TestDatabase) {
    let engine = std::sync::Arc::<Engine>::default();
    let app = database.builder("app").allow_reset().state(std::sync::Arc::clone(&engine)).launch().await.unwrap();
    *engine.0.lock().unwrap() = Some(app.clone());
    let refused = app.scope(async { resets_in_a_step().id("w").await.unwrap_err() }).await;
    assert!(refused.to_string().contains("call it outside"), "{refused}");
    assert!(app.workflow("w").await.unwrap().is_some());
    app.shutdown().await;
}
