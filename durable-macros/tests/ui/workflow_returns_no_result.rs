use durable::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Receipt;

#[workflow]
async fn checkout(order: String) -> String {
    order
}

#[workflow]
async fn refund(_order: String) -> (u32, Option<u32>) {
    (1, None)
}

#[workflow]
async fn receipt(_order: String) -> Receipt {
    Receipt
}

async fn all() -> Result<String> {
    checkout("tea".into()).await
}

fn main() {}
