//! A program that shuts down after a line of input.
//!
//! ```text
//! shutdown_worker MODE MILLIS     runs the workflow of the mode, prints RUNNING, waits for a line of input,
//!                        shuts down within so many milliseconds, prints the report, and exits by it
//! ```
//!
//! The modes: `blocks` for a step that blocks a thread for 20 s, `stays` for the same in a process that
//! waits for another line of input before it exits, `steps` for a row of short steps without an end.
//! `DURABLE_DATABASE_URL` names the database.

use durable::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};

#[step]
fn blocks_a_thread() -> u32 {
    println!("RUNNING");
    std::thread::sleep(Duration::from_secs(20)); // a fault of the program that is tested here
    1
}

#[step]
async fn short(number: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(20)).await; // the work
    if number == 3 {
        println!("RUNNING");
    }
    number
}

#[workflow]
async fn leaves(mode: String) -> Result<u32> {
    if mode != "steps" {
        return Ok(blocks_a_thread().await);
    }
    let mut number = 0;
    loop {
        number += 1;
        short(number).await;
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let within = Duration::from_millis(arguments.next().unwrap_or_default().parse()?);

    let app = Durable::launch("shutdown_worker").await?;
    leaves(mode.clone()).id("w").start().await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let trigger = lines.next_line();
    let report = app.run_until_with(trigger, ShutdownOptions::within(within)).await;
    println!("{report}");
    if mode == "stays" {
        lines.next_line().await?;
    }
    // Not `return`: the runtime would wait for the thread of the step that blocks.
    std::process::exit(report.exit_code())
}
