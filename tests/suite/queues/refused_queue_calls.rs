//! Invalid queues and options: refused with an explanation, nothing is written, and no workflow is parked.

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::support::{TestDatabase, database_tests};

database_tests! {
an_invalid_queue_is_refused_wherever_it_is_used,
enqueueing_a_child_on_an_invalid_queue_is_an_error_and_does_not_park,
enqueueing_on_a_queue_of_another_program_is_allowed,
a_call_without_a_partition_key_is_refused_on_a_partitioned_queue,
delay_together_with_debounce_is_refused,
debounce_up_to_without_debounce_is_refused_with_the_fix,
a_deduplication_id_never_attaches_to_another_workflow_function,
set_limits_refuses_a_queue_of_another_name,
}

#[queue]
static REFUSING: Queue = Queue::new("refusals");
#[queue]
static KEYED: Queue = Queue::new("refusals-keyed").partitioned();

#[workflow]
async fn echoes(value: u32) -> Result<u32> {
    Ok(value)
}

#[workflow]
async fn others(value: u32) -> Result<u32> {
    Ok(value)
}

const LONG: &str = match std::str::from_utf8(&[b'x'; 10_000]) {
    Ok(text) => text,
    Err(_) => panic!(),
};

/// Invalid queues, with a part of their error.
fn impossible() -> [(Queue, &'static str); 6] {
    [
        (Queue::new(""), "the queue name \"\" cannot be used: it is empty"),
        (Queue::new("a\0b"), "control character '\\0'"),
        (Queue::new(LONG), "it has 10000 bytes and 255 are allowed"),
        (Queue::new("none").concurrency(0), "`none` would never run anything"),
        (Queue::new("none").rate_limit(0, Duration::from_secs(1)), "`none` would never start anything"),
        (Queue::new("durable"), "`durable`: that is the engine's own one"),
    ]
}

async fn an_invalid_queue_is_refused_wherever_it_is_used(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for (queue, expected) in impossible() {
            let errors = [
                echoes(1).queue(&queue).start().await.expect_err(expected),
                echoes(1).enqueue(&queue).await.expect_err(expected),
                echoes(1).queue(&queue).await.expect_err(expected),
                echoes(1).queue(&queue).debounce("k", Duration::ZERO).start().await.expect_err(expected),
                queue.enqueue_all([echoes(1)]).await.expect_err(expected),
                queue.pause().await.expect_err(expected),
                queue.resume().await.expect_err(expected),
                queue.set_limits(&queue).await.expect_err(expected),
            ];
            for error in errors {
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
        assert_eq!(echoes(1).queue(&Queue::new("")).enqueue(&REFUSING).await.unwrap().await.unwrap(), 1);
    })
    .await;
    assert_eq!(database.workflows().await.len(), 1, "only the last one was written");
    app.shutdown().await;
}

#[workflow]
async fn enqueues_on_invalid_queue() -> Result<Vec<String>> {
    let mut text = Vec::new();
    for (queue, _) in impossible() {
        text.push(echoes(1).enqueue(&queue).await.expect_err("it is refused").to_string());
    }
    Ok(text)
}

async fn enqueueing_a_child_on_an_invalid_queue_is_an_error_and_does_not_park(database: &TestDatabase) {
    let app = database.launch().await;
    let text = app.scope(async { enqueues_on_invalid_queue().await }).await.unwrap();
    for (text, (_, expected)) in text.into_iter().zip(impossible()) {
        assert!(text.contains(expected), "{text}");
    }
    app.shutdown().await;
}

async fn enqueueing_on_a_queue_of_another_program_is_allowed(database: &TestDatabase) {
    let app = database.launch().await;
    let elsewhere = Queue::new("refusals-of-another-program");
    let handle = app.scope(async { echoes(1).enqueue(&elsewhere).await.unwrap() }).await;
    assert_eq!(handle.status().await.unwrap(), Status::Enqueued, "a program that has the queue may claim it");
    app.shutdown().await;
}

#[workflow(queue = KEYED)]
async fn waits_on_keyed(value: u32) -> Result<u32> {
    Ok(value)
}

#[workflow]
async fn calls_without_key() -> Result<Vec<String>> {
    let refused = waits_on_keyed(1).await.expect_err("there is no key").to_string();
    let enqueued = echoes(1).enqueue(&KEYED).await.expect_err("there is no key").to_string();
    Ok(vec![refused, enqueued])
}

async fn a_call_without_a_partition_key_is_refused_on_a_partitioned_queue(database: &TestDatabase) {
    let app = database.launch().await;
    let limited = Queue::new("refusals-limited").partition_concurrency(2);
    let texts = app.scope(async { calls_without_key().await }).await.unwrap();
    for text in texts {
        assert!(text.contains("add `.partition(key)`"), "{text}");
    }
    app.scope(async {
        for (queue, error) in [
            (&KEYED, echoes(1).enqueue(&KEYED).await.expect_err("there is no key")),
            (&KEYED, echoes(1).queue(&KEYED).await.expect_err("there is no key")),
            (&KEYED, waits_on_keyed(1).start().await.expect_err("there is no key")),
            (&KEYED, waits_on_keyed(1).await.expect_err("there is no key")),
            (&KEYED, KEYED.enqueue_all([echoes(1)]).await.expect_err("there is no key")),
            (&limited, echoes(1).enqueue(&limited).await.expect_err("there is no key")),
        ] {
            assert_eq!(error.kind(), ErrorKind::Misuse);
            let named = format!("its queue `{}`", queue.name());
            assert!(error.to_string().contains(&named) && error.to_string().contains(".partition(key)"), "{error}");
        }
        let error = waits_on_keyed(1).schedule("keyed", "0 2 * * *").await.expect_err("a tick has no key");
        assert!(error.to_string().contains("`waits_on_keyed`"), "{error}");
        assert_eq!(database.workflows().await.len(), 1, "nothing but the parent was written");
        assert_eq!(waits_on_keyed(1).partition("ada").await.unwrap(), 1);
        assert_eq!(waits_on_keyed(2).queue(&REFUSING).await.unwrap(), 2, "that queue needs none");
    })
    .await;
    app.shutdown().await;
}

async fn delay_together_with_debounce_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for delay in [Duration::from_secs(5), Duration::ZERO] {
            let call = echoes(1).delay(delay).debounce("k", Duration::from_secs(1));
            let error = call.await.expect_err("one of the two would be dropped");
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(
                error.to_string().contains("`echoes`") && error.to_string().contains("remove `.delay(..)`"),
                "{error}"
            );
        }
    })
    .await;
    assert!(database.workflows().await.is_empty());
    app.shutdown().await;
}

