//! `#[workflow]`: the call as a value.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call_state::CallState;
use crate::operations::start::{Limit, StartRequest, of_queue};
use crate::operations::workflow_handle::WorkflowHandle;
use crate::operations::workflow_result::Returned;
use crate::registry::{Arguments, Instance, Workflow};
use crate::types::error::{Error, Result};
use crate::types::payload::Codec;
use crate::types::position::Position;

/// A call of a workflow. Awaiting it starts the workflow and waits for its result; [`start`](Self::start)
/// starts it in the background. Methods set options of this one call.
///
/// The workflow belongs to the engine and not to this future: once it is started, dropping the
/// future, or the whole task that awaits it, leaves the workflow running.
///
/// Inside another workflow the call is a child: it has its position from the moment it is made, its
/// row and the parent's record are one commit, and its result is recorded in the parent.
///
/// # Errors
/// Besides the workflow's own errors, awaiting gives errors of the engine, converted with
/// `From<durable::Error>`: the workflow was cancelled or parked, the process shuts down, the id
/// belongs to another workflow, the arguments cannot be stored.
#[must_use = "a workflow is not started until its call is awaited or started with `.start().await`"]
pub struct WorkflowCall<T, E = Error> {
    pub(super) state: CallState<'static, WorkflowCallOptions<T, E>, Result<T, E>>,
}

pub(super) struct WorkflowCallOptions<T, E> {
    pub(super) request: StartRequest,
    pub(super) codec: Codec<Result<T, E>>,
    call_site: CallSite,
    /// What is wrong with the queue that the call was given, if something is.
    pub(super) checked: Result<()>,
}

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn call<R: Returned>(
    workflow: &'static Workflow,
    codec: Codec<R>,
    arguments: Arguments,
) -> WorkflowCall<R::Ok, R::Err> {
    let request = StartRequest {
        workflow,
        input: arguments.into_text(),
        id: None,
        instance: None,
        limit: Limit::Inherited,
        placement: workflow.options.queue.map(of_queue),
        or_existing: false,
    };
    WorkflowCall {
        state: CallState::new(WorkflowCallOptions {
            request,
            codec: R::codec(codec),
            call_site: CallSite::here(),
            checked: Ok(()),
        }),
    }
}

/// Not public API. Used by generated code.
///
/// A call of a workflow that is a method: the instance's name is recorded, and recovery finds it by that.
#[doc(hidden)]
pub fn call_on<R: Returned, T: Instance>(
    workflow: &'static Workflow,
    codec: Codec<R>,
    instance: &T,
    arguments: Arguments,
) -> WorkflowCall<R::Ok, R::Err> {
    let mut call = call(workflow, codec, arguments);
    if let Some(made) = call.state.made() {
        made.request.instance = Some(instance.instance_name().to_owned());
    }
    call
}

impl<T, E> WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// The workflow's id, and with that its idempotency key: the same id never runs twice. A call
    /// with an id that is there already attaches to that workflow, whatever its arguments were, and
    /// gives its result. Where it is one of another function, or of another instance, that is an
    /// error of the kind [`IdConflict`](crate::ErrorKind::IdConflict).
    ///
    /// At most 255 bytes without control characters. Without this call the id is a fresh UUID, or
    /// `parent-position` for a child.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        if let Some(made) = self.state.made() {
            made.request.id = Some(id.into());
        }
        self
    }

    /// How long the workflow may run: when the time is up it is cancelled, with the reason `timeout`.
    ///
    /// The deadline is recorded when it begins to run, and holds across restarts. Children inherit
    /// it unless they have a timeout of their own. Without this call the one of the attribute
    /// counts, if it has one.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.limited(Limit::For(timeout))
    }

    /// Lets the workflow run as long as it takes, whatever its attribute says and whatever the
    /// deadline of the workflow that calls it is.
    pub fn no_timeout(self) -> Self {
        self.limited(Limit::None)
    }

    fn limited(mut self, limit: Limit) -> Self {
        if let Some(made) = self.state.made() {
            made.request.limit = limit;
        }
        self
    }

    /// Starts the workflow and returns as soon as it is durable; it runs in the background.
    ///
    /// # Errors
    /// Nothing was started: no engine runs or it is shutting down, the id belongs to another
    /// workflow, the id or the arguments cannot be stored. [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed)
    /// is the exception: the process went down before the database answered, and nobody knows; call
    /// again with the same id.
    pub async fn start(self) -> Result<WorkflowHandle<T, E>> {
        let CallState::Made(made) = self.state else {
            return Err(Error::new(
                crate::ErrorKind::Misuse,
                "this call was awaited already, and has started its workflow",
            ));
        };
        let WorkflowCallOptions { request, codec, call_site, checked } = *made;
        checked?;
        let started = request.start(&call_site).await?;
        Ok(WorkflowHandle::new(started, codec))
    }
}

impl<T, E> WorkflowCallOptions<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    async fn run(self: Box<Self>) -> Result<T, E> {
        let Self { request, codec, call_site, checked } = *self;
        checked.map_err(E::from)?;
        let started = request.start(&call_site).await.map_err(E::from)?;
        let handle = WorkflowHandle::new(started, codec);
        match call_site {
            // The result has a place of its own below the call's: the call claimed one number.
            CallSite::Body(ReservedPosition { execution, position }) => {
                let position = Position::new(position.as_branch(), 1);
                handle.wait(CallSite::Body(ReservedPosition { execution, position })).await
            }
            place => handle.wait(place).await,
        }
    }
}

impl<T, E> Future for WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.poll(cx, |made| Box::pin(made.run()))
    }
}

impl<T, E> fmt::Debug for WorkflowCall<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            CallState::Made(made) => write!(f, "WorkflowCall({}, {:?})", made.request.workflow.name, made.call_site),
            CallState::Running(_) => f.write_str("WorkflowCall(running)"),
            CallState::Over => f.write_str("WorkflowCall(over)"),
        }
    }
}
