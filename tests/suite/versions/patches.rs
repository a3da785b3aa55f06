//! `patch` and `deprecate_patch`: histories of the earlier code, histories with the marker, and rollbacks.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{FaultMode, TestDatabase, arrived, count, counted, database_tests, failing_at, fresh, gate};

database_tests! {
    a_history_of_the_earlier_code_is_not_disturbed_by_a_patch_whichever_commit_the_crash_was_at,
    a_patched_run_gives_the_same_result_after_a_crash_at_any_commit,
    a_rollback_behind_a_patch_parks_the_workflow_and_names_the_patch,
    a_deprecated_patch_reads_its_marker_and_records_none,
    a_patch_in_a_branch_looks_at_the_records_of_its_branch,
    a_patch_before_what_an_earlier_run_waits_for_is_not_taken,
    a_patch_before_a_step_that_runs_beside_a_recorded_one_is_not_taken,
    a_patch_outside_and_in_a_step_is_taken,
    a_workflow_has_the_version_of_its_function_or_of_the_application,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Earlier,
    Patched,
    Deprecated,
}

/// The code that the workflows with a key run.
static CODE: LazyLock<Mutex<HashMap<String, Code>>> = LazyLock::new(Mutex::default);

fn deploy(key: &str, code: Code) {
    CODE.lock().unwrap().insert(key.to_owned(), code);
}

fn code(key: &str) -> Code {
    CODE.lock().unwrap().get(key).copied().unwrap_or(Code::Earlier)
}

#[step]
async fn note(key: &str, what: &str) -> String {
    count(format!("{key} {what}"));
    what.to_owned()
}

#[step]
async fn hold(key: &str) -> String {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    "held".to_owned()
}

/// A change that puts a step before another one.
async fn charge(key: &str) -> Vec<String> {
    match code(key) {
        Code::Earlier => return vec![note(key, "charge").await],
        Code::Patched => {
            if !durable::patch("reserve-first").await {
                return vec![note(key, "charge").await];
            }
        }
        Code::Deprecated => durable::deprecate_patch("reserve-first").await,
    }
    vec![note(key, "reserve").await, note(key, "charge").await]
}

#[workflow]
async fn order(key: String) -> Result<Vec<String>> {
    let mut done = vec![note(&key, "open").await];
    done.extend(charge(&key).await);
    done.push(note(&key, "close").await);
    Ok(done)
}

#[workflow]
async fn held_order(key: String) -> Result<Vec<String>> {
    let mut done = charge(&key).await;
    done.push(hold(&key).await);
    Ok(done)
}

const EARLIER_PATH: [&str; 3] = ["open", "charge", "close"];
const PATCHED_PATH: [&str; 4] = ["open", "reserve", "charge", "close"];

async fn kinds(app: &Durable, id: &str) -> Vec<String> {
    app.list_steps(id).await.unwrap().into_iter().map(|it| it.kind).collect()
}

/// Crashes a run of `before` at each of its commits, and finishes it with the patched code. Returns how often each of
/// the paths was taken.
async fn crash_at_each_commit(database: &TestDatabase, before: Code, mode: FaultMode) -> (u32, u32) {
    let (mut earlier, mut patched, mut at) = (0, 0, 0);
    loop {
        at += 1;
        let key = fresh("patched");
        deploy(&key, before);
        let faulty = failing_at(database, mode, at).await;
        let app = database.builder("patched").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        faulty.result_or_death(app.spawn_scoped(order(key.clone()).id(&key))).await;
        let faulted = faulty.was_reached();
        drop(app);
        faulty.close().await;

        deploy(&key, Code::Patched);
        let app = database.launch().await;
        let result = app.spawn_scoped(order(key.clone()).id(&key)).await.unwrap().unwrap();
        let kinds = kinds(&app, &key).await;
        if kinds.iter().any(|it| it == "patch") {
            assert_eq!(result, PATCHED_PATH, "{mode:?} at commit {at}");
            assert_eq!(kinds, ["step", "patch", "step", "step", "step"], "{mode:?} at commit {at}");
            patched += 1;
        } else {
            assert_eq!(result, EARLIER_PATH, "{mode:?} at commit {at}");
            assert_eq!(kinds, ["step", "step", "step"], "{mode:?} at commit {at}");
            assert_eq!(counted(&format!("{key} reserve")), 0, "{mode:?} at commit {at}");
            earlier += 1;
        }
        app.shutdown().await;
        if !faulted {
            return (earlier, patched);
        }
    }
}

