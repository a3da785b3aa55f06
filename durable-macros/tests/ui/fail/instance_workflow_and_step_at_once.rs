use durable::prelude::*;
use durable_macros::instance;

struct Shop;

#[instance]
impl Shop {
    #[step]
    #[workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }
}

fn main() {}
