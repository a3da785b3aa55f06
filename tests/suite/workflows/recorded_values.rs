//! Recorded time, ids and random numbers; `retry_if`; idempotency keys.

use std::collections::HashSet;

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
    now_uuid_and_random_are_the_same_after_a_restart,
    retry_if_stops_retrying_other_errors,
    a_blocking_step_sees_its_cancellation,
    a_step_has_the_same_idempotency_key_in_every_attempt,
}

#[step]
async fn record_line(key: &str, what: String) {
    count(format!("{key} {what}"));
}

#[step]
async fn hold(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    1
}

type Once = (DateTime<Utc>, String, f64);

#[workflow]
async fn reads_once(key: String) -> Result<Once> {
    let (now, uuid, random) = (durable::now(), durable::uuid(), durable::random());
    let (random, uuid, now) = tokio::join!(random, uuid, now);
    record_line(&key, format!("{now:?} {uuid} {random}")).await;
    hold(&key).await;
    Ok((now, uuid.to_string(), random))
}

async fn now_uuid_and_random_are_the_same_after_a_restart(database: &TestDatabase) {
    let key = fresh("once");
    let before = Utc::now();
    let app = database.launch().await;
    app.scope(async { reads_once(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    let (now, uuid, random) = app.retrieve_workflow::<Once>("w").await.unwrap().await.unwrap();
    let text = format!("{key} {now:?} {uuid} {random}");
    assert_eq!(counted(&text), 1, "both runs have the same values: {text}");
    assert!(before <= now && now <= Utc::now());
    assert!((0.0..1.0).contains(&random));
    let kinds: Vec<_> = app.list_steps("w").await.unwrap().into_iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["now", "uuid", "random", "step", "step"]);
    let plain: HashSet<_> = [durable::uuid().await, durable::uuid().await].into();
    assert_eq!(plain.len(), 2, "outside it is the plain thing");
    app.shutdown().await;
}

fn is_busy(error: &String) -> bool {
    error == "busy"
}

#[step(retries = 5, backoff = "1ms", retry_if = is_busy)]
async fn fails_as_given(key: &str, busy: u32) -> Result<u32, String> {
    let attempt = count(key);
    Err(if attempt <= busy { "busy".to_owned() } else { format!("broken at {attempt}") })
}

#[workflow]
async fn gives_up_early(key: String) -> Result<String> {
    Ok(fails_as_given(&key, 2).await.unwrap_err())
}

async fn retry_if_stops_retrying_other_errors(database: &TestDatabase) {
    let app = database.launch().await;
    let text = app.scope(async { gives_up_early(fresh("worth")).id("w").await.unwrap() }).await;
    assert_eq!(text, "broken at 3");
    assert_eq!(app.list_steps("w").await.unwrap()[0].attempts, 3);
    app.shutdown().await;
}

#[step]
fn blocks_until_cancelled(key: String) -> bool {
    count(&key);
    let cancellation = durable::cancellation();
    while !cancellation.is_cancelled() {
        std::thread::sleep(Duration::from_millis(1)); // it blocks its thread, like a real blocking step
    }
    count(format!("{key} stopped"));
    true
}

#[workflow]
async fn blocks(key: String) -> Result<bool> {
    Ok(blocks_until_cancelled(key).await)
}

async fn a_blocking_step_sees_its_cancellation(database: &TestDatabase) {
    let key = fresh("blocks");
    let app = database.launch().await;
    let handle = app.scope(async { blocks(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    handle.cancel().await.unwrap();
    arrived(&format!("{key} stopped"), 1).await;
    assert!(handle.await.unwrap_err().is_cancelled());
    app.shutdown().await;
}

#[step(retries = 1, backoff = "1ms")]
async fn notes_its_key(key: &str) -> Result<String> {
    let idempotency = durable::idempotency_key().unwrap();
    match count(format!("{key} {idempotency}")) {
        1 => Err(Error::msg("once more")),
        _ => Ok(idempotency),
    }
}

#[workflow]
async fn notes_keys(key: String) -> Result<Vec<String>> {
    Ok(vec![notes_its_key(&key).await?, notes_its_key(&key).await?])
}

async fn a_step_has_the_same_idempotency_key_in_every_attempt(database: &TestDatabase) {
    let app = database.launch().await;
    let keys = app.scope(async { notes_keys(fresh("key")).id("w").await.unwrap() }).await;
    assert_eq!(keys, ["w:1", "w:2"], "the same in both attempts, and another one in another step");
    assert_eq!(durable::idempotency_key(), None);
    app.shutdown().await;
}
