//! What the engine needs of the runtime that it is launched on.

use tokio::runtime::Handle;
use tokio::time::{Duration, sleep};

use crate::engine::app::config_error;
use crate::runtime::panics;
use crate::types::error::Result;

/// The runtime that this is called on.
///
/// Without timers or IO every task of the engine would panic by itself, and nobody would be left to end the launch.
/// Tokio tells nobody which of them a runtime has but by such a panic, so here are the smallest ones.
///
/// # Errors
/// There is no runtime, or it lacks timers or IO.
pub(super) fn runtime() -> Result<Handle> {
    let tokio = Handle::try_current()
        .map_err(|_| config_error("launch on a tokio runtime: `#[tokio::main] async fn main()`"))?;
    let lacks = match (panics::panics(|| drop(sleep(Duration::ZERO))), panics::panics(ask_for_io)) {
        (false, false) => return Ok(tokio),
        (true, false) => "timers",
        (false, true) => "IO",
        (true, true) => "timers and IO",
    };
    Err(config_error(format!(
        "the tokio runtime that this was launched on has no {lacks}, which durable needs: build it with `.enable_all()`, as `tokio::runtime::Builder::new_current_thread().enable_all().build()`, or let `#[tokio::main]` do so"
    )))
}

/// No program can hear SIGKILL: where there is IO this is refused, and nothing is made.
#[cfg(unix)]
fn ask_for_io() {
    let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(9));
}

#[cfg(not(unix))]
fn ask_for_io() {}