async fn a_history_of_the_earlier_code_is_not_disturbed_by_a_patch_whichever_commit_the_crash_was_at(
    database: &TestDatabase,
) {
    for mode in [FaultMode::Before, FaultMode::After] {
        let (earlier, patched) = crash_at_each_commit(database, Code::Earlier, mode).await;
        assert!(earlier > 1 && patched > 1, "runs were crashed before the patch and behind it: {earlier}, {patched}");
    }
}

async fn a_patched_run_gives_the_same_result_after_a_crash_at_any_commit(database: &TestDatabase) {
    for mode in [FaultMode::Before, FaultMode::After, FaultMode::LostAnswer] {
        let (earlier, patched) = crash_at_each_commit(database, Code::Patched, mode).await;
        assert!(earlier == 0 && patched > 3, "{earlier}, {patched}");
    }
}

/// Runs `held_order` with `code` until it holds, and crashes.
async fn held_with(database: &TestDatabase, key: &str, code: Code) {
    deploy(key, code);
    let app = database.launch().await;
    app.scope(async { held_order(key.to_owned()).id(key).start().await.unwrap() }).await;
    arrived(key, 1).await;
    database.crash(app).await;
    gate(key).add_permits(2);
}

async fn a_rollback_behind_a_patch_parks_the_workflow_and_names_the_patch(database: &TestDatabase) {
    let key = fresh("rolled back");
    held_with(database, &key, Code::Patched).await;
    deploy(&key, Code::Earlier);
    let app = database.launch().await;
    let error = app.retrieve_workflow::<Vec<String>>(&key).await.unwrap().await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_parked(), "{text}");
    assert!(text.contains("position 1 this workflow recorded the patch `reserve-first`"), "{text}");
    assert!(
        text.contains("the step `note`") && text.contains(r#"bring `durable::patch("reserve-first")` back"#),
        "{text}"
    );
    app.shutdown().await;
}

async fn a_deprecated_patch_reads_its_marker_and_records_none(database: &TestDatabase) {
    let key = fresh("deprecated");
    held_with(database, &key, Code::Patched).await;
    deploy(&key, Code::Deprecated);
    let app = database.launch().await;
    let with_marker = app.retrieve_workflow::<Vec<String>>(&key).await.unwrap().await.unwrap();
    assert_eq!(with_marker, ["reserve", "charge", "held"]);
    let later = fresh("deprecated");
    deploy(&later, Code::Deprecated);
    gate(&later).add_permits(1);
    let without = app.scope(held_order(later.clone()).id(&later)).await.unwrap();
    assert_eq!(without, ["reserve", "charge", "held"]);
    assert_eq!(kinds(&app, &later).await, ["step", "step", "step"], "nothing is recorded for it");
    app.shutdown().await;
}

#[workflow]
async fn in_branches(key: String) -> Result<Vec<String>> {
    let (mut left, right) = durable::join!(
        async {
            let done = charge(&key).await;
            note(&key, "left").await;
            done
        },
        async {
            hold(&key).await;
            charge(&key).await
        }
    );
    left.extend(right);
    Ok(left)
}

