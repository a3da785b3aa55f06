use durable::prelude::*;

#[workflow]
struct Order {
    id: String,
}

#[step]
const LIMIT: u32 = 3;

#[workflow]
mod orders {}

trait Shop {
    #[step]
    async fn price(&self) -> u32;
}

#[durable::test]
impl Order {}

fn main() {
    let _ = (Order { id: String::new() }.id, LIMIT);
}
