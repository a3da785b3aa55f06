use durable::prelude::*;

#[workflow]
async fn checkout(order: String, cents: u64) -> Result<String> {
    Ok(format!("{order}: {cents}"))
}

#[workflow]
async fn shop(order: String) -> Result<String> {
    checkout(&order, 3).await?;
    checkout(order).await
}

fn main() {}
