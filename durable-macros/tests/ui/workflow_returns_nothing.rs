use durable::prelude::*;

#[workflow]
async fn checkout(order: String) {
    println!("{order}");
}

async fn twice() -> Result<()> {
    checkout("tea".into()).await?;
    checkout("milk".into()).id("order-1").await
}

fn main() {}