async fn debounce_up_to_without_debounce_is_refused_with_the_fix(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let call = || echoes(1).debounce_up_to(Duration::from_secs(1));
        for error in [call().start().await.expect_err("no key"), call().await.expect_err("no key")] {
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert!(error.to_string().contains("add `.debounce(key, period)`"), "{error}");
        }
        let error = call().debounce("", Duration::ZERO).start().await.expect_err("an empty key");
        assert!(error.to_string().contains("the debounce key \"\" cannot be used: it is empty"), "{error}");
    })
    .await;
    app.shutdown().await;
}

#[workflow]
async fn attaches_to_duplicate() -> Result<(ErrorKind, String)> {
    let call = others(2).queue(&REFUSING).deduplicate("cart").or_existing();
    let error = call.start().await.expect_err("it is another workflow");
    Ok((error.kind(), error.to_string()))
}

async fn a_deduplication_id_never_attaches_to_another_workflow_function(database: &TestDatabase) {
    let app = database.builder("nobody").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        echoes(1).queue(&REFUSING).deduplicate("cart").id("one").start().await.unwrap();
        let outside = others(2).queue(&REFUSING).deduplicate("cart").or_existing().start().await;
        let outside = outside.expect_err("it is another workflow");
        let inside = attaches_to_duplicate().id("p").await.unwrap();
        for (kind, text) in [(outside.kind(), outside.to_string()), inside] {
            assert_eq!(kind, ErrorKind::Duplicate);
            assert!(text.contains("\"one\" (`echoes`) with the deduplication id \"cart\""), "{text}");
            assert!(text.contains("`others` was not enqueued") && text.contains("another deduplication id"), "{text}");
        }
    })
    .await;
    app.shutdown().await;
}

async fn set_limits_refuses_a_queue_of_another_name(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let error = REFUSING.set_limits(&Queue::new("refusal").concurrency(1)).await.expect_err("a slip");
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("write `Queue::new(\"refusals\")`"), "{error}");
        assert_eq!(REFUSING.info().await.unwrap().limits.concurrency(), None);
    })
    .await;
    app.shutdown().await;
}
