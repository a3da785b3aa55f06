use durable::prelude::*;

struct Order {
    id: String,
}

#[workflow]
async fn checkout(attempt: u32, order: Order) -> Result<u32> {
    println!("{}", order.id);
    Ok(attempt)
}

fn main() {}
