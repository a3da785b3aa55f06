//! Build A of a program that a deploy replaces: it packs twice. See `program.rs`.

mod program;

use std::process::ExitCode;

use durable::prelude::*;

use self::program::{hold, pack};

#[workflow]
async fn shipping(holds_early: bool) -> Result<u32> {
    pack().await;
    if holds_early {
        hold().await;
    }
    let done = pack().await;
    if !holds_early {
        hold().await;
    }
    Ok(done)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    program::run(shipping).await
}
