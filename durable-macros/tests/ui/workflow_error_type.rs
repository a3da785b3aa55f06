use std::error::Error;

use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<String, String> {
    Ok(order)
}

#[workflow]
async fn refund(order: String) -> Result<String, Box<dyn Error>> {
    Ok(order)
}

fn main() {}
