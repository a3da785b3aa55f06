//! Waiting for something or for a time, whichever comes first: how `recv` and `get_event` wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
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
///
/// A hundred thousand workflows may wait in one, so it is small.
pub(super) struct BodyWait<'a> {
    reserved: &'a ReservedPosition,
    what: WaitingCall,
    waiting: WaitHandle<'a>,
    limit: TimeLimit,
    /// Whether the engine has released it for a shutdown. It does not return any more.
    is_released: bool,
}

/// The call that waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum WaitingCall {
    Recv,
    GetEvent,
}

impl WaitingCall {
    /// The name under which its deadline is recorded.
    fn name(self) -> &'static str {
        match self {
            Self::Recv => "recv",
            Self::GetEvent => "get_event",
        }
    }
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
enum TimeLimit {
    /// So long, from the time at which the wait begins.
    After(Duration),
    /// Until the time that is recorded.
    At(Timestamp),
}

impl<'a> BodyWait<'a> {
    pub(super) fn new(
        reserved: &'a ReservedPosition,
        what: WaitingCall,
        workflow: &str,
        wait_for: WaitFor,
        timeout: Duration,
    ) -> Self {
        let waiting = reserved.execution.runtime.waiters.wait(workflow, wait_for, true);
        Self { reserved, what, waiting, limit: TimeLimit::After(timeout), is_released: false }
    }

    /// The event that is waited for, or `None` after the timeout. It does not return if the engine shuts down first.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` holds what it is given twice")]
    pub(super) fn next<'w>(
        &'w mut self,
        activity: impl FnOnce() -> Activity + Send + 'w,
    ) -> impl Future<Output = Option<WaitResult>> + Send + 'w {
        async move {
            if let Some(event) = self.waiting.current().await {
                return Some(event);
            }
            let until = match self.limit {
                TimeLimit::After(Duration::ZERO) => return None,
                TimeLimit::After(timeout) => Box::pin(self.record_limit(timeout)).await,
                TimeLimit::At(until) => until,
            };
            let execution = &self.reserved.execution;
            let _activity = execution.begin_activity(activity());
            // At a shutdown the other timer decides how long the drain waits.
            let mut time_is_up = execution.runtime.timers.at_always(until);
            poll_fn(|cx| {
                if self.is_released {
                    return Poll::Pending; // whatever has come since: a step beside it keeps the body for a while
                }
                match self.waiting.poll_next(cx.waker()) {
                    Poll::Ready(None) => {
                        self.is_released = true;
                        execution.request_stop(StopReason::Suspend);
                        Poll::Pending
                    }
                    Poll::Ready(event) => Poll::Ready(event),
                    Poll::Pending => Pin::new(&mut time_is_up).poll(cx).map(|_| None),
                }
            })
            .await
        }
    }

    /// Waits again: another call has taken the event.
    pub(super) fn retry(&self) {
        self.waiting.retry_read();
    }

    async fn record_limit(&mut self, timeout: Duration) -> Timestamp {
        let ReservedPosition { execution, position } = self.reserved;
        let reserved = ReservedPosition::new(Arc::clone(execution), Position::new(position.as_branch(), 1));
        let after = || execution.runtime.timers.clock.after(timeout);
        let until = recorded_moment(&reserved, Operation::deadline(self.what.name()), after).await;
        self.limit = TimeLimit::At(until);
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
