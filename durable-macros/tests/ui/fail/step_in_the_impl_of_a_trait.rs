use durable::prelude::*;

trait Shop {
    fn price(&self) -> u32;
}

struct Corner;

impl Shop for Corner {
    #[step]
    async fn price(&self) -> u32 {
        3
    }
}

fn main() {}
