use durable::prelude::*;

struct Shop;

#[durable::instance]
impl Shop {
    #[workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }

    #[workflow]
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
