//! The callers of a workflow with an error get no errors: they see the type that the fixed workflow has.

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
