use std::rc::Rc;

use durable::prelude::*;

struct Shop;

impl Instance for Shop {
    fn instance_name(&self) -> &str {
        "corner"
    }
}

struct Item;

#[durable::instance]
impl Shop {
    #[workflow]
    async fn stock(&self, item: Item, count: u32) -> Result<u32> {
        drop(item);
        Ok(count)
    }

    #[workflow]
    async fn sell(&self) -> Result<Item> {
        Ok(Item)
    }

    #[workflow]
    async fn close(&self) -> Result<()> {
        let shared = Rc::new(3);
        self.count().await;
        drop(shared);
        Ok(())
    }

    #[step]
    async fn count(&self) -> u32 {
        3
    }
}

fn main() {}
