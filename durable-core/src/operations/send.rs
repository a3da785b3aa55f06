//! Sending messages to workflows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call_state::CallState;
use crate::operations::caller_errors::{RETRY_SEND, WriteFailure};
use crate::runtime::Runtime;
use crate::store::{Entry, Fence, NewMessage, Verdict};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name};
use crate::types::payload::{Outcome, PayloadError, RecordedError, encode};
use crate::types::status::Status;

/// Sends a message to a workflow, which takes it with [`recv`](crate::recv).
///
/// Messages on one topic are received in the order in which they were sent, each by one `recv`,
/// once. One that is sent before the workflow asks for it waits. When this returns, the message is
/// durable.
///
/// It works everywhere, in any process: outside, in a workflow (where the message and the record of
/// it are one commit, so it is sent once whatever happens), and in a step (where it is sent again
/// when the step is: give it an [`idempotency_key`](SendCall::idempotency_key)).
///
/// # Errors
/// There is no such workflow, or it has come to an end ([`ErrorKind::FinishedWorkflow`]); the message cannot be
/// written as JSON or is too large. In a workflow the error is recorded, and comes back on replay.
///
/// # At shutdown
/// It works as long as the process can write; a workflow that runs elsewhere receives it there. After
/// that the error is [`ErrorKind::ShuttingDown`], which says that nothing was sent; and where the
/// database did not confirm it in time [`ErrorKind::Unconfirmed`], which says that nobody knows.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example(payment: u64) -> durable::Result<()> {
/// durable::send("order-1001", "payment", &payment).await?;
/// durable::send("order-1001", "payment", &payment).idempotency_key("pay-77").await?; // once, however often
/// # Ok(())
/// # }
/// ```
pub fn send<T: Serialize + ?Sized>(workflow_id: impl AsRef<str>, topic: impl Into<String>, message: &T) -> SendCall {
    let (to, topic) = (workflow_id.as_ref().to_owned(), topic.into());
    let place = CallSite::here();
    SendCall {
        state: CallState::new(SendOptions {
            to,
            topic,
            payload: encode(message),
            idempotency_key: None,
            call_site: place,
            engine: None,
        }),
    }
}

/// A message that is to be sent. Given by [`send`].
#[must_use = "a message is not sent until it is awaited"]
pub struct SendCall {
    state: CallState<'static, SendOptions, Result<()>>,
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
    pub(super) fn through(mut self, engine: &Arc<Runtime>) -> Self {
        if let Some(made) = self.state.made() {
            made.engine = Some(Arc::clone(engine));
        }
        self
    }

    /// The workflow takes one message with this key, whoever sends it and however often.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        if let Some(made) = self.state.made() {
            made.idempotency_key = Some(key.into());
        }
        self
    }
}

impl SendOptions {
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
            CallSite::Body(claim) => self.send_in_body(claim).await,
            CallSite::Transaction(scope) => Err(scope.refusal(
                "`durable::send` (write `durable::send_in(tx, ..)` to send with the transaction's own commit)",
            )),
        }
    }

    async fn send_unrecorded(&self, runtime: &Arc<Runtime>, fence: Fence) -> Result<()> {
        let entry = Entry { messages: vec![self.message(runtime)?], ..Entry::default() };
        let what = format!("the message to the workflow {:?}", self.to);
        let unwritten = WriteFailure { runtime, what: &what, if_unconfirmed: RETRY_SEND };
        match runtime.write(fence, entry, None).await {
            Ok(Verdict::NoReceiver { id, status }) => Err(no_receiver(&id, status)),
            Ok(Verdict::Superseded | Verdict::Fenced) => Err(unwritten.fenced()),
            Ok(_) => Ok(()),
            Err(error) => Err(unwritten.error_for(&error)),
        }
    }

    async fn send_in_body(&self, claim: &ReservedPosition) -> Result<()> {
        let operation = Operation::send(&self.topic);
        claim.check_same_body("send").await;
        if let Some(record) = claim.replayed(operation).await {
            return match &record.outcome {
                Some(Outcome::Error(text)) => Err(RecordedError::from_text(text).into_error()),
                _ => Ok(()),
            };
        }
        claim.ensure_accepting().await;
        let execution = &claim.execution;
        let done = |outcome| OperationResult {
            outcome,
            child: Some(self.to.clone()),
            attempts: 1,
            ..OperationResult::default()
        };
        let error = match self.message(&execution.runtime) {
            Ok(message) => {
                let record = claim.new_record(operation, done(None));
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
        claim.record_result(operation, done(Some(Outcome::Error(text)))).await;
        Err(error)
    }

    fn message(&self, runtime: &Runtime) -> Result<NewMessage> {
        message(runtime, &self.to, &self.topic, &self.payload, self.idempotency_key.as_deref())
    }
}

/// A message to store; refuses what cannot be stored, before anything is.
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
    let refused = |fault| Error::new(ErrorKind::Payload, format!("the message on {topic:?} cannot be sent: {fault}"));
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
            format!(
                "the workflow {id:?} has come to an end ({status}) and receives nothing any more, so the message was not sent"
            ),
        ),
    }
}

impl Future for SendCall {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.poll(cx, |made| Box::pin(made.run()))
    }
}

impl fmt::Debug for SendCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            CallState::Made(made) => write!(f, "SendCall({:?} to {:?})", made.topic, made.to),
            CallState::Running(_) => f.write_str("SendCall(running)"),
            CallState::Over => f.write_str("SendCall(over)"),
        }
    }
}
