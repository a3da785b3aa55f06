//! `durable::step`: a step from a closure or a future, without a function of its own.

use std::any::Any;
use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::journal::context::CallSite;
use crate::operations::call::Call;
use crate::operations::step::{StepBody, StepCall, StepCallOptions};
use crate::store::BoxFuture;
use crate::types::error::Error;
use crate::types::payload::{Codec, Payload};
use crate::types::retry::StepOptions;

/// What [`step`] takes: a closure that returns a future of a `Result`, or such a future itself.
///
/// `Kind` distinguishes the two and is always inferred. There is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`durable::step` takes a closure that returns a future of a `Result`, or such a future",
    label = "write `|| async {{ … }}` (which can be retried) or `async {{ … }}`, and end it with a `Result`",
    note = "the future must be `Send`; clone into it what it needs from the closure's surroundings"
)]
pub trait InlineStep<'a, T, E, Kind> {
    /// Not public API.
    #[doc(hidden)]
    fn into_body(self) -> StepBody<'a, Result<T, E>>;
}

/// The kind of an [`InlineStep`] that is a closure.
#[derive(Debug, Clone, Copy)]
pub enum FromClosure {}

/// The kind of an [`InlineStep`] that is a future.
#[derive(Debug, Clone, Copy)]
pub enum FromFuture {}

impl<'a, T, E, C, F> InlineStep<'a, T, E, FromClosure> for C
where
    C: FnMut() -> F + Send + 'a,
    F: Future<Output = Result<T, E>> + Send + 'a,
{
    fn into_body(mut self) -> StepBody<'a, Result<T, E>> {
        StepBody {
            repeatable: true,
            attempts: Box::new(move |_last| Some(Box::pin(self()) as BoxFuture<'a, Result<T, E>>)),
        }
    }
}

impl<'a, T, E, F> InlineStep<'a, T, E, FromFuture> for F
where
    F: Future<Output = Result<T, E>> + Send + 'a,
{
    fn into_body(self) -> StepBody<'a, Result<T, E>> {
        let mut future = Some(self);
        StepBody {
            repeatable: false,
            attempts: Box::new(move |_last| Some(Box::pin(future.take()?) as BoxFuture<'a, Result<T, E>>)),
        }
    }
}

/// A step without a function of its own, from a closure that makes the future of each attempt.
///
/// It is a step like any other, with all options of `#[step]` as methods of the call: its position is
/// reserved when this is called, its result is recorded, and outside any workflow it is a plain call.
///
/// It takes a future in place of the closure, too. That step has one attempt, since a future runs
/// once: [`retries`](StepCall::retries) changes nothing then, and a warning is logged.
///
/// # Errors
/// Those of the closure. A timeout, after the last attempt, comes as the error too where the error type
/// is [`durable::Error`](struct@crate::Error); with another error type it ends the workflow.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use std::time::Duration;
/// # async fn get(url: &str) -> durable::Result<String> { Ok(String::new()) }
/// # async fn body(url: String) -> durable::Result<()> {
/// // In the body of a #[workflow]:
/// let page: String = durable::step("fetch", || async { get(&url).await })
///     .retries(3)
///     .timeout(Duration::from_secs(10))
///     .await?;
/// let length: usize = durable::step("measure", async { Ok::<_, durable::Error>(page.len()) }).await?;
/// # Ok(())
/// # }
/// ```
///
/// # At shutdown
/// As for any [`StepCall`].
pub fn step<'a, T, E, Kind>(name: &'static str, body: impl InlineStep<'a, T, E, Kind>) -> StepCall<'a, Result<T, E>>
where
    T: Payload,
    E: Serialize + DeserializeOwned + fmt::Display + Send + 'static,
{
    StepCall {
        call: Call::new(StepCallOptions {
            name,
            options: StepOptions::DEFAULT,
            codec: codec(),
            call_site: CallSite::here(),
            retry_if: None,
            body: body.into_body(),
        }),
    }
}

/// The codec of the result. Only the error type of the engine can hold a timeout.
fn codec<T, E>() -> Codec<Result<T, E>>
where
    T: Payload,
    E: Serialize + DeserializeOwned + fmt::Display + 'static,
{
    let with_engine_errors: &dyn Any = &Codec::<Result<T, Error>>::TYPED_FROM_ENGINE;
    with_engine_errors.downcast_ref::<Codec<Result<T, E>>>().copied().unwrap_or(Codec::<Result<T, E>>::TYPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_error_of_the_engine_can_hold_a_timeout() {
        assert!(codec::<u32, Error>().from_engine.is_some());
        assert!(codec::<u32, String>().from_engine.is_none());
    }
}
