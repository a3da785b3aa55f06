#![deny(unused_must_use)]

use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<()> {
    charge(&order);
    charge(&order).await?;
    Ok(())
}

#[step]
async fn charge(order: &str) -> Result<()> {
    println!("{order}");
    Ok(())
}

fn main() {
    checkout("tea".into());
}
