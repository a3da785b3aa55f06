//! Errors of durable calls as responses.

use ::axum::Json;
use ::axum::http::{HeaderValue, StatusCode, header};
use ::axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::Error;

/// After how many seconds a client may ask again. Another process is there at once, as a rule.
const RETRY_AFTER: &str = "2";

/// The error of a handler, so that `?` works on durable calls and on everything else.
///
/// | error | response |
/// |---|---|
/// | the process goes down before the workflow has ended, or starts nothing new | 503, `Retry-After`, and JSON with the id of the workflow: it is safe, and can be asked for elsewhere |
/// | any other | 500, and JSON without the error's text, which may hold what clients must not see |
///
/// The error itself is an extension of the response, for a layer of your own that logs it.
///
/// # Example
///
/// ```no_run
/// # use durable::prelude::*;
/// # #[workflow]
/// # async fn checkout(order: String) -> Result<String> { Ok(order) }
/// async fn handler(order: String) -> Result<String, durable::axum::Failure> {
///     Ok(checkout(order).id("order-7").await?) // 503 with {"workflow_id": "order-7", ..} if it goes on elsewhere
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Failure(Error);

impl Failure {
    /// The error.
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
        let mut response = if error.is_interrupted() {
            let message = error.to_string();
            let body = Body { error: "shutting_down", message: &message, workflow_id: error.workflow_id() };
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            response
        } else {
            tracing::error!(target: "durable", kind = ?error.kind(), of = error.type_name(), "a handler failed");
            let body = Body { error: "internal", message: "the request failed", workflow_id: None };
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        };
        response.extensions_mut().insert(self.0);
        response
    }
}
