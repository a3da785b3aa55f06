//! A workflow calls itself, and steps call each other.

use durable::prelude::*;

#[workflow]
async fn countdown(from: u32) -> Result<u32> {
    if from == 0 {
        return Ok(even(from).await as u32);
    }
    countdown(from - 1).await
}

#[step]
async fn even(number: u32) -> bool {
    number == 0 || odd(number - 1).await
}

#[step]
async fn odd(number: u32) -> bool {
    number != 0 && even(number - 1).await
}

#[step]
async fn depth(path: &[&str]) -> usize {
    match path {
        [] => 0,
        [_, rest @ ..] => 1 + depth(rest).await,
    }
}

#[tokio::test]
async fn workflows_and_steps_are_recursive() {
    assert!(even(10).await);
    assert_eq!(depth(&["a", "b"]).await, 2);
    let _ = countdown(3).id("x");
}
