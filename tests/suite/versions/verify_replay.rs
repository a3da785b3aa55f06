//! `verify_replay`: a recorded history against the present code, without running anything.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use durable::prelude::*;
use durable::{ReplayOutcome, ReplayReport};

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
    a_history_matches_the_code_that_recorded_it_and_nothing_runs_again,
    a_waiting_workflow_is_verified_up_to_where_it_stands,
    a_changed_call_is_a_mismatch_with_both_names_and_the_position,
    calls_that_are_gone_are_missing_and_calls_that_were_added_are_extra,
    what_cannot_be_verified_is_unknown_with_the_reason,
    replays_are_verified_for_a_filter_and_from_a_body,
}

/// The change of the code that the workflows with a key run with.
static CHANGE: LazyLock<Mutex<HashMap<String, &'static str>>> = LazyLock::new(Mutex::default);

fn deploy(key: &str, change: &'static str) {
    CHANGE.lock().unwrap().insert(key.to_owned(), change);
}

fn change(key: &str) -> &'static str {
    CHANGE.lock().unwrap().get(key).copied().unwrap_or("")
}

#[step]
async fn effect(key: &str, what: &str) -> String {
    count(format!("{key} effect"));
    what.to_owned()
}

#[step]
async fn other_effect(key: &str) -> String {
    count(format!("{key} effect"));
    "other".to_owned()
}

#[step]
async fn hold(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    1
}

#[step]
async fn fails() -> Result<u32, String> {
    Err("no".to_owned())
}

#[workflow]
async fn verified_child(key: String) -> Result<String> {
    Ok(effect(&key, "in the child").await)
}

/// Every operation that has a record.
#[workflow]
async fn all_operations(key: String) -> Result<String> {
    let id = durable::workflow_id().unwrap_or_default();
    let mut done = vec![effect(&key, "one").await];
    durable::sleep(Duration::from_millis(1)).await;
    let _now = durable::now().await;
    if durable::patch("later").await {
        done.push(verified_child(key.clone()).await?);
    }
    durable::send(&id, "topic", &1).await?;
    durable::recv::<u32>("topic", Duration::from_hours(1)).await?;
    let nothing = durable::recv::<u32>("topic", Duration::from_millis(1)).await?;
    durable::set_event("event", &1).await?;
    durable::get_event::<u32>(&id, "event", Duration::from_hours(1)).await?;
    durable::write_stream("stream", &1).await?;
    durable::close_stream("stream").await?;
    let mut items = durable::read_stream::<u32>(&id, "stream");
    while let Some(item) = items.next().await {
        done.push(item?.to_string());
    }
    let handle = verified_child(key.clone()).start().await?;
    let spawned = durable::spawn({
        let key = key.clone();
        async move { effect(&key, "spawned").await }
    });
    let (left, right) = durable::join!(async { effect(&key, "left").await }, async { effect(&key, "right").await });
    done.extend([left, right, spawned.await]);
    done.extend(
        durable::map(0..3, 2, |item| {
            let key = key.clone();
            async move { effect(&key, &item.to_string()).await }
        })
        .await,
    );
    done.push(durable::select! {
        first = effect(&key, "first") => first,
        () = durable::sleep(Duration::from_hours(1)) => "slept".to_owned(),
    });
    done.push(handle.await?);
    let error = fails().retries(1).backoff(Duration::ZERO).await.unwrap_err();
    done.push(format!("{error} {nothing:?}"));
    durable::list_workflows(Filter::new().id(&id)).await?;
    Ok(done.join(" "))
}

async fn a_history_matches_the_code_that_recorded_it_and_nothing_runs_again(database: &TestDatabase) {
    let key = fresh("verified");
    let app = database.launch().await;
    app.scope(all_operations(key.clone()).id(&key)).await.unwrap();
    let shown = async || {
        let listed = app.list_workflows(Filter::new()).await.unwrap();
        let messages = app.event_history::<u32>(&key, "event").await.unwrap().len();
        (listed, app.list_steps(&key).await.unwrap(), messages)
    };
    let (before, effects) = (shown().await, counted(&format!("{key} effect")));
    let report = app.verify_replay(&key).await.unwrap();
    assert_eq!(report.outcome, ReplayOutcome::Match, "{report}");
    assert!(report.compared >= 20 && report.records >= report.compared, "{report:?}");
    assert_eq!(counted(&format!("{key} effect")), effects, "no step was run");
    assert_eq!(shown().await, before, "nothing was written");

    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["outcome"], "match", "{json}");
    assert_eq!(serde_json::from_value::<ReplayReport>(json).unwrap(), report);
    app.shutdown().await;
}

#[workflow]
async fn stands_somewhere(key: String) -> Result<u32> {
    match change(&key) {
        "other step" => drop(other_effect(&key).await),
        "fewer" => return Ok(0),
        "panics" => panic!("the code of the next release"),
        "waits" => std::future::pending::<()>().await,
        _ => drop(effect(&key, "one").await),
    }
    let (held, ()) = durable::join!(async { hold(&key).await }, async {
        effect(&key, "beside").await;
        durable::sleep(Duration::from_hours(10)).await;
    });
    Ok(held)
}

