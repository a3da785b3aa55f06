use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<u32> {
    let total: u32 = price(&order);
    let again = retry(order)?;
    Ok(total + again)
}

#[step]
async fn price(order: &str) -> u32 {
    order.len() as u32
}

#[workflow]
async fn retry(order: String) -> Result<u32> {
    Ok(order.len() as u32)
}

fn main() {}
