use durable::prelude::*;

mod shop {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    pub struct Order;
}

#[workflow]
async fn checkout(order: Order) -> Result<HashMap<u32, u32>> {
    charge(&order).await
}

#[step]
async fn charge(order: &Order) -> Result<HashMap<u32, u32>> {
    todo!("{order:?}")
}

fn main() {}
