use durable::prelude::*;

#[durable::instance]
struct Shop;

#[durable::instance]
impl Drop for Shop {
    fn drop(&mut self) {}
}

#[durable::instance]
async fn open() {}

#[durable::instance]
impl Shop {
    #[step]
    async fn count(&self) -> u32 {
        3
    }
}

fn main() {}
