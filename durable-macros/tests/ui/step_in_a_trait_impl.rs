use durable::prelude::*;
use durable::sqlx::PgConnection;

trait Warehouse {
    async fn reserve(&self, order: &str) -> Result<u64>;
    async fn ship(&self, order: String) -> Result<u64>;
    async fn record(&self, tx: &mut PgConnection) -> Result<u64>;
}

struct Berlin;

impl Warehouse for Berlin {
    #[step(retries = 3)]
    async fn reserve(&self, order: &str) -> Result<u64> {
        Ok(order.len() as u64)
    }

    #[workflow]
    async fn ship(&self, order: String) -> Result<u64> {
        Ok(order.len() as u64)
    }

    #[transaction]
    async fn record(&self, tx: &mut PgConnection) -> Result<u64> {
        let _ = tx;
        Ok(1)
    }
}

fn main() {}
