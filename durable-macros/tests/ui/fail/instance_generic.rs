use durable::prelude::*;
use durable_macros::instance;

struct Shop<T>(T);

#[instance]
impl<T: Send> Shop<T> {
    #[workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }
}

#[instance]
impl Shop<u8> {
    #[workflow]
    async fn close(&self, day: u32) -> Result<u32> {
        Ok(day)
    }
}

fn main() {}
