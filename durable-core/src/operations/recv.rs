//! Receiving messages.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call_state::CallState;
use crate::operations::wait_timeout::BodyWait;
use crate::runtime::activity::Activity;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_name;
use crate::types::keys::MessageKey;
use crate::types::payload::{Outcome, Payload, decode};
use crate::wait::waiters::{WaitFor, WaitResult};

/// Takes the next message on a topic, or waits for one: `None` when the time is up.
///
/// The message is taken and recorded in one commit, so it is received once whatever happens. The
/// time limit is recorded when the wait begins and holds across restarts; with `Duration::ZERO` it
/// takes what is there, and `Duration::MAX` waits for ever. Of two calls on one topic at the same
/// time each gets a message of its own.
///
/// Only workflows receive: their id is the address. A message that does not read as a `T` parks the
/// workflow and stays first in line, so that nothing is lost: mend the type, and resume it.
///
/// # Errors
/// It was called outside a workflow, in a step or in a transaction; the topic cannot be stored.
///
/// # At shutdown
/// A wait is suspended at once, and goes on elsewhere or after the restart.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use std::time::Duration;
/// # async fn example() -> durable::Result<()> {
/// let paid: Option<u64> = durable::recv("payment", Duration::from_secs(300)).await?;
/// # Ok(())
/// # }
/// ```
pub fn recv<T: Payload>(topic: impl Into<String>, timeout: Duration) -> RecvCall<T> {
    let made = RecvOptions { topic: topic.into().into(), timeout, call_site: CallSite::here(), payload: PhantomData };
    RecvCall { state: CallState::new(made) }
}

/// A message that is to be received. Given by [`recv`].
#[must_use = "no message is taken until it is awaited"]
pub struct RecvCall<T> {
    state: CallState<'static, RecvOptions<T>, Result<Option<T>>>,
}

struct RecvOptions<T> {
    topic: Arc<str>,
    timeout: Duration,
    call_site: CallSite,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload> RecvOptions<T> {
    async fn run(self: Box<Self>) -> Result<Option<T>> {
        match &self.call_site {
            CallSite::Body(claim) => self.receive(claim).await,
            CallSite::Outside => Err(Error::new(
                ErrorKind::Misuse,
                "`durable::recv` was called outside any workflow, and messages are sent to workflows: call it in the body of a #[workflow]",
            )),
            CallSite::Step(scope) => {
                Err(scope.refusal("`durable::recv`", "call it in the workflow's body, and give the step what came"))
            }
            CallSite::Transaction(scope) => Err(scope.refusal("`durable::recv`")),
        }
    }

    async fn receive(&self, claim: &ReservedPosition) -> Result<Option<T>> {
        check_name("the topic", &self.topic)?;
        claim.check_same_body("recv").await;
        if let Some(record) = claim.replayed(Operation::recv(&self.topic)).await {
            return match &record.outcome {
                None => Ok(None),
                Some(outcome) => Ok(Some(self.read(claim, outcome_text(outcome)).await)),
            };
        }
        claim.ensure_accepting_and_flushed().await;
        let execution = &claim.execution;
        let want = WaitFor::Message { workflow: execution.row.key, topic: Arc::clone(&self.topic) };
        let mut waiting = BodyWait::new(claim, "recv", &execution.row.id, want, self.timeout);
        loop {
            let news = waiting.next(|| Activity::Message(Arc::clone(&self.topic))).await;
            let Some(WaitResult::Message { key, payload }) = news else {
                claim.record_result(Operation::recv(&self.topic), done(None)).await;
                return Ok(None);
            };
            // It is boxed because it comes after the wait, which would have to keep the room for it.
            match Box::pin(self.take(claim, key, payload)).await {
                None => waiting.retry(),
                taken => return Ok(taken),
            }
        }
    }

    /// Takes a message, unless another call of this run was faster.
    async fn take(&self, claim: &ReservedPosition, key: MessageKey, payload: String) -> Option<T> {
        let value = self.read(claim, &payload).await;
        let record = || claim.new_record(Operation::recv(&self.topic), done(Some(Outcome::Output(payload))));
        if claim.execution.receive(key, record) {
            return Some(value);
        }
        // It was taken a moment ago: once that is durable, the database shows the next one.
        claim.execution.flush().await;
        None
    }

    /// Reads a message, which is still the first in line if it does not read.
    async fn read(&self, claim: &ReservedPosition, payload: &str) -> T {
        match decode(payload) {
            Ok(value) => value,
            Err(fault) => claim.park_unreadable(&self.topic, &fault).await,
        }
    }
}

fn done(outcome: Option<Outcome>) -> OperationResult {
    OperationResult { outcome, attempts: 1, ..OperationResult::default() }
}

fn outcome_text(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Output(text) | Outcome::Error(text) => text,
    }
}

impl<T: Payload> Future for RecvCall<T> {
    type Output = Result<Option<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.poll(cx, |made| Box::pin(made.run()))
    }
}

impl<T> fmt::Debug for RecvCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            CallState::Made(made) => write!(f, "RecvCall({:?}, {:?})", made.topic, made.call_site),
            CallState::Running(_) => f.write_str("RecvCall(running)"),
            CallState::Over => f.write_str("RecvCall(over)"),
        }
    }
}
