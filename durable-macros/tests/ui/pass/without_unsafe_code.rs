//! The list of workflows is made before `main` without any unsafe code of the user's.

#![forbid(unsafe_code)]
#![deny(warnings)]

use durable::prelude::*;

#[workflow(name = "first-one", max_recoveries = 5)]
async fn first(order: String) -> Result<String> {
    Ok(charge(order).await)
}

#[step(
    name = "charge",
    retries = 10,
    backoff = "100ms",
    backoff_rate = 1.5,
    max_backoff = "1h30m",
    jitter = 0,
    timeout = "2d",
    outside = "deny",
)]
async fn charge(order: String) -> String {
    order
}

fn main() {
    let _ = first("tea".into()).id("x");
}
