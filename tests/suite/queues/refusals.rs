//! What is refused of queues and their options, and in which words: nothing is written, and nobody is parked.

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::stage::{Stage, on_every_stage};

on_every_stage! {
    a_queue_that_no_program_could_declare_is_refused_where_it_is_named,
    a_child_on_a_queue_that_cannot_be_is_an_error_and_no_parking,
    a_queue_of_another_program_is_accepted,
    a_delay_beside_a_debounce_is_refused,
    a_bound_without_a_debounce_is_refused_with_the_mend,
    no_call_attaches_to_another_workflow_by_a_deduplication_id,
    limits_of_a_queue_with_another_name_are_refused,
}

#[queue]
static REFUSING: Queue = Queue::new("refusals");

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

/// Queues that cannot be, with what is said of them.
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

async fn a_queue_that_no_program_could_declare_is_refused_where_it_is_named(stage: &Stage) {
    let app = stage.launch().await;
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
    assert_eq!(stage.poll().await.len(), 1, "only the last one was written");
    app.shutdown().await;
}

#[workflow]
async fn enqueues_in_vain() -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (queue, _) in impossible() {
        told.push(echoes(1).enqueue(&queue).await.expect_err("it is refused").to_string());
    }
    Ok(told)
}

async fn a_child_on_a_queue_that_cannot_be_is_an_error_and_no_parking(stage: &Stage) {
    let app = stage.launch().await;
    let told = app.scope(async { enqueues_in_vain().await }).await.unwrap();
    for (text, (_, expected)) in told.into_iter().zip(impossible()) {
        assert!(text.contains(expected), "{text}");
    }
    app.shutdown().await;
}

async fn a_queue_of_another_program_is_accepted(stage: &Stage) {
    let app = stage.launch().await;
    let elsewhere = Queue::new("refusals-of-another-program");
    let handle = app.scope(async { echoes(1).enqueue(&elsewhere).await.unwrap() }).await;
    assert_eq!(handle.status().await.unwrap(), Status::Enqueued, "who has it may take it");
    app.shutdown().await;
}

async fn a_delay_beside_a_debounce_is_refused(stage: &Stage) {
    let app = stage.launch().await;
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
    assert!(stage.poll().await.is_empty());
    app.shutdown().await;
}

async fn a_bound_without_a_debounce_is_refused_with_the_mend(stage: &Stage) {
    let app = stage.launch().await;
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
async fn takes_another_for_as_good() -> Result<(ErrorKind, String)> {
    let call = others(2).queue(&REFUSING).deduplicate("cart").or_existing();
    let error = call.start().await.expect_err("it is another workflow");
    Ok((error.kind(), error.to_string()))
}

async fn no_call_attaches_to_another_workflow_by_a_deduplication_id(stage: &Stage) {
    let app = stage.builder("nobody").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        echoes(1).queue(&REFUSING).deduplicate("cart").id("one").start().await.unwrap();
        let outside = others(2).queue(&REFUSING).deduplicate("cart").or_existing().start().await;
        let outside = outside.expect_err("it is another workflow");
        let inside = takes_another_for_as_good().id("p").await.unwrap();
        for (kind, text) in [(outside.kind(), outside.to_string()), inside] {
            assert_eq!(kind, ErrorKind::Duplicate);
            assert!(text.contains("\"one\" (`echoes`) with the deduplication id \"cart\""), "{text}");
            assert!(text.contains("`others` was not enqueued") && text.contains("another deduplication id"), "{text}");
        }
    })
    .await;
    app.shutdown().await;
}

async fn limits_of_a_queue_with_another_name_are_refused(stage: &Stage) {
    let app = stage.launch().await;
    app.scope(async {
        let error = REFUSING.set_limits(&Queue::new("refusal").concurrency(1)).await.expect_err("a slip");
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("write `Queue::new(\"refusals\")`"), "{error}");
        assert_eq!(REFUSING.info().await.unwrap().limits.concurrency(), None);
    })
    .await;
    app.shutdown().await;
}
