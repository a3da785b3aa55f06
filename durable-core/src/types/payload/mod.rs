//! Values as JSON text: encoding, decoding, and the recorded form of errors.

mod json_check;

use std::error::Error as StdError;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::types::database_fault::Interruption;
use crate::types::error::{Error, ErrorKind};

/// A value that can be recorded: written as JSON and read back.
///
/// Every type that is `Serialize` and `DeserializeOwned` is one; there is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recorded",
    label = "this type cannot be written to the database and read back",
    note = "a workflow's arguments, and what workflows and steps return, are recorded: derive `serde::Serialize` and `serde::Deserialize` for the type, or pass an id and load the value in a step"
)]
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}

// The compiler then shows the message above once, and not once for each half of serde.
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}

/// How an operation or a workflow ended, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The value, as JSON.
    Output(String),
    /// The error, as JSON with `type`, `message` and `value`.
    Error(String),
}

impl Outcome {
    /// The bytes it takes in the database.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Output(text) | Self::Error(text) => text.len(),
        }
    }
}

/// The name of the engine's own error type in the database.
const ENGINE_ERROR: &str = "durable::Error";

/// The recorded form of an error: enough to restore the typed value, and readable without the type.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordedError {
    /// The type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The text of `Display`.
    pub message: String,
    /// The messages of the source chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The error itself; absent when it could not be serialized, or never was a value (a panic).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// Whether it was a panic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub panic: bool,
}

impl RecordedError {
    /// The recorded form of an error of the engine, or of a panic.
    pub(crate) fn from_engine(error: &Error) -> Self {
        Self {
            type_name: ENGINE_ERROR.to_owned(),
            message: error.to_string(),
            sources: error.sources().to_vec(),
            value: serde_json::value::to_raw_value(error).ok(),
            panic: error.is_panic(),
        }
    }

    /// Whether the value is a [`struct@Error`] of the engine, whatever the function's own error type is.
    pub(crate) fn is_from_engine(&self) -> bool {
        self.type_name == ENGINE_ERROR
    }

    /// The interruption of a transaction that it is.
    pub(crate) fn interruption(&self) -> Option<Interruption> {
        let value = self.value.as_ref().filter(|_| self.is_from_engine())?;
        let error = serde_json::from_str::<Error>(value.get()).ok()?;
        match error.kind() {
            ErrorKind::Contended => Some(Interruption::LostRace),
            ErrorKind::Unavailable => Some(Interruption::Broken(error.to_string())),
            _ => None,
        }
    }

    /// The JSON to store. Plain strings always serialize.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| {
            format!(r#"{{"type":"durable::Error","message":"an error that could not be written: {error}"}}"#)
        })
    }

    /// Reads a stored error. A text of another form becomes the message of an error.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            type_name: String::new(),
            message: text.to_owned(),
            sources: Vec::new(),
            value: None,
            panic: false,
        })
    }

    /// The error for a caller without the type.
    pub(crate) fn into_error(self) -> Error {
        if let Some(value) = &self.value
            && self.type_name == ENGINE_ERROR
            && let Ok(error) = serde_json::from_str::<Error>(value.get())
        {
            return error;
        }
        let kind = if self.panic { ErrorKind::Panic } else { ErrorKind::User };
        let error = Error::new(kind, self.message).with_sources(self.sources);
        if self.type_name.is_empty() { error } else { error.with_type_name(self.type_name) }
    }
}

/// Why a value could not be written or read back. It names the path in the value, never the value.
#[derive(Debug, Clone)]
pub struct PayloadError {
    pub(crate) message: String,
}

impl PayloadError {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string() }
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Encodes a value as JSON. A value that would not be read back as it was written is refused.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, PayloadError> {
    let cannot = |error: &dyn fmt::Display| {
        PayloadError::new(format_args!("a `{}` cannot be written as JSON: {error}", short_type_name::<T>()))
    };
    let text = serde_json::to_string(value).map_err(|error| cannot(&error))?;
    json_check::check(value, &text).map_err(|error| cannot(&error))?;
    Ok(text)
}

/// Reads a value back; the error names the path to the field that does not fit.
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, PayloadError> {
    let reader = &mut serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => format!(" at `{path}`"),
        };
        PayloadError::new(format_args!(
            "the recorded value does not read as `{}`{path}: {}",
            short_type_name::<T>(),
            without_values(&error.inner().to_string())
        ))
    })
}