async fn a_patch_in_a_branch_looks_at_the_records_of_its_branch(database: &TestDatabase) {
    let key = fresh("branches");
    let app = database.launch().await;
    app.scope(async { in_branches(key.clone()).id(&key).start().await.unwrap() }).await;
    arrived(&format!("{key} left"), 1).await;
    arrived(&key, 1).await;
    // The records of the left branch are durable before this: a second launch would not find them otherwise.
    while app.list_steps(&key).await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    database.crash(app).await;
    gate(&key).add_permits(2);
    deploy(&key, Code::Patched);
    let app = database.launch().await;
    let result = app.retrieve_workflow::<Vec<String>>(&key).await.unwrap().await.unwrap();
    assert_eq!(result, ["charge", "reserve", "charge"], "only the right branch had not come to the change");
    app.shutdown().await;
}

#[workflow]
async fn waits_in_between(key: String) -> Result<bool> {
    let changed = code(&key) == Code::Patched && durable::patch("before the wait").await;
    count(&key);
    durable::recv::<u32>("go", Duration::from_hours(1)).await?;
    Ok(changed)
}

async fn a_patch_before_what_an_earlier_run_waits_for_is_not_taken(database: &TestDatabase) {
    let key = fresh("waits");
    let app = database.launch().await;
    app.scope(async { waits_in_between(key.clone()).id(&key).start().await.unwrap() }).await;
    while app.list_steps(&key).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await; // until the deadline of the wait is recorded
    }
    database.crash(app).await;
    deploy(&key, Code::Patched);
    let app = database.launch().await;
    app.send(&key, "go", &1).await.unwrap();
    assert!(!app.retrieve_workflow::<bool>(&key).await.unwrap().await.unwrap(), "it went past the patch before");
    app.shutdown().await;
}

#[workflow]
async fn runs_steps_beside_each_other(key: String) -> Result<bool> {
    let changed = code(&key) == Code::Patched && durable::patch("before the steps").await;
    let (slow, quick) = (hold(&key), note(&key, "quick"));
    tokio::join!(slow, quick);
    Ok(changed)
}

async fn a_patch_before_a_step_that_runs_beside_a_recorded_one_is_not_taken(database: &TestDatabase) {
    let key = fresh("beside");
    let app = database.launch().await;
    app.scope(async { runs_steps_beside_each_other(key.clone()).id(&key).start().await.unwrap() }).await;
    while app.list_steps(&key).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await; // until position 2 is recorded, and 1 is not
    }
    database.crash(app).await;
    deploy(&key, Code::Patched);
    gate(&key).add_permits(2);
    let app = database.launch().await;
    assert!(!app.retrieve_workflow::<bool>(&key).await.unwrap().await.unwrap(), "it went past the patch before");
    assert_eq!(kinds(&app, &key).await, ["step", "step"]);
    assert_eq!(counted(&format!("{key} quick")), 1, "what is recorded does not run again");
    app.shutdown().await;
}

#[step]
async fn asks_in_a_step() -> bool {
    durable::patch("in a step").await
}

#[workflow]
async fn asks_for_a_patch() -> Result<bool> {
    Ok(asks_in_a_step().await)
}

async fn a_patch_outside_and_in_a_step_is_taken(database: &TestDatabase) {
    assert!(durable::patch("outside").await);
    durable::deprecate_patch("outside").await;
    let app = database.launch().await;
    assert!(app.scope(asks_for_a_patch().id("w")).await.unwrap());
    assert_eq!(kinds(&app, "w").await, ["step"]);
    app.shutdown().await;
}

#[workflow(version = "2")]
async fn versioned() -> Result<()> {
    Ok(())
}

#[workflow]
async fn unversioned() -> Result<()> {
    versioned().id("child").await
}

async fn a_workflow_has_the_version_of_its_function_or_of_the_application(database: &TestDatabase) {
    let app = database.builder("app").application_version("7").launch().await.unwrap();
    app.scope(unversioned().id("parent")).await.unwrap();
    let version = async |id: &str| {
        let found = app.list_workflows(Filter::new().id(id)).await.unwrap();
        found.into_iter().next().unwrap().version
    };
    assert_eq!(version("parent").await.as_deref(), Some("7"));
    assert_eq!(version("child").await.as_deref(), Some("2"));
    app.shutdown().await;
}
