//! Waiting for something or for a time, whichever comes first: how `recv` and `get_event` wait.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::checkpoint::Operation;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::sleep::recorded_moment;
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::types::position::Position;
use crate::wait::shutdown_phase::EnginePhase;
use crate::wait::waiters::{WaitFor, WaitHandle, WaitResult};

/// A wait in a workflow's body. The time limit is recorded, at the first position of the call's own
/// branch, once there is something to wait for: what is there already costs no record.
pub(super) struct BodyWait<'a> {
    claim: &'a ReservedPosition,
    /// The name of the call.
    what: &'static str,
    waiting: WaitHandle<'a>,
    timeout: Duration,
    /// Until when, once that is recorded.
    until: Option<i64>,
}

impl<'a> BodyWait<'a> {
    pub(super) fn new(
        claim: &'a ReservedPosition,
        what: &'static str,
        of: &str,
        want: WaitFor,
        timeout: Duration,
    ) -> Self {
        let waiting = claim.execution.runtime.waiters.wait(of, want, true);
        Self { claim, what, waiting, timeout, until: None }
    }

    /// What comes, or `None` when the time is up. It does not return when the engine goes down before.
    pub(super) async fn next(&mut self, doing: impl FnOnce() -> Activity) -> Option<WaitResult> {
        let execution = &self.claim.execution;
        if let Some(news) = self.waiting.first().await {
            return Some(news);
        }
        if self.timeout.is_zero() {
            return None;
        }
        let until = match self.until {
            Some(until) => until,
            None => Box::pin(self.record_limit()).await,
        };
        let _doing = execution.begin_activity(doing());
        let came = tokio::select! {
            biased;
            news = self.waiting.next() => news,
            // When the engine goes down the other one says how long it is waited for.
            _ = execution.runtime.timers.at_always(until) => return None,
        };
        match came {
            Some(news) => Some(news),
            None => execution.stop_here(StopReason::Suspend).await,
        }
    }

    /// Asks again: what came was of no use.
    pub(super) fn retry(&self) {
        self.waiting.retry_read();
    }

    async fn record_limit(&mut self) -> i64 {
        let ReservedPosition { execution, position } = self.claim;
        let claim =
            ReservedPosition { execution: Arc::clone(execution), position: Position::new(position.as_branch(), 1) };
        let timeout = self.timeout;
        let after = || execution.runtime.timers.clock.after(timeout);
        let until = recorded_moment(&claim, Operation::deadline(self.what), after).await;
        self.until = Some(until);
        until
    }
}

/// A wait outside: nothing is recorded, and the time limit is counted from now.
///
/// # Errors
/// `Err(())` when the engine goes down before.
pub(super) async fn wait_outside(
    runtime: &Runtime,
    of: &str,
    want: WaitFor,
    timeout: Duration,
) -> Result<Option<WaitResult>, ()> {
    let until = runtime.timers.clock.after(timeout);
    let waiting = runtime.waiters.wait(of, want, false);
    let whichever = async {
        if let Some(news) = waiting.first().await {
            return Ok(Some(news));
        }
        tokio::select! {
            biased;
            news = waiting.next() => news.map(Some).ok_or(()),
            _ = runtime.timers.at_always(until) => Ok(None),
        }
    };
    tokio::select! {
        biased;
        waited = whichever => waited,
        () = runtime.shutdown.wait_for(EnginePhase::Aborting) => Err(()),
    }
}
