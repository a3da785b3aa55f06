//! Actions: the access that they need, what a request has to prove, and the audit log.

use std::sync::Arc;

use ::axum::Json;
use ::axum::body::Bytes;
use ::axum::extract::{FromRequest, Request, State};
use ::axum::http::{HeaderMap, StatusCode, Uri, header};
use ::axum::response::{IntoResponse, Response};
use ::axum::routing::{MethodRouter, post};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use super::Dashboard;
use super::access::Grant;
use super::api_error::{Answer, ApiError};
use super::operations::Operation;
use super::viewer::Viewer;
use super::workflow_actions::WorkflowAction;

/// The header that an action has to have. Other sites cannot send it without a permission that is never given.
pub(super) const CSRF_HEADER: &str = "x-durable-csrf";

/// What a route does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Workflows(WorkflowAction),
    Operation(Operation),
}

/// The route of an action.
pub(super) fn route(name: &'static str, action: Action) -> MethodRouter<Arc<Dashboard>> {
    post(move |State(dashboard): State<Arc<Dashboard>>, viewer: Viewer, request: Request| {
        act(dashboard, viewer, name, action, request)
    })
}

async fn act(
    dashboard: Arc<Dashboard>,
    viewer: Viewer,
    name: &'static str,
    action: Action,
    request: Request,
) -> Response {
    let fields = match admitted(&viewer, request).await {
        Ok(fields) => fields,
        Err(error) => {
            Done::default().log(name, &viewer, Some(&error));
            return error.into_response();
        }
    };
    let asked = viewer.clone();
    // In a task of its own: if the client hangs up, the action is carried out and logged all the same.
    let task = async move {
        let (mut fields, mut done) = (fields, Done::default());
        let result = match action {
            Action::Workflows(action) => action.carry_out(&dashboard, &viewer, &mut fields, &mut done).await,
            Action::Operation(operation) => operation.carry_out(&dashboard, &mut fields, &mut done).await,
        };
        done.log(name, &viewer, result.as_ref().err());
        match result {
            Ok(answer) => (done.status, Json(answer)).into_response(),
            Err(error) => error.into_response(),
        }
    };
    let response = tokio::spawn(task.in_current_span().with_current_subscriber()).await;
    response.unwrap_or_else(|_| {
        let message =
            "the action panicked, and what it changed before stays changed: the log of the process has the reason";
        let error = ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", message);
        Done::default().log(name, &asked, Some(&error));
        error.into_response()
    })
}

/// Reads the body, if the request may act and proves that it comes from the dashboard or from a program.
async fn admitted(viewer: &Viewer, request: Request) -> Answer<Fields> {
    if viewer.grant != Grant::Full {
        return Err(ApiError::forbidden("this access is read-only: the host of the dashboard gives `Access::full()`"));
    }
    prove_origin(request.headers())?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let message = "an action is JSON: send it with the header `content-type: application/json`";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", message));
    }
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 1 MiB: send less")
        }
        status => ApiError::new(status, "misuse", "the body did not arrive: send it again"),
    })?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(fields)) => Ok(Fields(fields)),
        Ok(_) => Err(ApiError::misuse("the body is no JSON object")),
        Err(error) => Err(ApiError::misuse(format!("the body is no JSON: {error}"))),
    }
}

/// Refuses requests that another site has made a browser send.
fn prove_origin(headers: &HeaderMap) -> Answer<()> {
    let refused = |message: &str| Err(ApiError::new(StatusCode::FORBIDDEN, "csrf", message));
    if !headers.contains_key(CSRF_HEADER) {
        return refused("the header `x-durable-csrf` is missing: send it with any value");
    }
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let other_site = "the request comes from another site: open the dashboard itself";
    match (text("sec-fetch-site"), headers.get(header::ORIGIN)) {
        // The browser sets it; a page cannot.
        (Some(site), _) => {
            if site == "same-origin" {
                Ok(())
            } else {
                refused(other_site)
            }
        }
        // Older browsers, and those that do not trust the connection. A proxy may have changed the host.
        (None, Some(origin)) => {
            let origin = origin.to_str().ok().and_then(|it| it.parse::<Uri>().ok());
            let origin = origin.as_ref().and_then(Uri::authority).map(ToString::to_string);
            let hosts = [text("host"), text("x-forwarded-host")];
            let is_ours = |origin: &String| hosts.iter().flatten().any(|it| it.eq_ignore_ascii_case(origin));
            if origin.as_ref().is_some_and(is_ours) { Ok(()) } else { refused(other_site) }
        }
        (None, None) => Ok(()), // no browser
    }
}

/// The fields of the body.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Takes a field that may be there. One that is null is not there.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Answer<Option<T>> {
        let Some(value) = self.0.remove(name).filter(|it| !it.is_null()) else { return Ok(None) };
        let read = serde_json::from_value(value);
        read.map(Some).map_err(|error| ApiError::misuse(format!("the field `{name}` is invalid: {error}")))
    }

    /// Takes a field that has to be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Answer<T> {
        self.take(name)?.ok_or_else(|| ApiError::misuse(format!("the field `{name}` is missing")))
    }

    /// Refuses fields that nothing has taken.
    pub(super) fn end(&self) -> Answer<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::misuse(format!("there is no field `{name}` here"))),
        }
    }
}

/// A number of seconds as a duration.
pub(super) fn seconds(name: &str, seconds: f64) -> Answer<Duration> {
    let read = Duration::try_from_secs_f64(seconds);
    read.map_err(|_| ApiError::misuse(format!("`{name}` is a number of seconds, and not {seconds}")))
}

/// How long the subject of a line of the audit log is at most.
const MAX_SUBJECT: usize = 1_000;

/// What an action is about and what it has done, for the audit log. There are no payloads in it.
#[derive(Debug)]
pub(super) struct Done {
    /// Ids, a filter, or the name of a queue or schedule.
    subject: String,
    /// What has become of it.
    pub(super) effect: String,
    pub(super) status: StatusCode,
}

impl Default for Done {
    fn default() -> Self {
        Self { subject: String::new(), effect: "done".to_owned(), status: StatusCode::OK }
    }
}

impl Done {
    /// Notes what the action is about.
    pub(super) fn about(&mut self, subject: impl Into<String>) {
        self.subject = subject.into();
        self.subject.truncate(self.subject.floor_char_boundary(MAX_SUBJECT));
    }

    /// Writes the line of the audit log.
    fn log(&self, action: &str, viewer: &Viewer, refused: Option<&ApiError>) {
        let (user, on) = (viewer.user.as_deref().unwrap_or("-"), &*self.subject);
        match refused {
            None => {
                tracing::info!(target: "durable::audit", action, user, on, effect = %self.effect, "an action was carried out");
            }
            Some(error) => {
                tracing::warn!(target: "durable::audit", action, user, on, refused = error.kind(), status = error.status.as_u16(), "an action was refused");
            }
        }
    }
}
