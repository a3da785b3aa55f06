//! Events.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, database_tests, fresh, gate};

database_tests! {
    an_event_can_be_read_during_and_after_its_workflow,
    get_event_returns_the_last_value_and_event_history_all,
    an_event_is_set_once_despite_a_crash,
    get_event_returns_none_once_the_workflow_has_ended_without_it,
    an_event_read_by_a_workflow_is_recorded,
    an_event_can_be_awaited_before_its_workflow_is_started,
    an_event_set_outside_a_workflow_is_refused,
    another_process_can_read_an_event,
    a_workflow_can_read_its_own_events,
}

const LONG: Duration = Duration::from_hours(1);

#[step]
async fn hold(key: &str) {
    crate::support::count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[step]
async fn sets_event_in_step() -> Result<()> {
    durable::set_event("status", "in a step").await
}

#[workflow]
async fn sets_event(key: String) -> Result<()> {
    durable::set_event("status", "begun").await?;
    hold(&key).await;
    sets_event_in_step().await?;
    durable::set_event("status", "done").await
}

async fn status(id: &str) -> Option<String> {
    durable::get_event(id, "status", LONG).await.unwrap()
}

async fn an_event_can_be_read_during_and_after_its_workflow(database: &TestDatabase) {
    let key = fresh("shows");
    let app = database.launch().await;
    app.scope(async {
        let handle = sets_event(key.clone()).id("w").start().await.unwrap();
        assert_eq!(handle.event::<String>("status", LONG).await.unwrap().as_deref(), Some("begun"));
        gate(&key).add_permits(1);
        handle.await.unwrap();
        assert_eq!(status("w").await.as_deref(), Some("done"));
    })
    .await;
    app.shutdown().await;
}

async fn get_event_returns_the_last_value_and_event_history_all(database: &TestDatabase) {
    let key = fresh("history");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async {
        sets_event(key.clone()).id("w").await.unwrap();
        let history = durable::event_history::<String>("w", "status").await.unwrap();
        let values: Vec<_> = history.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(values, ["begun", "in a step", "done"]);
        assert!(history.windows(2).all(|pair| pair[0].set_at <= pair[1].set_at));
        assert!(durable::event_history::<String>("w", "another").await.unwrap().is_empty());
    })
    .await;
    app.shutdown().await;
}

async fn an_event_is_set_once_despite_a_crash(database: &TestDatabase) {
    let key = fresh("once");
    let app = database.launch().await;
    app.scope(async { sets_event(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    app.scope(async {
        durable::retrieve_workflow::<()>("w").await.unwrap().await.unwrap();
        let history = durable::event_history::<String>("w", "status").await.unwrap();
        assert_eq!(history.len(), 3, "the first one was not set again");
    })
    .await;
    app.shutdown().await;
}

#[workflow]
async fn sets_no_event() -> Result<()> {
    Ok(())
}

async fn get_event_returns_none_once_the_workflow_has_ended_without_it(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        sets_no_event().id("w").await.unwrap();
        assert_eq!(status("w").await, None);
        let none: Option<u32> = durable::get_event("unknown", "status", Duration::from_millis(5)).await.unwrap();
        assert_eq!(none, None, "and a wait for an unknown workflow has a limit");
    })
    .await;
    app.shutdown().await;
}

#[workflow]
async fn gets_event(of: String, key: String) -> Result<Option<String>> {
    let seen = durable::get_event(&of, "status", LONG).await?;
    hold(&key).await;
    Ok(seen)
}

async fn an_event_read_by_a_workflow_is_recorded(database: &TestDatabase) {
    let (key, reader_key) = (fresh("shows"), fresh("gets_event"));
    let app = database.launch().await;
    app.scope(async {
        gets_event("w".into(), reader_key.clone()).id("a").start().await.unwrap();
        sets_event(key.clone()).id("w").start().await.unwrap();
    })
    .await;
    arrived(&reader_key, 1).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    gate(&key).add_permits(2);
    let app = database.launch().await;
    app.retrieve_workflow::<()>("w").await.unwrap().await.unwrap();
    gate(&reader_key).add_permits(2);
    let seen = app.retrieve_workflow::<Option<String>>("a").await.unwrap().await.unwrap();
    assert_eq!(seen.as_deref(), Some("begun"), "as it was when it asked");
    app.shutdown().await;
}

async fn an_event_can_be_awaited_before_its_workflow_is_started(database: &TestDatabase) {
    let key = fresh("later");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    let waiting = app.spawn_scoped(async { status("later").await });
    app.scope(async { sets_event(key.clone()).id("later").await.unwrap() }).await;
    assert!(waiting.await.unwrap().is_some());
    app.shutdown().await;
}

async fn an_event_set_outside_a_workflow_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    let error = app.scope(durable::set_event("status", "none")).await.expect_err("it belongs to no workflow");
    assert!(error.to_string().contains("`durable::set_event` was called outside any workflow"), "{error}");
    app.shutdown().await;
}

async fn another_process_can_read_an_event(database: &TestDatabase) {
    let key = fresh("elsewhere");
    let here = database.builder("here").launch().await.unwrap();
    let there = database.builder("there").launch().await.unwrap();
    let seen = there.spawn_scoped(async { status("w").await });
    here.scope(async { sets_event(key.clone()).id("w").start().await.unwrap() }).await;
    assert_eq!(seen.await.unwrap().as_deref(), Some("begun"));
    gate(&key).add_permits(1);
    there.retrieve_workflow::<()>("w").await.unwrap().await.unwrap();
    here.shutdown().await;
    there.shutdown().await;
}

#[workflow]
async fn gets_own_events(id: String) -> Result<Vec<Option<u32>>> {
    let mut seen = Vec::new();
    for value in 1..=3_u32 {
        durable::set_event("own", &value).await?;
        seen.push(durable::get_event(&id, "own", LONG).await?);
    }
    Ok(seen)
}

async fn a_workflow_can_read_its_own_events(database: &TestDatabase) {
    let app = database.launch().await;
    let seen = app.scope(async { gets_own_events("w".into()).id("w").await.unwrap() }).await;
    assert_eq!(seen, [Some(1), Some(2), Some(3)], "and not what it had set before");
    app.shutdown().await;
}
