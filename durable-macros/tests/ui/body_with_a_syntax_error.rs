use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<String> {
    let total = order.len() +;
    Ok(order)
}

fn main() {}
