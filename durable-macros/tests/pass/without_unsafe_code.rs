//! The list of workflows is built before `main` without unsafe code in the user's crate.

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
    outside = "deny"
)]
async fn charge(order: String) -> String {
    order
}

#[test]
fn the_expansion_has_no_unsafe_code() {
    let _ = first("tea".into()).id("x");
}
