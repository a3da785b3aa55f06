use durable::prelude::*;

struct Shop<T>(T);

#[durable::instance]
impl<T: Send> Shop<T> {
    #[workflow]
    async fn open(&self, day: u32) -> Result<u32> {
        Ok(day)
    }
}

#[durable::instance]
impl Shop<u8> {
    #[workflow]
    async fn close(&self, day: u32) -> Result<u32> {
        Ok(day)
    }
}

fn main() {}