/// A workflow that holds in one branch and sleeps in the other.
async fn standing(app: &Durable, key: &str) {
    app.scope(async { stands_somewhere(key.to_owned()).id(key).start().await.unwrap() }).await;
    arrived(key, 1).await;
    while app.list_steps(key).await.unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await; // until the wake-up time is recorded
    }
}

async fn a_waiting_workflow_is_verified_up_to_where_it_stands(database: &TestDatabase) {
    let key = fresh("standing");
    let app = database.launch().await;
    standing(&app, &key).await;
    let report = app.verify_replay(&key).await.unwrap();
    assert_eq!(report.outcome, ReplayOutcome::Match, "{report}");
    assert_eq!((report.records, report.compared), (3, 3));
    assert_eq!(counted(&key), 1, "the step that runs was not begun again");
    database.crash(app).await;
}

#[workflow]
async fn returned(key: String) -> Result<u32> {
    effect(&key, "one").await;
    match change(&key) {
        "fewer" => return Ok(0),
        "renamed" => drop(other_effect(&key).await),
        _ => drop(effect(&key, "two").await),
    }
    effect(&key, "three").await;
    if change(&key) == "more" {
        effect(&key, "four").await;
    }
    Ok(1)
}

async fn a_changed_call_is_a_mismatch_with_both_names_and_the_position(database: &TestDatabase) {
    let key = fresh("renamed");
    let app = database.launch().await;
    app.scope(returned(key.clone()).id(&key)).await.unwrap();
    deploy(&key, "renamed");
    let report = app.verify_replay(&key).await.unwrap();
    let ReplayOutcome::Mismatch { position, recorded, now } = &report.outcome else { panic!("{report}") };
    assert_eq!((position.to_string().as_str(), &*recorded.name, &*now.name), ("2", "effect", "other_effect"));
    assert_eq!(
        report.to_string(),
        "at position 2 this workflow recorded the step `effect`, and the code now calls the step `other_effect` there"
    );
    assert_eq!(serde_json::to_value(&report).unwrap()["records"], 3, "{report:?}");
    assert_eq!(app.retrieve_workflow::<u32>(&key).await.unwrap().status().await.unwrap(), Status::Success);
    app.shutdown().await;
}

async fn calls_that_are_gone_are_missing_and_calls_that_were_added_are_extra(database: &TestDatabase) {
    let key = fresh("returned");
    let app = database.launch().await;
    app.scope(returned(key.clone()).id(&key)).await.unwrap();
    let effects = counted(&format!("{key} effect"));
    deploy(&key, "fewer");
    let report = app.verify_replay(&key).await.unwrap();
    let ReplayOutcome::Missing { position, recorded, count } = &report.outcome else { panic!("{report}") };
    assert_eq!((position.to_string().as_str(), &*recorded.name, *count), ("2", "effect", 2));
    deploy(&key, "more");
    let report = app.verify_replay(&key).await.unwrap();
    let ReplayOutcome::Extra { position, now } = &report.outcome else { panic!("{report}") };
    assert_eq!((position.to_string().as_str(), &*now.name), ("4", "effect"));
    assert_eq!(counted(&format!("{key} effect")), effects, "no step was run");
    app.shutdown().await;
}

async fn what_cannot_be_verified_is_unknown_with_the_reason(database: &TestDatabase) {
    let key = fresh("unknown");
    let app = database.launch().await;
    standing(&app, &key).await;
    for (changed, reason) in [("panics", "the code of the next release"), ("waits", "no durable operation")] {
        deploy(&key, changed);
        let report = app.verify_replay(&key).await.unwrap();
        let ReplayOutcome::Unknown { reason: text } = &report.outcome else { panic!("{report}") };
        assert!(text.contains(reason), "{text}");
    }
    deploy(&key, "fewer");
    let report = app.verify_replay(&key).await.unwrap();
    assert!(matches!(report.outcome, ReplayOutcome::Missing { count: 3, .. }), "{report:?}");
    let error = app.verify_replay("nothing").await.unwrap_err();
    assert!(error.to_string().contains("no workflow has the id \"nothing\""), "{error}");
    database.crash(app).await;
}

#[workflow]
async fn verifies(id: String) -> Result<bool> {
    Ok(durable::verify_replay(&id).await?.is_match())
}

async fn replays_are_verified_for_a_filter_and_from_a_body(database: &TestDatabase) {
    let key = fresh("filtered");
    let app = database.launch().await;
    for id in ["a", "b"] {
        app.scope(returned(key.clone()).id(id)).await.unwrap();
    }
    assert!(app.scope(verifies("a".to_owned()).id("v")).await.unwrap());
    deploy(&key, "renamed");
    let reports = app.verify_replays(Filter::new().name("returned")).await.unwrap();
    assert_eq!(reports.iter().map(|it| (&*it.id, it.is_match())).collect::<Vec<_>>(), [("a", false), ("b", false)]);
    let own = app.verify_replay("v").await.unwrap();
    assert!(own.is_match(), "{own}");
    assert_eq!(app.list_steps("v").await.unwrap()[0].kind, "verify_replay");
    app.shutdown().await;
}
