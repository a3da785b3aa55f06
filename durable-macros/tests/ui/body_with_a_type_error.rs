use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<u32> {
    let total: u32 = order;
    Ok("none")
}

#[step]
async fn charge(order: &str) -> u32 {
    order
}

fn main() {}
