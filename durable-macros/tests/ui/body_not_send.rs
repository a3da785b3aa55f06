use std::rc::Rc;

use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<()> {
    let shared = Rc::new(order);
    charge(&shared).await
}

#[step]
async fn charge(order: &str) -> Result<()> {
    let shared = Rc::new(order);
    tokio::task::yield_now().await;
    println!("{shared}");
    Ok(())
}

fn main() {}
