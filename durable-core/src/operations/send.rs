//! Sending messages to workflows.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::caller_errors::{RETRY_SEND, WriteFailure};
use crate::operations::unfenced_write::write_persistently;
use crate::runtime::Runtime;
use crate::store::{Entry, Fence, NewMessage, SendOutcome, Verdict};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name};
use crate::types::payload::{Outcome, PayloadError, RecordedError, encode};
use crate::types::status::Status;

/// Sends a message to a workflow, which takes it with [`recv`](crate::recv).
///
/// Messages on one topic are received in the order in which they were sent, each by one `recv`. A
/// message can be sent before the workflow asks for it. When this returns, the message is durable.
///
/// It works in any process: outside, in a workflow (where the message and the record of it are one
/// commit, so it is sent exactly once), and in a step (where it is sent again if the step runs again:
/// give it an [`idempotency_key`](SendCall::idempotency_key)).
///
/// # Errors
/// There is no such workflow, or it has ended ([`ErrorKind::Ended`]); the message cannot be
/// written as JSON or is too large. In a workflow the error is recorded, and comes back on replay.
///
/// # At shutdown
/// It works as long as the process can write. After that the error is [`ErrorKind::ShuttingDown`], and
/// nothing was sent. If the database did not confirm the message in time, the error is
/// [`ErrorKind::Unconfirmed`], and the message may or may not have been sent.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example(payment: u64) -> durable::Result<()> {
/// durable::send("order-1001", "payment", &payment).await?;
/// durable::send("order-1001", "payment", &payment).idempotency_key("pay-77").await?; // received once, however often it is sent
/// # Ok(())
/// # }
/// ```
pub fn send<T: Serialize + ?Sized>(workflow_id: impl AsRef<str>, topic: impl Into<String>, message: &T) -> SendCall {
    let (to, topic) = (workflow_id.as_ref().to_owned(), topic.into());
    let call_site = CallSite::here();
    SendCall {
        call: Call::new(SendOptions {
            to,
            topic,
            payload: encode(message),
            idempotency_key: None,
            call_site,
            engine: None,
        }),
    }
}

/// A message that is to be sent. Given by [`send`].
#[must_use = "a message is not sent until it is awaited"]
pub struct SendCall {
    call: Call<'static, SendOptions, Result<()>>,
}

struct SendOptions {
    to: String,
    topic: String,
    payload: Result<String, PayloadError>,
    idempotency_key: Option<String>,
    call_site: CallSite,
    /// The engine to send with from outside, if it is known.
    engine: Option<Arc<Runtime>>,
}

impl SendCall {
    /// Sends with this engine when it is called outside.
    pub(crate) fn through(mut self, engine: &Arc<Runtime>) -> Self {
        self.call.set(|options| options.engine = Some(Arc::clone(engine)));
        self
    }

    /// Sets an idempotency key: of all messages on this topic with this key the workflow receives one.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.call.set(|options| options.idempotency_key = Some(key.into()));
        self
    }
}

impl CallOptions<'static> for SendOptions {
    type Output = Result<()>;

    async fn run(self: Box<Self>) -> Result<()> {
        match &self.call_site {
            CallSite::Outside => {
                let runtime = self.engine.clone().map_or_else(current_engine::engine, Ok)?;
                let fence = runtime.fence();
                self.send_unrecorded(&runtime, fence).await
            }
            CallSite::Step(scope) => {
                let execution = &scope.execution;
                self.send_unrecorded(&execution.runtime, execution.fence).await
            }
            CallSite::Body(reserved) => self.send_in_body(reserved).await,
            CallSite::Transaction(scope) => Err(scope.refusal(
                "`durable::send` (write `durable::send_in(tx, ..)` to send with the transaction's own commit)",
            )),
        }
    }
}

