use durable::prelude::*;

struct Shop;

#[durable::instance]
impl Shop {
    #[step]
    #[workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }
}

fn main() {}
