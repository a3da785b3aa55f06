//! Build B of the program: it wraps in place of packing for the second time. See `program.rs`.

mod program;

use std::process::ExitCode;

use durable::prelude::*;

use self::program::{hold, pack};

#[step]
async fn wrap() -> u32 {
    2
}

#[workflow]
async fn shipping(holds_early: bool) -> Result<u32> {
    pack().await;
    if holds_early {
        hold().await;
    }
    let done = wrap().await;
    if !holds_early {
        hold().await;
    }
    Ok(done)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    program::run(shipping).await
}