impl SendOptions {
    async fn send_unrecorded(&self, runtime: &Arc<Runtime>, fence: Fence) -> Result<()> {
        let message = self.message(runtime)?;
        let what = format!("the message to the workflow {:?}", self.to);
        if runtime.settings.is_client {
            let sent = write_persistently(runtime, &what, RETRY_SEND, || runtime.store.send(&message)).await?;
            return match sent {
                SendOutcome::NoReceiver(status) => Err(no_receiver(&self.to, status)),
                SendOutcome::Posted | SendOutcome::OtherDatabase => Ok(()), // it is the store's own connection
            };
        }
        let entry = Entry { messages: vec![message], ..Entry::default() };
        let failure = WriteFailure { runtime, what: &what, if_unconfirmed: RETRY_SEND };
        match runtime.write(fence, entry, None).await {
            Ok(Verdict::NoReceiver { id, status }) => Err(no_receiver(&id, status)),
            Ok(Verdict::Superseded | Verdict::Fenced) => Err(failure.fenced()),
            Ok(_) => Ok(()),
            Err(error) => Err(failure.error_for(&error)),
        }
    }

    async fn send_in_body(&self, reserved: &ReservedPosition) -> Result<()> {
        let operation = Operation::send(&self.topic);
        reserved.check_same_body("send").await;
        if let Some(record) = reserved.replayed(operation).await {
            return match &record.outcome {
                Some(Outcome::Error(text)) => Err(RecordedError::from_text(text).into_error()),
                _ => Ok(()),
            };
        }
        reserved.ensure_accepting().await;
        let execution = &reserved.execution;
        let done = |outcome| OperationResult {
            outcome,
            child: Some(self.to.clone()),
            attempts: 1,
            ..OperationResult::default()
        };
        let error = match self.message(&execution.runtime) {
            Ok(message) => {
                let record = reserved.new_record(operation, done(None));
                let entry = Entry { records: vec![record], messages: vec![message], ..Entry::default() };
                match execution.write(entry).await {
                    Ok(Verdict::NoReceiver { id, status }) => no_receiver(&id, status),
                    Ok(_) => return Ok(()),
                    Err(signal) => return execution.stop_here(signal).await,
                }
            }
            Err(error) => error,
        };
        let text = RecordedError::from_engine(&error).to_text();
        reserved.record_result(operation, done(Some(Outcome::Error(text)))).await;
        Err(error)
    }

    fn message(&self, runtime: &Runtime) -> Result<NewMessage> {
        message(runtime, &self.to, &self.topic, &self.payload, self.idempotency_key.as_deref())
    }
}

/// The message to store. One that cannot be stored is refused before anything is written.
pub(super) fn message(
    runtime: &Runtime,
    to: &str,
    topic: &str,
    payload: &Result<String, PayloadError>,
    idempotency_key: Option<&str>,
) -> Result<NewMessage> {
    check_id("the workflow id", to)?;
    check_name("the topic", topic)?;
    if let Some(key) = idempotency_key {
        check_id("the idempotency key", key)?;
    }
    let refused = |error| Error::new(ErrorKind::Payload, format!("the message on {topic:?} cannot be sent: {error}"));
    let payload = payload.clone().map_err(refused)?;
    runtime.check_size(|| format!("the message on {topic:?} to the workflow {to:?}"), payload.len())?;
    Ok(NewMessage {
        key: runtime.keys.next(),
        to: to.to_owned(),
        topic: topic.to_owned(),
        payload,
        idempotency_key: idempotency_key.map(str::to_owned),
    })
}

pub(super) fn no_receiver(id: &str, status: Option<Status>) -> Error {
    match status {
        None => Error::new(
            ErrorKind::NotFound,
            format!("no workflow has the id {id:?}, so the message was not sent; start the workflow first"),
        ),
        Some(status) => Error::new(
            ErrorKind::Ended,
            format!("the workflow {id:?} has ended ({status}) and receives no more messages, so this one was not sent"),
        ),
    }
}

impl fmt::Debug for SendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {:?}", self.topic, self.to)
    }
}

delegate_to_call!("SendCall", [] SendCall => Result<()>, [] SendCall);
