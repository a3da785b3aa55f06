use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<impl std::fmt::Display> {
    Ok(order)
}

fn main() {}
