//! The next engine continues the workflows of a crashed one.

use durable::prelude::*;
use durable_core::store::{Entry, NewExecutor, NewWorkflow, Store};

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
a_crashed_workflow_continues_after_its_last_record,
a_typed_error_is_the_same_value_after_a_restart,
a_workflow_recovered_too_often_is_parked,
continuing_a_suspended_workflow_is_not_a_recovery,
unreadable_arguments_park_only_their_workflow,
a_workflow_unknown_to_this_program_is_left_pending,
a_call_after_the_restart_gets_the_recorded_result,
}

#[step]
async fn effect(key: &str, number: u32) -> u32 {
    count(format!("{key} {number}"));
    number * 10
}

#[step]
async fn blocked(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    7
}

#[workflow]
async fn three_parts(key: String) -> Result<u32> {
    let one = effect(&key, 1).await;
    let two = blocked(&key).await;
    Ok(one + two + effect(&key, 3).await)
}

async fn a_crashed_workflow_continues_after_its_last_record(database: &TestDatabase) {
    let key = fresh("crash");
    let app = database.launch().await;
    app.scope(async { three_parts(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 47);
    assert_eq!(counted(&format!("{key} 1")), 1, "a recorded step never runs again");
    assert_eq!(counted(&key), 2, "an unrecorded one does");

    let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
    assert_eq!((info.attempts, info.recoveries), (2, 1));
    assert!(app.shutdown().await.is_clean());
}

#[step]
async fn decline(key: &str) -> Result<u32, String> {
    count(format!("{key} declined"));
    Err("declined".to_owned())
}

#[workflow]
async fn handles_an_error(key: String) -> Result<String> {
    let error = decline(&key).await.unwrap_err();
    blocked(&key).await;
    Ok(error)
}

async fn a_typed_error_is_the_same_value_after_a_restart(database: &TestDatabase) {
    let key = fresh("declined");
    let app = database.launch().await;
    app.scope(async { handles_an_error(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    assert_eq!(app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap(), "declined");
    assert_eq!(counted(&format!("{key} declined")), 1);
    app.shutdown().await;
}

#[workflow(max_recoveries = 2)]
async fn poison(key: String) -> Result<u32> {
    Ok(blocked(&key).await)
}

async fn a_workflow_recovered_too_often_is_parked(database: &TestDatabase) {
    let key = fresh("poison");
    let mut app = database.launch().await;
    app.scope(async { poison(key.clone()).id("w").start().await.unwrap() }).await;
    for runs in 1..=3 {
        arrived(&key, runs).await;
        database.crash(app).await;
        app = database.launch().await;
    }
    let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
    assert_eq!((info.status, info.recoveries), (Status::Parked, 2));
    let error = app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap_err();
    assert!(error.is_parked() && error.to_string().contains("recovered 2 times"), "{error}");
    assert_eq!(counted(&key), 3, "it ran once, and twice more");
    app.shutdown().await;
}

async fn continuing_a_suspended_workflow_is_not_a_recovery(database: &TestDatabase) {
    let key = fresh("suspended");
    let app = database.launch().await;
    app.scope(async { poison(key.clone()).id("w").start().await.unwrap() }).await;
    for runs in 1..=5 {
        // Launched and shut down more often than it may be recovered.
        let app = if runs == 1 { app.clone() } else { database.launch().await };
        arrived(&key, runs).await;
        let report = app.shutdown_with(ShutdownOptions::immediate()).await;
        assert_eq!(report.killed.len(), 1, "{report}");
    }
    let app = database.launch().await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 7);
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap()[0].recoveries, 0);
    app.shutdown().await;
}

/// Stores workflows of an executor that is dead.
pub(super) async fn unknown_elsewhere(store: &dyn Store, workflows: &[(&str, &str, &str)]) {
    let executor = NewExecutor {
        key: 1.into(),
        name: "the dead one".into(),
        host: "elsewhere".into(),
        lock_file: None,
        version: "test".into(),
        takes: None,
        lease: Duration::from_hours(1),
    };
    let fence = store.register_executor(&executor).await.unwrap();
    for (key, (id, name, input)) in (1..).zip(workflows) {
        let begin = NewWorkflow {
            key: key.into(),
            id: (*id).into(),
            name: (*name).into(),
            input: (*input).into(),
            instance: None,
            parent: None,
            timeout: None,
            deadline: None,
            placement: None,
            version: Some("test".into()),
            fingerprint: 0.into(),
            context: durable_core::store::StartContext::default(),
        };
        store.commit(fence, &[Entry { start: Some(begin.into()), ..Entry::default() }], false).await.unwrap();
    }
    assert!(store.fence_out(fence.executor, fence.epoch).await.unwrap());
}

#[workflow]
async fn plus_one(number: u32) -> Result<u32> {
    Ok(effect("plus", number).await + 1)
}

async fn unreadable_arguments_park_only_their_workflow(database: &TestDatabase) {
    let app = database.launch().await;
    let workflows = [
        ("good", "plus_one", r#"{"number":4}"#),
        ("wrong", "plus_one", r#"{"number":"four"}"#),
        ("missing", "plus_one", "{}"),
        ("broken", "plus_one", "{"),
    ];
    unknown_elsewhere(&*app.store(), &workflows).await;
    app.shutdown().await;

    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("good").await.unwrap().await.unwrap(), 41);
    for (id, part) in [("wrong", "the argument `number`"), ("missing", "was not recorded"), ("broken", "EOF")] {
        let error = app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap_err();
        assert!(error.is_parked() && error.to_string().contains(part), "{error}");
    }
    app.shutdown().await;
}

async fn a_workflow_unknown_to_this_program_is_left_pending(database: &TestDatabase) {
    let app = database.launch().await;
    unknown_elsewhere(&*app.store(), &[("new", "a_name_of_a_later_release", "{}")]).await;
    app.shutdown().await;

    let app = database.launch().await;
    let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
    assert_eq!((info.status, info.attempts, info.recoveries), (Status::Pending, 1, 0));
    app.shutdown().await;
}

async fn a_call_after_the_restart_gets_the_recorded_result(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.scope(async { plus_one(2).id("p").await }).await.unwrap(), 21);
    app.shutdown().await;

    let app = database.launch().await;
    assert_eq!(app.scope(async { plus_one(9999).id("p").await }).await.unwrap(), 21);
    app.shutdown().await;
}
