//! One request: what it may do, what is hidden from it, and its parameters.

use std::ops::RangeInclusive;

use ::axum::extract::{FromRequestParts, Query, Request};
use ::axum::http::request::Parts;
use ::axum::middleware::Next;
use ::axum::response::Response;

use super::MAX_PAGE;
use super::access::{Access, AuditUser, Choices, Grant, Redaction};
use super::api_error::{Answer, ApiError};
use crate::conditions::{KEYS, with_condition};
use crate::{Cursor, Filter};

/// How many conditions and labels a filter has at most: each is a part of a statement.
const MAX_CONDITIONS: usize = MAX_PAGE as usize;
const MAX_LABELS: usize = 20;

/// The permissions of a request, as the host has decided them.
#[derive(Clone)]
pub(super) struct Viewer {
    pub(super) grant: Grant,
    pub(super) user: Option<String>,
    pub(super) redaction: Redaction,
}

impl Viewer {
    /// The word for what the viewer may do.
    pub(super) fn access_word(&self) -> &'static str {
        if self.grant == Grant::Full { "full" } else { "read_only" }
    }
}

/// Refuses requests that may not even look, and notes for the routes what the others may do.
pub(super) async fn admit(request: Request, next: Next) -> Answer<Response> {
    let (mut parts, body) = request.into_parts();
    let choices = parts.extensions.remove::<Choices>().unwrap_or_default();
    let grant = choices.access.as_ref().unwrap_or(&Access::read_only()).grant(&parts);
    if grant == Grant::None {
        return Err(ApiError::forbidden(
            "this request has no access to the dashboard: the host of the dashboard gives it",
        ));
    }
    let user = parts.extensions.get::<AuditUser>().map(|it| it.0.clone());
    parts.extensions.insert(Viewer { grant, user, redaction: choices.redaction });
    Ok(next.run(Request::from_parts(parts, body)).await)
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiError::forbidden("the dashboard is not mounted whole"))
    }
}

/// The parameters of a request, in their order.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Query::<Vec<(String, String)>>::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(ApiError::misuse(format!("the parameters are invalid: {error}"))),
        }
    }
}

impl Parameters {
    /// Takes a parameter that may be there once; the last one counts.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.take_all(name).pop()
    }

    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// Takes a parameter that has to be there.
    pub(super) fn required(&mut self, name: &str) -> Answer<String> {
        self.take(name).ok_or_else(|| ApiError::misuse(format!("the parameter `{name}` is missing")))
    }

    pub(super) fn flag(&mut self, name: &str) -> Answer<bool> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(other) => Err(ApiError::misuse(format!("`{name}` is `true` or `false`, and not {other:?}"))),
        }
    }

    /// A number, between 1 and `most`.
    pub(super) fn limit(&mut self, default: u32, allowed: RangeInclusive<u32>) -> Answer<u32> {
        let Some(text) = self.take("limit") else { return Ok(default) };
        let number = text.parse::<u32>().ok().filter(|it| allowed.contains(it));
        let (least, most) = allowed.into_inner();
        number.ok_or_else(|| ApiError::misuse(format!("`limit` is a number from {least} to {most}, and not {text:?}")))
    }

    /// The fields that are asked for.
    pub(super) fn columns(&mut self) -> Option<Vec<String>> {
        self.take("columns").map(|it| it.split(',').map(|it| it.trim().to_owned()).collect())
    }

    pub(super) fn cursor(&mut self) -> Answer<Option<Cursor>> {
        self.take("after").filter(|it| !it.is_empty()).map(|it| it.parse().map_err(ApiError::from)).transpose()
    }

    /// The conditions among them, all of which have to be conditions now.
    pub(super) fn filter(self, redaction: &Redaction) -> Answer<Filter> {
        filter_of(self.0, redaction)
    }

    /// Refuses parameters that nothing has taken.
    pub(super) fn end(self) -> Answer<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::misuse(format!("there is no parameter `{name}` here"))),
        }
    }
}

/// The filter of conditions by their names.
pub(super) fn filter_of(
    conditions: impl IntoIterator<Item = (String, String)>,
    redaction: &Redaction,
) -> Answer<Filter> {
    let (mut filter, mut labels) = (Filter::new(), 0);
    for (number, (key, value)) in conditions.into_iter().enumerate() {
        labels += usize::from(key.starts_with("label"));
        if number >= MAX_CONDITIONS || labels > MAX_LABELS {
            let message =
                format!("a filter has at most {MAX_CONDITIONS} conditions, and {MAX_LABELS} labels among them");
            return Err(ApiError::misuse(message));
        }
        if key == "error" && redaction.hides() {
            let message = "workflows are not searched by the texts of their errors here, because parts of payloads are hidden: search by `status` and `name`";
            return Err(ApiError::forbidden(message));
        }
        let (key, value) = match (&*key, value.split_once('=')) {
            ("label", Some((name, value))) => (format!("label.{name}"), value.to_owned()),
            ("label", None) => return Err(ApiError::misuse(format!("a label is NAME=VALUE, and not {value:?}"))),
            _ => (key, value),
        };
        filter = with_condition(filter, &key, &value).map_err(ApiError::misuse)?.ok_or_else(|| {
            ApiError::misuse(format!("there is no condition or parameter `{key}`; the conditions are {KEYS}"))
        })?;
    }
    Ok(filter)
}
