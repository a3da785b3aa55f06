//! Replay: the same operations in the same positions, or the workflow is parked.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use durable::prelude::*;
use durable_core::store::{Entry, Fence, NewRecord};

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
    a_renamed_step_parks_the_workflow_with_both_names_and_the_position,
    an_unreadable_record_parks_the_workflow_with_its_position,
    the_first_record_for_a_position_wins,
    a_refused_start_is_refused_again_on_replay,
    ten_thousand_recorded_steps_are_replayed_and_none_runs_again,
}

/// The keys of workflows that run the code of the next release.
static CHANGED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

#[step]
async fn old_name(key: &str) -> String {
    format!("{key} old")
}

#[step]
async fn new_name(key: &str) -> String {
    count(format!("{key} new"));
    "new".into()
}

#[step]
async fn hold(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    1
}

#[workflow]
async fn released_twice(key: String) -> Result<String> {
    let changed = CHANGED.lock().unwrap().contains(&key);
    let first = if changed { new_name(&key).await } else { old_name(&key).await };
    hold(&key).await;
    Ok(first)
}

async fn a_renamed_step_parks_the_workflow_with_both_names_and_the_position(database: &TestDatabase) {
    let key = fresh("renamed");
    let app = database.launch().await;
    app.scope(async { released_twice(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    CHANGED.lock().unwrap().insert(key.clone());
    let app = database.launch().await;
    let error = app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_parked(), "{text}");
    assert!(text.contains("position 1") && text.contains("`old_name`") && text.contains("`new_name`"), "{text}");
    assert_eq!(counted(&format!("{key} new")), 0, "the new step was not run");
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!(steps.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["old_name"], "nothing is lost");
    app.shutdown().await;
}

/// Writes a record for position 1 of the workflow `w`, in the name of the executor that runs it.
async fn record_first(app: &Durable, name: &str, output: &str) {
    let store = app.store();
    let executor = store.executors().await.unwrap().pop().unwrap();
    let fence = Fence { executor: executor.key, epoch: executor.epoch };
    let record = NewRecord {
        workflow: store.find("w").await.unwrap().unwrap().key,
        position: durable_core::Position::new("", 1),
        kind: "step",
        name: name.to_owned().into(),
        outcome: Some(durable_core::__private::Outcome::Output(output.into())),
        child: None,
        attempts: 1,
        failures: None,
        ran_for: Duration::ZERO,
    };
    store.commit(fence, &[Entry { records: vec![record], ..Entry::default() }], false).await.unwrap();
}

#[workflow]
async fn holds_first(key: String) -> Result<u32> {
    let held = hold(&key).await;
    Ok(held + u32::try_from(new_name(&key).await.len()).unwrap())
}

async fn an_unreadable_record_parks_the_workflow_with_its_position(database: &TestDatabase) {
    let key = fresh("unreadable");
    let app = database.launch().await;
    app.scope(async { holds_first(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    record_first(&app, "hold", "\"no number\"").await;
    database.crash(app).await;

    let app = database.launch().await;
    let error = app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap_err();
    assert!(error.is_parked(), "{error}");
    assert!(error.to_string().contains("the record of `hold` at position 1 cannot be decoded"), "{error}");
    app.shutdown().await;
}

async fn the_first_record_for_a_position_wins(database: &TestDatabase) {
    let key = fresh("first wins");
    let app = database.launch().await;
    let handle = app.scope(async { holds_first(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    record_first(&app, "hold", "40").await;

    // The step returns 1, but 40 is recorded: the body begins again, and continues with 40.
    gate(&key).add_permits(1);
    assert_eq!(handle.await.unwrap(), 43);
    assert_eq!(counted(&key), 1, "the step itself ran once");
    assert_eq!(counted(&format!("{key} new")), 1, "nothing ran on the ground that gave way");
    app.shutdown().await;
}

#[workflow]
async fn owns_the_id(key: String) -> Result<String> {
    Ok(key)
}

#[workflow]
async fn starts_taken_id(key: String) -> Result<String> {
    durable::set_event("before", &1).await?; // it goes into the database with the start
    let refused = holds_first(key.clone()).id("taken").start().await.map(|it| it.id().to_owned());
    let awaited = holds_first(key.clone()).id("taken").await.map(|it| it.to_string());
    hold(&key).await;
    Ok(format!("{refused:?} and {awaited:?}"))
}

async fn a_refused_start_is_refused_again_on_replay(database: &TestDatabase) {
    let key = fresh("refused");
    let app = database.launch().await;
    app.scope(async {
        owns_the_id(key.clone()).id("taken").await.unwrap();
        starts_taken_id(key.clone()).id("w").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    let text = app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap();
    assert_eq!(text.matches("belongs to a workflow `owns_the_id` already").count(), 2, "{text}");
    assert_eq!(app.store().event_history("w", "before").await.unwrap().len(), 1, "it was shown once");
    app.shutdown().await;
}

const MANY: u32 = 10_000;

#[step]
async fn number(key: &str, it: u32) -> u32 {
    count(format!("{key} number"));
    it
}

#[workflow]
async fn sums_many(key: String) -> Result<u32> {
    let mut sum = hold(&key).await;
    for it in 1..=MANY {
        sum += number(&key, it).await;
    }
    Ok(sum)
}

async fn ten_thousand_recorded_steps_are_replayed_and_none_runs_again(database: &TestDatabase) {
    let key = fresh("many");
    let app = database.launch().await;
    app.scope(async { sums_many(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;
    // As if they had run: recording so many one by one would take long.
    let records = format!(
        "insert into durable.steps (workflow, branch, position, kind, name, attempts, started_at, completed_at, output)
         with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {MANY})
         select w.key, '', n + 1, 'step', 'number', 1, 1, 1, cast(n as text) from durable.workflows w cross join numbers"
    );
    database.direct_connection().await.execute(&records).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    let sum = app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap();
    assert_eq!((sum, counted(&format!("{key} number"))), (1 + MANY * (MANY + 1) / 2, 0));
    app.shutdown().await;
}
