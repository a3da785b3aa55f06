//! Receiving messages.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::wait_timeout::{BodyWait, WaitingCall};
use crate::runtime::activity::Activity;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_name;
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
    /// What comes before the wait and behind it is boxed: the wait would otherwise hold the memory for it.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` holds what it is given twice")]
    fn receive<'w>(&'w self, reserved: &'w ReservedPosition) -> impl Future<Output = Result<Option<T>>> + Send + 'w {
        async move {
            if let Some(received) = Box::pin(received_earlier(&self.topic, reserved)).await {
                return received;
            }
            let mut waiting = self.wait(reserved);
            loop {
                let event = waiting.next(|| Activity::Message(Arc::clone(&self.topic))).await;
                match Box::pin(take(&self.topic, reserved, event)).await {
                    None => waiting.retry(),
                    Some(taken) => return taken,
                }
            }
        }
    }

    fn wait<'a>(&self, reserved: &'a ReservedPosition) -> BodyWait<'a> {
        let row = &reserved.execution.row;
        let wait_for = WaitFor::Message { workflow: row.key, topic: Arc::clone(&self.topic) };
        BodyWait::new(reserved, WaitingCall::Recv, &row.id, wait_for, self.timeout)
    }
}

/// What an earlier run has received, if it has.
async fn received_earlier<T: Payload>(topic: &str, reserved: &ReservedPosition) -> Option<Result<Option<T>>> {
    if let Err(error) = check_name("the topic", topic) {
        return Some(Err(error));
    }
    reserved.check_same_body("recv").await;
    let Some(record) = reserved.replayed(Operation::recv(topic)).await else {
        reserved.ensure_accepting_and_flushed().await;
        return None;
    };
    Some(match &record.outcome {
        None => Ok(None),
        Some(Outcome::Error(text)) => Err(RecordedError::from_text(text).into_error()),
        Some(Outcome::Output(text)) => match decode(text) {
            Ok(value) => Ok(Some(value)),
            Err(error) => reserved.park_unreadable(topic, &error).await,
        },
    })
}

/// Takes the message that came, unless another call of this run has taken it: `None`. One that does not read as a `T` is
/// taken too: the error is recorded, and has its text. That none came is recorded as well.
async fn take<T: Payload>(
    topic: &str,
    reserved: &ReservedPosition,
    event: Option<WaitResult>,
) -> Option<Result<Option<T>>> {
    let operation = Operation::recv(topic);
    let Some(WaitResult::Message { key, payload }) = event else {
        reserved.record_result(operation, done(None)).await;
        return Some(Ok(None));
    };
    let value = decode(&payload).map_err(|error| {
        let message = format!("the message on {topic:?} cannot be received: {error}");
        Error::new(ErrorKind::Payload, message).with_payload(&*payload)
    });
    let outcome = match &value {
        Ok(_) => Outcome::Output(payload),
        Err(error) => Outcome::Error(RecordedError::from_engine(error).to_text()),
    };
    if reserved.execution.receive(key, || reserved.new_record(operation, done(Some(outcome)))) {
        return Some(value.map(Some));
    }
    // Another call has just taken it: once that is durable, the database returns the next one.
    reserved.execution.flush().await;
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_future_of_a_wait_is_small() {
        let call = recv::<u64>("paid", Duration::ZERO).call;
        let size = size_of_val(&call.into_options().expect("it is not polled").run());
        assert!(size <= 224, "{size} bytes");
    }
}
