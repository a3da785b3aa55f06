use durable::prelude::*;
use durable_macros::instance;

#[instance]
struct Shop;

#[instance]
impl Drop for Shop {
    fn drop(&mut self) {}
}

#[instance]
async fn open() {}

#[instance]
impl Shop {
    #[step]
    async fn count(&self) -> u32 {
        3
    }
}

fn main() {}
