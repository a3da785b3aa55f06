//! Errors of user code: typed values, messages, panics.

use std::fmt;

use durable::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::app_tests;

app_tests! {
    a_typed_error_is_returned_as_the_same_value,
    any_error_converts_with_a_question_mark,
    a_panic_in_a_step_ends_the_workflow_with_message_and_location,
    a_panic_in_a_body_ends_the_workflow_with_message_and_location,
    a_panicking_step_is_retried,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum PaymentError {
    Declined { cents: u64 },
    Engine(String),
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for PaymentError {}

impl From<Error> for PaymentError {
    fn from(error: Error) -> Self {
        Self::Engine(error.to_string())
    }
}

#[step]
async fn charge(cents: u64) -> Result<u64, PaymentError> {
    if cents > 100 { Err(PaymentError::Declined { cents }) } else { Ok(cents) }
}

#[workflow]
async fn pay(cents: u64) -> Result<u64, PaymentError> {
    match charge(cents).await {
        Err(PaymentError::Declined { cents }) if cents < 1000 => charge(100).await,
        other => other,
    }
}

async fn a_typed_error_is_returned_as_the_same_value(app: TestApp) {
    assert_eq!(pay(200).await.unwrap(), 100);
    let first = pay(2000).id("p").await.unwrap_err();
    let again = pay(2000).id("p").await.unwrap_err();
    assert_eq!(first, PaymentError::Declined { cents: 2000 });
    assert_eq!(again, first);

    // A caller without the type gets the message.
    let untyped = app.retrieve_workflow::<u64>("p").await.unwrap().await.unwrap_err();
    assert_eq!(untyped.to_string(), "Declined { cents: 2000 }");
    // And an error of the engine comes as the workflow's own type.
    let conflict =
        pay(1).id("p2").await.and(failing().id("p2").await.map_err(|it| PaymentError::Engine(it.to_string())));
    assert!(
        matches!(conflict, Err(PaymentError::Engine(text)) if text.contains("`pay`") && text.contains("`failing`"))
    );
}

#[workflow]
async fn failing() -> Result<u64> {
    Ok(u64::from("seven".parse::<u32>()?))
}

async fn any_error_converts_with_a_question_mark(app: TestApp) {
    let error = failing().id("f").await.unwrap_err();
    assert_eq!(error.to_string(), "invalid digit found in string");
    assert_eq!(error.type_name(), Some("core::num::error::ParseIntError"));

    let info = &app.list_workflows(Filter::new().status(Status::Error)).await.unwrap()[0];
    assert!(info.error.as_deref().unwrap().contains("invalid digit"), "{info:?}");
}

#[step]
async fn explode() -> u32 {
    panic!("no stock of \0 tea")
}

#[workflow]
async fn explosive() -> Result<u32> {
    Ok(explode().await)
}

async fn a_panic_in_a_step_ends_the_workflow_with_message_and_location(app: TestApp) {
    let error = explosive().id("e").await.unwrap_err();
    assert!(error.is_panic());
    let text = error.to_string();
    assert!(text.starts_with("the step `explode` at position 1 panicked at "), "{text}");
    assert!(text.contains("errors.rs:") && text.ends_with(": no stock of \\0 tea"), "{text}");
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap()[0].status, Status::Error);
    assert_eq!(explosive().id("e").await.unwrap_err().to_string(), text, "it is recorded");
}

#[workflow]
async fn index_out_of_bounds(items: Vec<u32>) -> Result<u32> {
    Ok(items[3])
}

async fn a_panic_in_a_body_ends_the_workflow_with_message_and_location(_app: TestApp) {
    let error = index_out_of_bounds(vec![1]).await.unwrap_err();
    assert!(error.is_panic());
    assert!(error.to_string().contains("errors.rs:") && error.to_string().contains("index is 3"), "{error}");
}

#[step(retries = 2, backoff = "1ms")]
async fn explode_twice() -> u32 {
    let attempt = durable::step_status().unwrap().attempt;
    assert!(attempt == 3, "attempt {attempt}");
    attempt
}

#[workflow]
async fn recovers_from_panics() -> Result<u32> {
    Ok(explode_twice().await)
}

async fn a_panicking_step_is_retried(_app: TestApp) {
    assert_eq!(recovers_from_panics().await.unwrap(), 3);
}