/// The text of a serde error without the values in it: it ends up in logs and in reasons, where no part of
/// a payload may be. `invalid type: string "4111", expected u32` becomes `invalid type: string, expected u32`.
fn without_values(message: &str) -> String {
    for prefix in ["invalid type: ", "invalid value: ", "unknown variant "] {
        let Some((before, rest)) = message.split_once(prefix) else { continue };
        // The value is between quotes or backticks, and may contain either.
        let end =
            if prefix == "unknown variant " { rest.find("`, ").map(|at| at + 1) } else { rest.rfind(", expected ") };
        let Some(end) = end else { continue };
        let (value, after) = rest.split_at(end);
        let kind = value.split(['"', '`']).next().unwrap_or_default().trim_end();
        return format!("{before}{}{kind}{after}", if kind.is_empty() { prefix.trim_end() } else { prefix });
    }
    message.to_owned()
}

impl<T, E> Codec<Result<T, E>>
where
    T: Payload,
    E: fmt::Display + From<Error>,
{
    /// For an error type that cannot be written: its message is recorded, and a replay gets an
    /// error of the type that is made from it.
    pub(crate) const BY_MESSAGE: Self = Self {
        encode: |result| match result {
            Ok(value) => encode(value).map(Outcome::Output),
            Err(error) => {
                // The alternate form shows the whole chain where a type has one (anyhow has).
                let error = Error::msg(format_args!("{error:#}")).with_type_name(error_type_name::<E>());
                let recorded =
                    RecordedError { type_name: error_type_name::<E>(), ..RecordedError::from_engine(&error) };
                Ok(Outcome::Error(recorded.to_text()))
            }
        },
        decode: |outcome| match outcome {
            Outcome::Output(text) => decode(text).map(Ok),
            Outcome::Error(text) => Ok(Err(E::from(RecordedError::from_text(text).into_error()))),
        },
        from_engine: Some(|error| Err(E::from(error))),
        error_of: |_| None,
    };
}

/// The name under which errors of a type are recorded.
fn error_type_name<E>() -> String {
    let name = std::any::type_name::<E>();
    if name == std::any::type_name::<Error>() { ENGINE_ERROR.to_owned() } else { name.to_owned() }
}

