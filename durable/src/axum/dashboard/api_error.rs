//! The errors of the JSON API.

use ::axum::Json;
use ::axum::http::StatusCode;
use ::axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::{Error, ErrorKind};

/// The result of a route.
pub(super) type Answer<T> = Result<T, ApiError>;

/// A response that says what happened and what to do.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    kind: String,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.to_owned(), message: message.into() }
    }

    /// The word for what kind of error it is.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// A parameter or a body that does not read.
    pub(super) fn misuse(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "misuse", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Refused | ErrorKind::Duplicate | ErrorKind::IdConflict | ErrorKind::Ended => {
                StatusCode::CONFLICT
            }
            ErrorKind::Misuse | ErrorKind::InvalidId | ErrorKind::Config | ErrorKind::Payload | ErrorKind::Registry => {
                StatusCode::BAD_REQUEST
            }
            ErrorKind::ShuttingDown
            | ErrorKind::Interrupted
            | ErrorKind::Unconfirmed
            | ErrorKind::NoEngine
            | ErrorKind::Contended
            | ErrorKind::Unavailable
            | ErrorKind::Database => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let kind = serde_json::to_value(error.kind()).ok();
        let kind = kind.as_ref().and_then(|it| it.as_str()).unwrap_or("error");
        Self::new(status, kind, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": { "kind": self.kind, "message": self.message } }))).into_response()
    }
}
