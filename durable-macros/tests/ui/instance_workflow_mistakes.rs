//! A workflow in the block is checked like any other, and an error in one does not hide those of the others.

use durable::prelude::*;

struct Shop;

#[durable::instance(name = "shop")]
impl Shop {
    #[workflow(retries = 3)]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }

    #[workflow]
    fn close(&self, day: &str) -> String {
        day.to_owned()
    }

    #[workflow]
    async fn report(&self) -> Result<String> {
        Ok(format!("{:?}", std::time::Instant::now()))
    }
}

fn main() {}
