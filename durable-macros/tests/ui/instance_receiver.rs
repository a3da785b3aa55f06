use std::sync::Arc;

use durable::prelude::*;

struct Shop {
    stock: u32,
}

#[durable::instance]
impl Shop {
    #[workflow]
    async fn restock(&mut self, more: u32) -> Result<u32> {
        self.stock += more;
        Ok(self.stock)
    }

    #[workflow]
    async fn close(self) -> Result<u32> {
        Ok(self.stock)
    }

    #[workflow]
    async fn share(self: Arc<Self>) -> Result<u32> {
        Ok(self.stock)
    }

    #[workflow]
    async fn open(day: u32) -> Result<u32> {
        Ok(day)
    }
}

fn main() {}
