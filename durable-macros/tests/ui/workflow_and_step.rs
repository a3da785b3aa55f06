use durable::prelude::*;

#[workflow]
#[step(retries = 3)]
async fn checkout(order: String) -> Result<String> {
    Ok(order)
}

#[durable::step]
#[durable::workflow]
async fn charge(order: String) -> Result<String> {
    Ok(order)
}

fn main() {
    let _ = checkout("tea".into()).id("x");
    let _ = charge("tea".into()).retries(1);
}
