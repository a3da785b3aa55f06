//! A worker whose work comes from programs in other languages.
//!
//! ```text
//! export DURABLE_DATABASE_URL=postgres://user@host/database
//! cargo run --example orders
//! psql "$DURABLE_DATABASE_URL" -f examples/other-languages/enqueue.sql     in another terminal
//! python3 examples/other-languages/enqueue.py                              or the same in Python
//! ```
//!
//! They call `durable.enqueue(..)` and `durable.send(..)`, two functions in the engine's Postgres
//! schema. The arguments are one JSON object, by the names that they have in Rust.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

/// Programs in other languages enqueue under this name.
#[queue]
static ORDERS: Queue = Queue::new("orders").worker_concurrency(5);

/// The message on the topic `payment`.
#[derive(Serialize, Deserialize)]
struct Payment {
    cents: u64,
}

#[step]
async fn pack(order: &str, parcel: u32) {
    println!("{order}: packed parcel {parcel}");
}

/// Ships an order once it is paid for.
#[workflow]
async fn ship(order: String, parcels: u32) -> Result<String> {
    let payment: Option<Payment> = durable::recv("payment", Duration::from_hours(1)).await?;
    let Some(payment) = payment else { return Ok(format!("{order} was not paid for")) };
    for parcel in 1..=parcels {
        pack(&order, parcel).await;
    }
    let confirmation = format!("{order} is on its way, paid with {} cents", payment.cents);
    println!("{confirmation}");
    Ok(confirmation)
}

#[tokio::main]
async fn main() -> Result<()> {
    let app = Durable::launch("orders").await?;
    println!("waiting for orders on the queue {ORDERS}, kept in {}", app.location());
    tokio::signal::ctrl_c().await?;
    app.shutdown().await;
    Ok(())
}
