//! The result of a workflow for its callers.

use std::future::Future;

use futures_util::FutureExt;

use crate::journal::context::Context;
use crate::runtime::stop_reason::StopReason;
use crate::store::{BoxFuture, FinishedWorkflow};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::{Codec, Outcome, PayloadError, RecordedError};
use crate::types::status::Status;

/// What a workflow returns: `Result<T, E>` where the engine's own errors can become an `E`.
#[diagnostic::on_unimplemented(
    message = "a workflow returns `Result<T, E>`, and `{Self}` is none",
    label = "write `-> durable::Result<…>`, or a `Result` with an error type of your own",
    note = "the error type must have `From<durable::Error>`, because a call can also end with an error of the engine: cancelled, parked, shutting down"
)]
pub trait Returned: Send + 'static {
    /// The value.
    type Ok: Send + 'static;
    /// The error.
    type Err: WorkflowError;

    /// The codec, with `Self` spelled out as a `Result`.
    #[doc(hidden)]
    fn codec(codec: Codec<Self>) -> Codec<std::result::Result<Self::Ok, Self::Err>>
    where
        Self: Sized;
}

/// The error type of a workflow. There is nothing to implement but `From<durable::Error>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error type of a workflow",
    label = "write `-> durable::Result<…>`, or a `Result` with an error type of your own",
    note = "into `durable::Error` every error converts with `?`; for a text there is `durable::Error::msg(text)`; of boxed errors `Box<dyn Error + Send + Sync>` can be one",
    note = "an error type of your own must have `From<durable::Error>`, because a call can also end with an error of the engine: cancelled, parked, shutting down; it must be `Send + 'static` and implement `Display`, and with `serde::Serialize` and `serde::Deserialize` it comes back as it was"
)]
pub trait WorkflowError: From<Error> + Send + 'static {}

// The compiler then shows the message above instead of a list of other implementations.
#[diagnostic::do_not_recommend]
impl<E: From<Error> + Send + 'static> WorkflowError for E {}

impl<T, E> Returned for std::result::Result<T, E>
where
    T: Send + 'static,
    E: WorkflowError,
{
    type Ok = T;
    type Err = E;

    fn codec(codec: Codec<Self>) -> Codec<Self> {
        codec
    }
}

/// Not public API. Used by generated code.
///
/// The future that the driver polls: the body, whose result is encoded for the database.
#[doc(hidden)]
pub fn run<R, F>(codec: Codec<R>, body: F) -> BoxFuture<'static, Outcome>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    // An async block would hold the body twice, as a captured value and as a polled future.
    Box::pin(body.then(move |returned| {
        let encoded = (codec.encode)(&returned);
        drop(returned);
        async move {
            match encoded {
                Ok(outcome) => outcome,
                Err(error) => unrecordable(&error).await,
            }
        }
    }))
}

/// Ends a workflow with a result that cannot be encoded. This is a bug of the program, and another run
/// would have the same result.
///
/// # Panics
/// Outside any workflow, which is impossible: only drivers poll this future.
pub(crate) async fn unrecordable(error: &PayloadError) -> Outcome {
    let Some(Context::Body { execution, .. }) = Context::here() else {
        panic!("what the workflow returned cannot be recorded: {error}");
    };
    let message = format!("the result of the workflow `{}` cannot be recorded: {error}", execution.workflow.name);
    execution.stop_here(StopReason::Fail(Error::new(ErrorKind::Payload, message))).await
}

/// The result of an ended workflow for its caller.
pub(crate) fn result_of<T, E: From<Error>>(codec: Codec<Result<T, E>>, ended: &FinishedWorkflow) -> Result<T, E> {
    match (ended.status, &ended.outcome) {
        (Status::Success | Status::Error, Some(outcome)) => {
            if let Outcome::Error(text) = outcome
                && let Some(error) = engine_error(text)
            {
                return Err(E::from(error));
            }
            (codec.decode)(outcome).unwrap_or_else(|error| {
                let message = format!("the result of the workflow {:?} cannot be read: {error}", ended.id);
                Err(E::from(Error::new(ErrorKind::Payload, message)))
            })
        }
        _ => Err(E::from(ending_of(ended))),
    }
}

/// The error of an end without a value.
pub(crate) fn ending_of(ended: &FinishedWorkflow) -> Error {
    let reason = ended.reason.as_deref().unwrap_or("no reason is recorded");
    let id = &ended.id;
    match ended.status {
        Status::Parked => Error::new(ErrorKind::Parked, format!("the workflow {id:?} is parked: {reason}")),
        Status::Cancelled => Error::new(ErrorKind::Cancelled, format!("the workflow {id:?} was cancelled: {reason}")),
        other => Error::new(ErrorKind::Database, format!("the workflow {id:?} is {other} without a result")),
    }
}

/// The recorded error, if it is one of the engine and not a value of the workflow's own error type.
fn engine_error(text: &str) -> Option<Error> {
    let recorded = RecordedError::from_text(text);
    (recorded.panic || recorded.is_from_engine()).then(|| recorded.into_error())
}
