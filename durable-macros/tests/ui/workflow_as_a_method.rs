use durable::prelude::*;

struct Shop;

impl Shop {
    #[workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }

    #[workflow]
    async fn close(day: u32) -> Result<u32> {
        Self::count(day)
    }

    fn count(day: u32) -> Result<u32> {
        Ok(day)
    }
}

async fn week(shop: Shop) -> Result<u32> {
    Ok(shop.open(1).await? + Shop::close(2).await?)
}

fn main() {}
