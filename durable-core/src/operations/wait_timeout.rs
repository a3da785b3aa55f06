//! Waiting for something or for a time, whichever comes first: how `recv` and `get_event` wait.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::checkpoint::Operation;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::outside_wait;
use crate::operations::sleep::recorded_moment;
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::types::position::Position;
use crate::types::time::Timestamp;
use crate::wait::poll_batch::{WaitFor, WaitResult};
use crate::wait::waiters::WaitHandle;

/// A wait in a workflow's body. The deadline is recorded at the first position of the call's own branch,
/// once the call has to wait: a wait that is over at once has no record.
pub(super) struct BodyWait<'a> {
    reserved: &'a ReservedPosition,
    /// The name of the call.
    what: &'static str,
    waiting: WaitHandle<'a>,
    timeout: Duration,
    /// The deadline, once it is recorded.
    until: Option<Timestamp>,
}

impl<'a> BodyWait<'a> {
    pub(super) fn new(
        reserved: &'a ReservedPosition,
        what: &'static str,
        workflow: &str,
        wait_for: WaitFor,
        timeout: Duration,
    ) -> Self {
        let waiting = reserved.execution.runtime.waiters.wait(workflow, wait_for, true);
        Self { reserved, what, waiting, timeout, until: None }
    }

    /// The event that is waited for, or `None` after the timeout. It does not return if the engine shuts down first.
    pub(super) async fn next(&mut self, activity: impl FnOnce() -> Activity) -> Option<WaitResult> {
        let execution = &self.reserved.execution;
        if let Some(event) = self.waiting.current().await {
            return Some(event);
        }
        if self.timeout.is_zero() {
            return None;
        }
        let until = match self.until {
            Some(until) => until,
            None => Box::pin(self.record_limit()).await,
        };
        let _activity = execution.begin_activity(activity());
        let waited = tokio::select! {
            biased;
            event = self.waiting.next() => event,
            // At a shutdown the other timer decides how long the drain waits.
            _ = execution.runtime.timers.at_always(until) => return None,
        };
        match waited {
            Some(event) => Some(event),
            None => execution.stop_here(StopReason::Suspend).await,
        }
    }

    /// Waits again: another call has taken the event.
    pub(super) fn retry(&self) {
        self.waiting.retry_read();
    }

    async fn record_limit(&mut self) -> Timestamp {
        let ReservedPosition { execution, position } = self.reserved;
        let reserved = ReservedPosition::new(Arc::clone(execution), Position::new(position.as_branch(), 1));
        let timeout = self.timeout;
        let after = || execution.runtime.timers.clock.after(timeout);
        let until = recorded_moment(&reserved, Operation::deadline(self.what), after).await;
        self.until = Some(until);
        until
    }
}

/// A wait outside: nothing is recorded, and the timeout counts from now.
///
/// # Errors
/// `Err(())` if the engine shuts down first.
pub(super) async fn wait_outside(
    runtime: &Runtime,
    workflow: &str,
    wait_for: WaitFor,
    timeout: Duration,
) -> Result<Option<WaitResult>, ()> {
    let until = runtime.timers.clock.after(timeout);
    let waiting = runtime.waiters.wait(workflow, wait_for, false);
    let whichever = async {
        if let Some(event) = waiting.current().await {
            return Ok(Some(event));
        }
        tokio::select! {
            biased;
            event = waiting.next() => event.map(Some).ok_or(()),
            _ = runtime.timers.at_always(until) => Ok(None),
        }
    };
    tokio::select! {
        biased;
        waited = whichever => waited,
        () = outside_wait::released(runtime, [workflow]) => Err(()),
    }
}
