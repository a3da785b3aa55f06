//! Background tasks of the application, and its work after serving.

use axum::Router;
use axum::routing::get;
use durable::prelude::*;
use durable::{EnginePhase, TaskOutcome};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::support::{
    TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, http, start_shutdown,
};

database_tests! {
    a_background_task_is_asked_to_stop_and_waited_for,
    a_background_task_that_does_not_stop_is_dropped_and_reported,
    a_task_that_is_spawned_too_late_is_not_started,
    work_after_serving_runs_when_requests_have_finished_with_a_working_engine,
}

#[queue]
static LATER: Queue = Queue::new("healing-later");

#[workflow]
async fn remembers(what: String) -> Result<String> {
    Ok(what)
}

async fn a_background_task_is_asked_to_stop_and_waited_for(database: &TestDatabase) {
    let key = fresh("task");
    let app = database.launch().await;
    let in_task = key.clone();
    app.spawn("mailbox", |stopping| async move {
        count(&in_task);
        assert!(!stopping.is_requested());
        stopping.requested().await;
        assert!(stopping.is_requested());
        // The engine works: this is written before it closes.
        remembers("the last mail".to_owned()).id("last").enqueue(&LATER).await.unwrap();
        count(&in_task);
    });
    arrived(&key, 1).await;
    let report = app.shutdown().await;
    assert_eq!(counted(&key), 2);
    let task = report.background.iter().find(|it| it.name == "mailbox").expect("it is reported");
    assert_eq!(task.outcome, TaskOutcome::Ended);
    assert!(database.workflows().await.iter().any(|it| it.id == "last"));
}

struct Dropped(String);

impl Drop for Dropped {
    fn drop(&mut self) {
        count(self.0.clone());
    }
}

async fn a_background_task_that_does_not_stop_is_dropped_and_reported(database: &TestDatabase) {
    let key = fresh("stubborn");
    let app = database.launch().await;
    let dropped = Dropped(key.clone());
    app.spawn("stubborn", |_| async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    });
    app.spawn("panics", |_| async { panic!("this task panics") });
    let report = start_shutdown(&app, budgets(100, 100)).await.unwrap();
    arrived(&key, 1).await;
    let outcome = |name: &str| report.background.iter().find(|it| it.name == name).map(|it| it.outcome.clone());
    assert_eq!(outcome("stubborn"), Some(TaskOutcome::Dropped));
    assert!(matches!(outcome("panics"), Some(TaskOutcome::Panicked(panic)) if panic.contains("this task panics")));
}

async fn a_task_that_is_spawned_too_late_is_not_started(database: &TestDatabase) {
    let key = fresh("late");
    let app = database.launch().await;
    app.shutdown().await;
    let in_task = key.clone();
    app.spawn("late", |_| async move { assert_eq!(count(in_task), 0, "it runs") });
    assert_eq!(counted(&key), 0);
}

async fn work_after_serving_runs_when_requests_have_finished_with_a_working_engine(database: &TestDatabase) {
    let key = fresh("serving");
    let app = database.launch().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (in_handler, in_work) = (key.clone(), key.clone());
    let handler = get(async move || {
        count(format!("{in_handler} asked"));
        gate(&in_handler).acquire().await.expect("it is never closed").forget();
        count(format!("{in_handler} answered"));
        "answered"
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let at_work = app.clone();
    let service = durable::axum::serve(&app, listener, Router::new().route("/", handler))
        .lb_delay(Duration::ZERO)
        .http_drain(Duration::from_mins(1))
        .total(Duration::from_mins(3))
        .after_serving(async move {
            assert_eq!(counted(&format!("{in_work} answered")), 1, "requests come first");
            assert!(at_work.phase() < EnginePhase::Draining);
            assert_eq!(remembers("after".to_owned()).id("after").await.unwrap(), "after");
            count(in_work);
        })
        .until(async { drop(stopped.await) });
    let service = tokio::spawn(service.into_future());
    let answer = tokio::spawn(async move { http::get(port, "/").await.unwrap() });
    arrived(&format!("{key} asked"), 1).await;
    stop.send(()).unwrap();
    gate(&key).add_permits(1);
    assert_eq!(answer.await.unwrap().body, "answered");
    let report = service.await.unwrap().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(counted(&key), 1);
}
