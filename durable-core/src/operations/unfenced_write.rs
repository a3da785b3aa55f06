//! Writes of clients: without a fence, straight to the store, and tried again by their key.

use std::time::{Duration, Instant};

use crate::operations::caller_errors::refused;
use crate::runtime::Runtime;
use crate::store::{StoreError, StoreErrorKind, StoreFuture};
use crate::types::backoff::CALLS_WHILE_DATABASE_IS_AWAY;
use crate::types::error::{Error, ErrorKind};
use crate::wait::shutdown_phase::EnginePhase;

/// After how long a write is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Makes a call until it succeeds, its error is one that does not pass, or the time is up. What it writes has a key,
/// so that an attempt whose answer was lost is found by the next one. `what` is written, and `if_unconfirmed` is what
/// to do when it is unknown whether it was.
pub(super) async fn write_persistently<'a, T>(
    runtime: &Runtime,
    what: &str,
    if_unconfirmed: &str,
    call: impl Fn() -> StoreFuture<'a, T>,
) -> Result<T, Error> {
    let started = Instant::now();
    let (mut failed, mut unconfirmed) = (0, false);
    loop {
        let error = match call().await {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        unconfirmed |= error.kind == StoreErrorKind::Unreachable;
        failed += 1;
        let delay = CALLS_WHILE_DATABASE_IS_AWAY.random_delay(failed);
        let closed = runtime.shutdown.phase() >= EnginePhase::Closing;
        if closed || !error.is_temporary() || started.elapsed() + delay > PATIENCE {
            return Err(given_up(runtime, what, if_unconfirmed, unconfirmed, &error));
        }
        tokio::time::sleep(delay).await;
    }
}

fn given_up(runtime: &Runtime, what: &str, if_unconfirmed: &str, unconfirmed: bool, error: &StoreError) -> Error {
    if unconfirmed {
        let message = format!(
            "the database {} did not confirm {what}, so it may or may not have been written: {if_unconfirmed}; the last error: {error}",
            runtime.store.location()
        );
        return Error::new(ErrorKind::Unconfirmed, message);
    }
    if error.kind == StoreErrorKind::Closed {
        let message = format!("the client is closed, so {what} was not written; connect another one");
        return Error::new(ErrorKind::ShuttingDown, message);
    }
    refused(what, error)
}
