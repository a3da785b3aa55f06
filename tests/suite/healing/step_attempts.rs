//! Attempts of steps: what one that is given up observes, and that none overlaps another.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use durable::AbortReason;
use durable::prelude::*;

use crate::support::{TestDatabase, arrived, budgets, count, counted, database_tests, fresh};

database_tests! {
    attempts_of_a_blocking_step_never_overlap,
    an_attempt_that_timed_out_observes_it_and_the_next_one_does_not,
    an_attempt_that_lost_a_select_observes_it,
    an_item_dropped_by_stop_on_error_observes_it,
    a_cancelled_workflow_keeps_its_reason_in_its_steps,
    a_given_up_step_that_heeds_should_abort_is_not_stuck,
}

/// The reasons that attempts observed, by key.
static REASONS: LazyLock<Mutex<HashMap<String, Vec<AbortReason>>>> = LazyLock::new(Mutex::default);

fn note(key: &str, reason: AbortReason) {
    REASONS.lock().unwrap().entry(key.to_owned()).or_default().push(reason);
    count(format!("{key} aborted"));
}

async fn reasons(key: &str, many: u32) -> Vec<AbortReason> {
    arrived(&format!("{key} aborted"), many).await;
    REASONS.lock().unwrap()[key].clone()
}

/// Blocks until it is asked to stop, and for a moment longer.
fn block_until_aborted(key: &str) -> Result<()> {
    assert_eq!(count(format!("{key} begun")) - counted(&format!("{key} ended")), 1, "one at a time");
    let reason = loop {
        match durable::should_abort() {
            Some(reason) => break reason,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    std::thread::sleep(Duration::from_millis(100)); // longer than the delay of a retry
    note(key, reason);
    count(format!("{key} ended"));
    Err(Error::msg(format!("stopped: {reason:?}")))
}

#[step(timeout = "20ms", retries = 2, backoff = "1ms")]
fn blocks(key: String) -> Result<()> {
    block_until_aborted(&key)
}

#[workflow]
async fn attempts_a_blocking_step(key: String) -> Result<()> {
    blocks(key).await
}

async fn attempts_of_a_blocking_step_never_overlap(database: &TestDatabase) {
    let key = fresh("overlap");
    let app = database.launch().await;
    let error = app.scope(async { attempts_a_blocking_step(key.clone()).await }).await.expect_err("each one times out");
    assert!(error.to_string().contains("took longer than its timeout of 20ms"), "{error}");
    assert_eq!(reasons(&key, 3).await, [AbortReason::Timeout; 3]);
    app.shutdown().await;
}

/// Notes in a task of its own why this attempt is asked to stop, and never returns.
async fn watch_and_wait(key: &str) {
    let (cancellation, of_task) = (durable::cancellation(), key.to_owned());
    tokio::spawn(async move { note(&of_task, cancellation.cancelled().await) });
    count(format!("{key} begun"));
    std::future::pending::<()>().await;
}

#[step(timeout = "20ms", retries = 1, backoff = "1ms")]
async fn times_out_once(key: &str) -> Result<u32> {
    if durable::step_status().unwrap().attempt == 1 {
        watch_and_wait(key).await;
    }
    reasons(key, 1).await;
    assert_eq!(durable::should_abort(), None, "this attempt is another one");
    Ok(2)
}

#[workflow]
async fn succeeds_after_a_timeout(key: String) -> Result<u32> {
    times_out_once(&key).await
}

async fn an_attempt_that_timed_out_observes_it_and_the_next_one_does_not(database: &TestDatabase) {
    let key = fresh("timed out");
    let app = database.launch().await;
    assert_eq!(app.scope(async { succeeds_after_a_timeout(key.clone()).await }).await.unwrap(), 2);
    assert_eq!(reasons(&key, 1).await, [AbortReason::Timeout]);
    app.shutdown().await;
}

#[step]
async fn never_returns(key: &str) -> Result<u32> {
    watch_and_wait(key).await;
    Ok(0)
}

#[step]
async fn begins(key: &str) -> Result<u32> {
    arrived(&format!("{key} begun"), 1).await;
    Ok(1)
}

#[step]
async fn fails(key: &str) -> Result<u32> {
    arrived(&format!("{key} begun"), 1).await;
    Err(Error::msg("no"))
}

#[workflow]
async fn loses_a_select(key: String) -> Result<u32> {
    durable::select! {
        lost = never_returns(&key) => lost,
        won = begins(&key) => won,
    }
}

async fn an_attempt_that_lost_a_select_observes_it(database: &TestDatabase) {
    let key = fresh("select");
    let app = database.launch().await;
    assert_eq!(app.scope(async { loses_a_select(key.clone()).await }).await.unwrap(), 1);
    assert_eq!(reasons(&key, 1).await, [AbortReason::Dropped]);
    app.shutdown().await;
}

#[workflow]
async fn stops_on_error(key: String) -> Result<Vec<u32>> {
    let key = &key;
    let item = |number| async move { if number == 0 { fails(key).await } else { never_returns(key).await } };
    durable::map(0..2, 2, item).stop_on_error().await
}

async fn an_item_dropped_by_stop_on_error_observes_it(database: &TestDatabase) {
    let key = fresh("stop on error");
    let app = database.launch().await;
    app.scope(async { stops_on_error(key.clone()).await }).await.expect_err("the first item fails");
    assert_eq!(reasons(&key, 1).await, [AbortReason::Dropped]);
    app.shutdown().await;
}

#[workflow]
async fn is_cancelled(key: String) -> Result<u32> {
    never_returns(&key).await
}

async fn a_cancelled_workflow_keeps_its_reason_in_its_steps(database: &TestDatabase) {
    let key = fresh("cancelled");
    let app = database.launch().await;
    app.scope(async {
        let handle = is_cancelled(key.clone()).start().await.unwrap();
        arrived(&format!("{key} begun"), 1).await;
        handle.cancel().await.unwrap();
    })
    .await;
    assert_eq!(reasons(&key, 1).await, [AbortReason::Cancelled]);
    app.shutdown().await;
}

#[step]
fn heeds_should_abort(key: String) -> Result<u32> {
    block_until_aborted(&key).map(|()| 0)
}

#[workflow]
async fn ends_before_its_step(key: String) -> Result<u32> {
    durable::select! {
        lost = heeds_should_abort(key.clone()) => lost,
        won = begins(&key) => won,
    }
}

async fn a_given_up_step_that_heeds_should_abort_is_not_stuck(database: &TestDatabase) {
    let key = fresh("heeds");
    let app = database.launch().await;
    assert_eq!(app.scope(async { ends_before_its_step(key.clone()).await }).await.unwrap(), 1);
    assert_eq!(counted(&format!("{key} ended")), 0, "it runs on for a moment");
    let report = app.shutdown_with(budgets(0, 30_000)).await;
    assert!(report.is_clean() && report.stuck.is_empty(), "{report}");
    assert_eq!(reasons(&key, 1).await, [AbortReason::Dropped]);
}
