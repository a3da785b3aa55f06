//! An order that survives `kill -9`.
//!
//! ```text
//! cargo run --example quickstart                  the order order-1, a second per step
//! cargo run --example quickstart -- order-2       another order
//! cargo run --example quickstart -- order-3 0.1   ten steps a second
//! ```
//!
//! Kill it half-way and run it again: it continues with the step after the last recorded one.
//! The file `effects.log` shows what the steps did to the outside world. To run it on
//! Postgres, set `DURABLE_DATABASE_URL=postgres://user@host/database`.

use std::fs::File;
use std::io::Write;

use durable::prelude::*;

const TASKS: [&str; 8] = [
    "check the stock",
    "reserve the tea",
    "charge the card",
    "print the label",
    "pack the parcel",
    "hand it to the courier",
    "send the receipt",
    "ask for a review",
];

/// A side effect: it takes some time, and appends a line to `effects.log`.
#[step]
async fn carry_out(order: &str, task: &str, seconds: f64) -> Result<()> {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let line = format!("{order}: {task}\n");
    File::options().append(true).create(true).open("effects.log")?.write_all(line.as_bytes())?;
    print!("  did     {line}");
    Ok(())
}

/// Ordinary code: no context argument, no registration.
#[workflow]
async fn fulfil(order: String, seconds: f64) -> Result<String> {
    for task in TASKS {
        carry_out(&order, task, seconds).await?;
    }
    Ok(format!("{order} is on its way"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let order = arguments.next().unwrap_or_else(|| "order-1".to_owned());
    let seconds = arguments.next().map_or(Ok(1.0), |it| it.parse::<f64>())?;

    let app = Durable::launch("quickstart").await?; // the file quickstart.sqlite, or DURABLE_DATABASE_URL
    let steps = app.list_steps(&order).await?;
    println!("{order}, kept in {}", app.location());
    println!("Try this: kill it half-way (kill -9 {}), and run the same command again.", std::process::id());
    for (step, task) in steps.iter().zip(TASKS) {
        println!("  done    {order}: {task} (recorded at {})", step.completed_at.format("%H:%M:%S"));
    }

    // The id makes the call idempotent: the same order is never fulfilled twice.
    let result = fulfil(order.clone(), seconds).id(&order).await?;
    println!("{result}");
    println!("Run it again and nothing happens twice; or try another: cargo run --example quickstart -- order-2");

    app.shutdown().await;
    Ok(())
}
