//! Receiving messages.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::wait_timeout::BodyWait;
use crate::runtime::activity::Activity;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_name;
use crate::types::keys::MessageKey;
use crate::types::payload::{Outcome, Payload, RecordedError, decode};
use crate::wait::poll_batch::{WaitFor, WaitResult};

/// Receives the next message on a topic, or waits up to `timeout` for one. Returns `None` after the
/// timeout.
///
/// The message is taken and recorded in one commit, so it is received exactly once. The deadline is
/// recorded when the wait begins and holds across restarts. `Duration::ZERO` does not wait, and
/// `Duration::MAX` waits forever. Two concurrent calls on one topic receive different messages.
///
/// Only workflows receive: the workflow's id is the address.
///
/// # Errors
/// The message does not read as a `T`. It is taken all the same, and its text is in
/// [`Error::payload`]; the error is recorded, and comes back on replay. It was called outside a workflow, in a step
/// or in a transaction; the topic cannot be stored.
///
/// # At shutdown
/// The wait is suspended at once, and the workflow continues in another process or after the restart.
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
    let options =
        RecvOptions { topic: topic.into().into(), timeout, call_site: CallSite::here(), payload: PhantomData };
    RecvCall { call: Call::new(options) }
}

/// A message that is to be received. Given by [`recv`].
#[must_use = "no message is taken until it is awaited"]
pub struct RecvCall<T> {
    call: Call<'static, RecvOptions<T>, Result<Option<T>>>,
}

struct RecvOptions<T> {
    topic: Arc<str>,
    timeout: Duration,
    call_site: CallSite,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload> CallOptions<'static> for RecvOptions<T> {
    type Output = Result<Option<T>>;

    async fn run(self: Box<Self>) -> Result<Option<T>> {
        match &self.call_site {
            CallSite::Body(reserved) => self.receive(reserved).await,
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
}

impl<T: Payload> RecvOptions<T> {
    async fn receive(&self, reserved: &ReservedPosition) -> Result<Option<T>> {
        check_name("the topic", &self.topic)?;
        reserved.check_same_body("recv").await;
        if let Some(record) = reserved.replayed(Operation::recv(&self.topic)).await {
            return match &record.outcome {
                None => Ok(None),
                Some(Outcome::Error(text)) => Err(RecordedError::from_text(text).into_error()),
                Some(Outcome::Output(text)) => match decode(text) {
                    Ok(value) => Ok(Some(value)),
                    Err(error) => reserved.park_unreadable(&self.topic, &error).await,
                },
            };
        }
        reserved.ensure_accepting_and_flushed().await;
        let execution = &reserved.execution;
        let wait_for = WaitFor::Message { workflow: execution.row.key, topic: Arc::clone(&self.topic) };
        let mut waiting = BodyWait::new(reserved, "recv", &execution.row.id, wait_for, self.timeout);
        loop {
            let event = waiting.next(|| Activity::Message(Arc::clone(&self.topic))).await;
            let Some(WaitResult::Message { key, payload }) = event else {
                reserved.record_result(Operation::recv(&self.topic), done(None)).await;
                return Ok(None);
            };
            // It is boxed because it comes after the wait, which would otherwise hold the memory for it.
            match Box::pin(self.take(reserved, key, payload)).await {
                None => waiting.retry(),
                Some(taken) => return taken.map(Some),
            }
        }
    }

    /// Takes a message, unless another call of this run has taken it. One that does not read as a `T` is
    /// taken too: the error is recorded, and has its text.
    async fn take(&self, reserved: &ReservedPosition, key: MessageKey, payload: String) -> Option<Result<T>> {
        let value = decode(&payload).map_err(|error| {
            let message = format!("the message on {:?} cannot be received: {error}", self.topic);
            Error::new(ErrorKind::Payload, message).with_payload(&*payload)
        });
        let outcome = match &value {
            Ok(_) => Outcome::Output(payload),
            Err(error) => Outcome::Error(RecordedError::from_engine(error).to_text()),
        };
        let record = || reserved.new_record(Operation::recv(&self.topic), done(Some(outcome)));
        if reserved.execution.receive(key, record) {
            return Some(value);
        }
        // Another call has just taken it: once that is durable, the database returns the next one.
        reserved.execution.flush().await;
        None
    }
}

fn done(outcome: Option<Outcome>) -> OperationResult {
    OperationResult { outcome, attempts: 1, ..OperationResult::default() }
}

impl<T> fmt::Debug for RecvOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.topic, self.call_site)
    }
}

delegate_to_call!("RecvCall", [T: Payload] RecvCall<T> => Result<Option<T>>, [T] RecvCall<T>);
