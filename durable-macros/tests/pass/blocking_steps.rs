//! A step without `async` runs on the threads for blocking work.

#![deny(warnings)]

use durable::prelude::*;

#[step(retries = 1)]
fn digest(data: Vec<u8>, mut salt: u64) -> u64 {
    salt += 1;
    data.iter().map(|it| u64::from(*it)).sum::<u64>() + salt
}

#[step]
fn generic<T: Send + 'static>(values: Vec<T>, _text: impl Into<String> + Send) -> usize {
    values.len()
}

#[step]
fn name_of_thread() -> Option<String> {
    std::thread::current().name().map(ToOwned::to_owned)
}

#[tokio::test]
async fn a_step_without_async_runs_on_another_thread() {
    assert_eq!(digest(vec![1, 2], 3).await, 7);
    assert_eq!(generic(vec!['a'], "x").await, 1);
    assert_ne!(name_of_thread().await.as_deref(), Some("main"));
}
