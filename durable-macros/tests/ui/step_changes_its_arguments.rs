use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use durable::prelude::*;

struct Order {
    cents: u64,
}

#[step]
async fn price(order: &mut Order) -> Result<()> {
    order.cents = 777;
    Ok(())
}

#[step]
async fn price_all(orders: Vec<&mut Order>, counted: &AtomicU64) -> Result<()> {
    let _ = (orders, counted);
    Ok(())
}

#[step]
fn price_shared(order: Arc<Mutex<Order>>) {
    order.lock().unwrap().cents = 777;
}

impl Order {
    #[step]
    async fn discount(&mut self) -> Result<()> {
        self.cents -= 1;
        Ok(())
    }
}

#[workflow]
async fn checkout(mut order: String) -> Result<String> {
    durable::step("price", async {
        order = "777".into();
        Ok::<_, Error>(())
    })
    .await?;
    durable::step("fill", async { fill(&mut order) }).await?;
    Ok(order)
}

fn fill(order: &mut String) -> Result<()> {
    order.push('7');
    Ok(())
}

fn main() {}
