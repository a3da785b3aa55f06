use durable::prelude::*;

struct Shop;

impl Shop {
    #[step]
    fn count(&self, shelf: u32) -> u32 {
        shelf
    }
}

#[step]
fn digest(data: &[u8], salt: String) -> usize {
    data.len() + salt.len()
}

async fn all(shop: Shop) -> usize {
    shop.count(1).await as usize + digest(&[1, 2], String::new()).retries(1).await
}

fn main() {}
