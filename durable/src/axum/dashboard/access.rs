//! What a viewer may do and see, as the host decides it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::axum::Router;
use ::axum::extract::Request;
use ::axum::http::Extensions;
use ::axum::http::request::Parts;
use ::axum::middleware::{Next, from_fn};
use serde_json::Value;

/// What the viewers of a [dashboard](super::dashboard) may do. Without one they may only look.
///
/// The host authenticates viewers: put a layer in front that asks for a password or a session, and let it set
/// an [`AuditUser`].
#[derive(Clone)]
pub struct Access(Rule);

#[derive(Clone)]
enum Rule {
    Fixed(Grant),
    FromRequest(Arc<dyn Fn(&Parts) -> Access + Send + Sync>),
}

/// What one request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grant {
    None,
    ReadOnly,
    Full,
}

impl Access {
    /// Nothing: every request is refused with 403.
    #[must_use]
    pub const fn none() -> Self {
        Self(Rule::Fixed(Grant::None))
    }

    /// Looking, without any action.
    #[must_use]
    pub const fn read_only() -> Self {
        Self(Rule::Fixed(Grant::ReadOnly))
    }

    /// Everything.
    #[must_use]
    pub const fn full() -> Self {
        Self(Rule::Fixed(Grant::Full))
    }

    /// Decides for each request, by what the layers of the host have found out about it.
    ///
    /// # Example
    ///
    /// ```
    /// use durable::axum::Access;
    ///
    /// #[derive(Clone)]
    /// struct IsOperator;
    ///
    /// let access = Access::from_request(|request| match request.extensions.get::<IsOperator>() {
    ///     Some(IsOperator) => Access::full(),
    ///     None => Access::read_only(),
    /// });
    /// # let _ = access;
    /// ```
    #[must_use]
    pub fn from_request(decide: impl Fn(&Parts) -> Self + Send + Sync + 'static) -> Self {
        Self(Rule::FromRequest(Arc::new(decide)))
    }

    pub(super) fn grant(&self, request: &Parts) -> Grant {
        match &self.0 {
            Rule::Fixed(grant) => *grant,
            Rule::FromRequest(decide) => decide(request).grant(request),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Fixed(grant) => write!(f, "Access({grant:?})"),
            Rule::FromRequest(_) => write!(f, "Access(FromRequest)"),
        }
    }
}

/// The user on whose behalf a request is made, for the lines of the audit log. A layer of the host sets it as an extension
/// of the request.
///
/// # Example
///
/// ```no_run
/// use axum::extract::Request;
/// use axum::middleware::{Next, from_fn};
/// use durable::axum::{Access, AuditUser};
/// use durable::prelude::*;
///
/// # fn example(app: Durable) -> axum::Router {
/// let name_user = from_fn(|mut request: Request, next: Next| async move {
///     let user = "ann".to_owned(); // from the session
///     request.extensions_mut().insert(AuditUser(user));
///     next.run(request).await
/// });
/// axum::Router::new().nest("/durable", durable::axum::dashboard(&app).access(Access::full())).layer(name_user)
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditUser(
    /// The name of the user.
    pub String,
);

/// The options of a [dashboard](super::dashboard), as methods of its router. Call them on what `dashboard` returns, or on a
/// router in which it is nested already: routes that are added later are not covered.
///
/// # Example
///
/// ```no_run
/// use axum::Router;
/// use durable::axum::Access;
/// use durable::prelude::*;
///
/// fn hide_cards(_name: &str, json: &mut serde_json::Value) {
///     if let Some(card) = json.get_mut("card") {
///         *card = "hidden".into();
///     }
/// }
///
/// # fn example(app: Durable) -> Router {
/// Router::new().nest("/durable", durable::axum::dashboard(&app).access(Access::read_only()).redact(hide_cards))
/// # }
/// ```
pub trait DashboardRouter: Sized {
    /// Sets what viewers may do. A later call replaces an earlier one. Without it they may only look.
    #[must_use]
    fn access(self, access: Access) -> Self;

    /// Hides parts of payloads: the function changes each value before it leaves the process. It gets the name of the
    /// workflow or of the step that the value belongs to. Arguments come as one object by name, errors as an object with
    /// `type`, `message` and `value`, and texts of errors as texts. A value that is not JSON is left out. Several functions
    /// are applied one after the other. If one panics, the value is left out.
    ///
    /// The name is that of the step, transaction or child workflow of the call, and else that of the workflow: a message, an
    /// event or a stream belongs to the workflow. Names, ids, labels and keys are shown as they are.
    ///
    /// Workflows cannot be searched by the texts of their errors then: that would tell what is hidden.
    #[must_use]
    fn redact(self, redact: impl Fn(&str, &mut Value) + Send + Sync + 'static) -> Self;
}

impl<S: Clone + Send + Sync + 'static> DashboardRouter for Router<S> {
    fn access(self, access: Access) -> Self {
        with_choice(self, move |choices| {
            choices.access.get_or_insert_with(|| access.clone()); // the layer of the last call runs first
        })
    }

    fn redact(self, redact: impl Fn(&str, &mut Value) + Send + Sync + 'static) -> Self {
        let redact: Redact = Arc::new(redact);
        with_choice(self, move |choices| choices.redaction.0.insert(0, Arc::clone(&redact)))
    }
}

/// The options, on their way to the routes as an extension of the request.
#[derive(Clone, Default)]
pub(super) struct Choices {
    pub(super) access: Option<Access>,
    pub(super) redaction: Redaction,
}

fn with_choice<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    choose: impl Fn(&mut Choices) + Clone + Send + Sync + 'static,
) -> Router<S> {
    router.layer(from_fn(move |mut request: Request, next: Next| {
        choose(choices(request.extensions_mut()));
        next.run(request)
    }))
}

fn choices(extensions: &mut Extensions) -> &mut Choices {
    extensions.get_or_insert_default()
}

type Redact = Arc<dyn Fn(&str, &mut Value) + Send + Sync>;

/// The functions that hide parts of payloads.
#[derive(Clone, Default)]
pub(super) struct Redaction(Vec<Redact>);

impl Redaction {
    /// Whether anything may be hidden.
    pub(super) fn hides(&self) -> bool {
        !self.0.is_empty()
    }

    /// A text of JSON as what may be shown of it.
    pub(super) fn json(&self, name: &str, text: &str) -> Value {
        match serde_json::from_str(text) {
            Ok(value) => self.value(name, value),
            // The functions could find nothing in it.
            Err(_) if self.hides() => Value::Null,
            Err(_) => Value::String(text.to_owned()),
        }
    }

    /// What may be shown of a value.
    pub(super) fn value(&self, name: &str, mut value: Value) -> Value {
        for redact in &self.0 {
            let redacted = catch_unwind(AssertUnwindSafe(|| redact(name, &mut value)));
            if redacted.is_err() {
                tracing::error!(target: "durable", name, "the function that hides payloads of the dashboard panicked; the value is left out");
                return Value::Null;
            }
        }
        value
    }

    /// What may be shown of a text that may have a part of a payload in it.
    pub(super) fn text(&self, name: &str, text: &str) -> Value {
        self.value(name, Value::String(text.to_owned()))
    }
}
