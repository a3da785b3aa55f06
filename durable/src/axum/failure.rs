//! Errors of durable calls as HTTP responses.

use ::axum::Json;
use ::axum::http::{HeaderValue, StatusCode, header};
use ::axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::{Error, ErrorKind};

/// After how many seconds a client should try again. Usually another process is already running.
const RETRY_AFTER: &str = "2";

/// The error of a handler, so that `?` works on durable calls and on everything else.
///
/// | error | status | `error` in the JSON |
/// |---|---|---|
/// | the process shuts down before the awaited workflow has finished ([`Interrupted`]) | 503, `Retry-After` | `interrupted`, and `workflow_id`: the workflow continues in another process |
/// | the process is shutting down ([`ShuttingDown`]): nothing was written | 503, `Retry-After` | `shutting_down` |
/// | the process shut down before a write was confirmed ([`Unconfirmed`]) | 503, `Retry-After` | `unconfirmed`: it may or may not have been written |
/// | the database refused the call or cannot be reached ([`Database`]) | 503, `Retry-After` | `unavailable` |
/// | no workflow has this id ([`NotFound`]) | 404 | `not_found` |
/// | any other | 500 | `internal` |
///
/// Only `interrupted` has a `workflow_id`. The last three responses do not contain the error's text, which
/// may hold what clients must not see. The error itself is an extension of the response, for a middleware
/// that logs it.
///
/// [`Interrupted`]: ErrorKind::Interrupted
/// [`ShuttingDown`]: ErrorKind::ShuttingDown
/// [`Unconfirmed`]: ErrorKind::Unconfirmed
/// [`Database`]: ErrorKind::Database
/// [`NotFound`]: ErrorKind::NotFound
///
/// # Example
///
/// ```no_run
/// # use durable::prelude::*;
/// # #[workflow]
/// # async fn checkout(order: String) -> Result<String> { Ok(order) }
/// async fn handler(order: String) -> Result<String, durable::axum::Failure> {
///     Ok(checkout(order).id("order-7").await?) // 503 with {"workflow_id": "order-7", ..} if it continues elsewhere
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Failure(Error);

impl Failure {
    /// The error behind the response.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = &self.0;
        let text = error.to_string();
        let (status, code, message) = match error.kind() {
            ErrorKind::Interrupted => (StatusCode::SERVICE_UNAVAILABLE, "interrupted", text.as_str()),
            ErrorKind::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down", text.as_str()),
            ErrorKind::Unconfirmed => (StatusCode::SERVICE_UNAVAILABLE, "unconfirmed", text.as_str()),
            ErrorKind::Database => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database is unavailable"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found", "there is no such workflow"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed"),
        };
        if matches!(code, "unavailable" | "internal") {
            tracing::error!(target: "durable", kind = ?error.kind(), error_type = error.type_name(), "a handler failed");
        }
        let workflow_id = error.workflow_id().filter(|_| error.kind() == ErrorKind::Interrupted);
        let mut response = (status, Json(Body { error: code, message, workflow_id })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response.extensions_mut().insert(self.0);
        response
    }
}
