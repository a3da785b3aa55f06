//! Checks that the tokio runtime of the launch has what the engine needs.

use tokio::runtime::Handle;
use tokio::time::{Duration, sleep};

use crate::runtime::panics;
use crate::types::error::Result;
use crate::types::error::config_error;

/// The runtime that this is called on.
///
/// Without timers or IO the engine's tasks would panic. Tokio shows only by a panic whether a runtime has
/// them, so this tries the smallest call of each.
///
/// # Errors
/// There is no runtime, or it lacks timers or IO.
pub(super) fn runtime() -> Result<Handle> {
    let tokio = Handle::try_current()
        .map_err(|_| config_error("launch on a tokio runtime: `#[tokio::main] async fn main()`"))?;
    let lacks = match (panics::does_panic(|| drop(sleep(Duration::ZERO))), panics::does_panic(try_io)) {
        (false, false) => return Ok(tokio),
        (true, false) => "timers",
        (false, true) => "IO",
        (true, true) => "timers and IO",
    };
    Err(config_error(format!(
        "the tokio runtime of this launch has no {lacks}, which durable needs: build it with `.enable_all()`, as in `tokio::runtime::Builder::new_current_thread().enable_all().build()`, or use `#[tokio::main]`"
    )))
}

/// Needs IO, and changes nothing: with IO it returns an error, because SIGKILL cannot be received.
#[cfg(unix)]
fn try_io() {
    let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(9));
}

#[cfg(not(unix))]
fn try_io() {}
