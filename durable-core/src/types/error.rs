//! The error type of the engine.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::database_fault::Interruption;

/// The result of the engine's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine, or of user code that the engine passes on.
///
/// It converts from every [`std::error::Error`] with `?`, and it is recorded with its message, the
/// messages of its source chain, and the name of the type it came from, so that a replay sees the
/// same error as the first run. (For that reason it is not a `std::error::Error` itself; it turns
/// into a `Box<dyn std::error::Error + Send + Sync>` where one is needed.)
///
/// # Example: any error, with `?`
///
/// ```
/// fn parse(text: &str) -> durable_core::Result<u32> {
///     Ok(text.parse::<u32>()?)
/// }
///
/// let error = parse("seven").unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert_eq!(error.type_name(), Some("core::num::error::ParseIntError"));
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Error(Box<ErrorParts>);

#[derive(Clone, Serialize, Deserialize)]
struct ErrorParts {
    kind: ErrorKind,
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    /// The text that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// An error of user code: created with [`Error::msg`], or converted from another error.
    User,
    /// A panic in user code; the message holds the location.
    Panic,
    /// A step took longer than its timeout.
    Timeout,
    /// The workflow was cancelled; the message holds the reason.
    Cancelled,
    /// The workflow is parked until a person resumes or cancels it; the message holds the reason.
    Parked,
    /// This process shut down during a wait. If the error has a [`workflow_id`](Error::workflow_id), that
    /// workflow is safe in the database and continues in another process or after the restart.
    Interrupted,
    /// This process is shutting down and starts nothing new: nothing was written.
    ShuttingDown,
    /// This process shut down before the database confirmed a write, which may or may not have taken place.
    /// Starting a workflow again with the same id is safe.
    Unconfirmed,
    /// No engine is running in this process, or several are and it is ambiguous which one is meant.
    NoEngine,
    /// The id belongs to another workflow.
    IdConflict,
    /// Another workflow with the same deduplication id is on the queue.
    Duplicate,
    /// An id, name or key that cannot be stored.
    InvalidId,
    /// No workflow has this id.
    NotFound,
    /// The workflow has ended and receives no more messages.
    Ended,
    /// The status of the workflow, or that of another one, does not allow the change.
    Refused,
    /// No workflow of this program has this name, or two have.
    Registry,
    /// A value that cannot be written or read back, or is too large.
    Payload,
    /// A durable call in a place where it is not allowed.
    Misuse,
    /// The settings are wrong.
    Config,
    /// Serialization failure or deadlock in the database. A `#[transaction]` is retried.
    Contended,
    /// User code lost its connection to a database, or its statement was cancelled. A `#[transaction]` is
    /// retried.
    Unavailable,
    /// The database refused a statement, or cannot be reached.
    Database,
}

impl Error {
    /// An error of user code, from a message.
    ///
    /// # Example
    ///
    /// ```
    /// let error = durable_core::Error::msg("the card was declined");
    /// assert_eq!(error.to_string(), "the card was declined");
    /// ```
    #[must_use]
    pub fn msg(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::User, message.to_string())
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorParts {
            kind,
            message: message.into(),
            sources: Vec::new(),
            type_name: None,
            workflow: None,
            payload: None,
        }))
    }

    pub(crate) fn with_sources(mut self, sources: Vec<String>) -> Self {
        self.0.sources = sources;
        self
    }

    pub(crate) fn with_type_name(mut self, name: impl Into<String>) -> Self {
        self.0.type_name = Some(name.into());
        self
    }

    pub(crate) fn with_workflow(mut self, id: &str) -> Self {
        self.0.workflow = Some(id.to_owned());
        self
    }

    pub(crate) fn with_payload(mut self, text: impl Into<String>) -> Self {
        self.0.payload = Some(text.into());
        self
    }

    /// The JSON text that [`recv`](crate::recv()) or [`get_event`](crate::get_event()) could not read as the type that was
    /// asked for. `None` in other errors. It is in no message and in no log line.
    #[must_use]
    pub fn payload(&self) -> Option<&str> {
        self.0.payload.as_deref()
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The messages of the source chain, outermost first, without the error's own.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.0.sources
    }

    /// The name of the error type it was converted from, if it was.
    #[must_use]
    pub fn type_name(&self) -> Option<&str> {
        self.0.type_name.as_deref()
    }

    /// The id of the workflow that an interrupted call waited for or was to start. Use it to wait or to
    /// start again, in another process or after the restart. The workflow exists if the
    /// [`kind`](Self::kind) is [`ErrorKind::Interrupted`], does not exist if it is
    /// [`ErrorKind::ShuttingDown`], and may exist if it is [`ErrorKind::Unconfirmed`]. `None` in most
    /// other errors.
    #[must_use]
    pub fn workflow_id(&self) -> Option<&str> {
        self.0.workflow.as_deref()
    }

    /// Whether the workflow was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind() == ErrorKind::Cancelled
    }

    /// Whether the workflow is parked.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.kind() == ErrorKind::Parked
    }

    /// Whether the call was cut short by a shutdown of this process: repeat it in another process or after
    /// the restart. The [`kind`](Self::kind) shows whether something was written.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.kind(), ErrorKind::Interrupted | ErrorKind::ShuttingDown | ErrorKind::Unconfirmed)
    }

    /// Whether the id belongs to another workflow.
    #[must_use]
    pub fn is_id_conflict(&self) -> bool {
        self.kind() == ErrorKind::IdConflict
    }

    /// Whether user code panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.kind() == ErrorKind::Panic
    }
}

/// Not public API: the error of an invalid setting.
#[doc(hidden)]
pub fn config_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl<E: StdError + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let mut sources = Vec::new();
        let mut next = error.source();
        while let Some(source) = next {
            sources.push(source.to_string());
            next = source.source();
        }
        let kind = match Interruption::of(&error) {
            Some(Interruption::LostRace) => ErrorKind::Contended,
            Some(Interruption::Broken(_)) => ErrorKind::Unavailable,
            None => ErrorKind::User,
        };
        Self::new(kind, error.to_string()).with_sources(sources).with_type_name(std::any::type_name::<E>())
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

/// So that a workflow or a step may return `anyhow::Result`: its error is recorded with its whole
/// chain, as text.
#[cfg(feature = "anyhow")]
impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        Self::from_boxed(error.into())
    }
}

/// An [`Error`] as a standard error. The type is private: outside it is only ever a boxed trait object.
struct Boxed(Error);

impl StdError for Boxed {}

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// `fn main() -> Result<()>` prints errors with `Debug`, so this is written for people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for source in &self.0.sources {
            write!(f, "\n  caused by: {source}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_chain_and_the_type_survive_the_record() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no amount")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }

        let error = Error::from(Outer("x".parse::<u8>().expect_err("x is no number")));
        let text = serde_json::to_string(&error).expect("an error is plain data");
        let again: Error = serde_json::from_str(&text).expect("it was just written");

        assert_eq!(again.to_string(), "no amount");
        assert_eq!(again.sources(), ["invalid digit found in string"]);
        assert!(again.type_name().expect("it was converted").ends_with("Outer"));
    }

    #[test]
    fn a_boxed_error_has_the_same_message() {
        let boxed: Box<dyn StdError + Send + Sync> = Error::msg("the card was declined").into();
        assert_eq!(boxed.to_string(), "the card was declined");
    }
}
