//! The callers of a faulty workflow do not light up: they see the call that it is meant to give.

use durable::prelude::*;

#[workflow]
fn checkout(order: String) -> Result<String> {
    Ok(order)
}

#[workflow]
async fn twice(order: String) -> Result<String> {
    checkout(order.clone()).await?;
    checkout(order).id("order-1").await
}

fn main() {}