/// The type's name without module paths: `Option<Order>` and not `core::option::Option<shop::Order>`.
fn short_type_name<T: ?Sized>() -> String {
    let mut short = String::new();
    for piece in std::any::type_name::<T>().split_inclusive(['<', '>', ',', ' ', '(', ')', '[', ']', '&']) {
        short.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    short
}

/// How a function's return type `R` is recorded and read back: chosen where the macro expands, by
/// [`codec!`](crate::__private::codec), from what `R` can do.
#[derive(Debug)]
pub struct Codec<R> {
    /// Writes what the function returned.
    pub(crate) encode: fn(&R) -> Result<Outcome, PayloadError>,
    /// Reads it back.
    pub(crate) decode: fn(&Outcome) -> Result<R, PayloadError>,
    /// Makes an error of the engine (a step's timeout) a value of the function's own error type,
    /// where it has `From<durable::Error>`.
    pub(crate) from_engine: Option<fn(Error) -> R>,
    /// The error that it returned, where its type is one of the standard library's kind.
    pub(crate) error_of: fn(&R) -> Option<&(dyn StdError + 'static)>,
}

impl<R> Codec<R> {
    /// Not public API. The same with a way to the error that the function returned.
    #[doc(hidden)]
    #[must_use]
    pub fn with_error_of(mut self, error_of: fn(&R) -> Option<&(dyn StdError + 'static)>) -> Self {
        self.error_of = error_of;
        self
    }

    /// The interruption of a transaction that a result comes from.
    pub(crate) fn interruption_of(&self, result: &R) -> Option<Interruption> {
        (self.error_of)(result).and_then(Interruption::of)
    }
}

impl<R> Clone for Codec<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Codec<R> {}

impl<R: Payload> Codec<R> {
    /// For a plain value, which cannot fail.
    pub(crate) const PLAIN: Self = Self {
        encode: |value| encode(value).map(Outcome::Output),
        decode: |outcome| match outcome {
            Outcome::Output(text) => decode(text),
            Outcome::Error(text) => Err(PayloadError::new(format_args!(
                "an error is recorded here, and the function returns no `Result` any more: {}",
                RecordedError::from_text(text).message
            ))),
        },
        from_engine: None,
        error_of: |_| None,
    };
}

impl<T, E> Codec<Result<T, E>>
where
    T: Payload,
    E: Serialize + DeserializeOwned + fmt::Display,
{
    /// For a result with an error type that is recorded and restored as the same typed value.
    pub(crate) const TYPED: Self = Self {
        encode: |result| match result {
            Ok(value) => encode(value).map(Outcome::Output),
            Err(error) => {
                let value = RawValue::from_string(encode(error)?).map_err(PayloadError::new)?;
                Ok(Outcome::Error(
                    RecordedError {
                        type_name: error_type_name::<E>(),
                        message: error.to_string(),
                        sources: Vec::new(),
                        value: Some(value),
                        panic: false,
                    }
                    .to_text(),
                ))
            }
        },
        decode: |outcome| match outcome {
            Outcome::Output(text) => decode(text).map(Ok),
            Outcome::Error(text) => match RecordedError::from_text(text) {
                RecordedError { value: Some(value), .. } => decode(value.get()).map(Err),
                without_value => Err(PayloadError::new(format_args!(
                    "the recorded error carries no value, only a message: {}",
                    without_value.message
                ))),
            },
        },
        from_engine: None,
        error_of: |_| None,
    };
}

impl<T, E> Codec<Result<T, E>>
where
    T: Payload,
    E: Serialize + DeserializeOwned + fmt::Display + From<Error>,
{
    /// The same, for an error type that can also hold the engine's errors.
    pub(crate) const TYPED_FROM_ENGINE: Self = Self {
        encode: Self::TYPED.encode,
        decode: |outcome| match outcome {
            Outcome::Error(text) if RecordedError::from_text(text).is_from_engine() => {
                Ok(Err(E::from(RecordedError::from_text(text).into_error())))
            }
            _ => (Self::TYPED.decode)(outcome),
        },
        from_engine: Some(|error| Err(E::from(error))),
        error_of: |_| None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Line {
        cents: u32,
    }

    #[test]
    fn errors_of_decoding_hold_no_part_of_the_value() {
        #[derive(Debug, serde::Deserialize)]
        enum Card {
            Visa,
        }
        let texts = [
            (decode::<u32>(r#""4111""#).map(drop), "invalid type: string, expected u32"),
            (decode::<u8>("4111").map(drop), "invalid value: integer, expected u8"),
            (decode::<bool>("41.11").map(drop), "invalid type: floating point, expected a boolean"),
            (decode::<u32>(r#"", expected 4111""#).map(drop), "invalid type: string, expected u32"),
            (decode::<Card>(r#""4111""#).map(drop), "unknown variant, expected `Visa`"),
        ];
        for (result, expected) in texts {
            let error = result.expect_err("it is another type").to_string();
            assert!(error.contains(expected) && !error.contains("4111"), "{error}");
        }
        assert!(matches!(decode::<Card>(r#""Visa""#), Ok(Card::Visa)));
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_the_path_of_the_field() {
        let error = decode::<Order>(r#"{"lines":[{"cents":1},{"cents":"two"}]}"#).expect_err("two is no number");
        assert!(error.message.contains("`Order` at `lines[1].cents`"), "{error}");
    }

    #[test]
    fn a_number_is_restored_to_the_last_bit() {
        for number in 0..1000_u32 {
            let number = 1.0 / (f64::from(number) + 0.3);
            let text = encode(&number).expect("a number can be written");
            let read: f64 = decode(&text).expect("and read");
            assert_eq!(number.to_bits(), read.to_bits(), "{text}");
        }
    }

    #[test]
    fn type_names_lose_their_module_paths() {
        assert_eq!(short_type_name::<Option<Vec<(Order, &'static str)>>>(), "Option<Vec<(Order, &str)>>");
    }

    #[test]
    fn a_text_of_another_form_in_the_error_column_becomes_the_message() {
        assert_eq!(RecordedError::from_text("boom").into_error().to_string(), "boom");
    }
}
