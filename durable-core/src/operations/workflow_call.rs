//! `#[workflow]`: the call as a value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::start::{Limit, StartRequest, of_queue};
use crate::operations::workflow_handle::WorkflowHandle;
use crate::operations::workflow_result::Returned;
use crate::registry::{Arguments, Instance, Queue, Workflow};
use crate::types::error::{Error, Result};
use crate::types::payload::Codec;
use crate::types::position::Position;

/// A call of a workflow. Awaiting it starts the workflow and waits for its result; [`start`](Self::start)
/// starts it in the background. Methods set options of this one call.
///
/// The workflow is owned by the engine, not by this future: once it is started, dropping the future, or
/// the task that awaits it, does not stop the workflow.
///
/// Inside another workflow the call starts a child: its position is reserved when the call is made, its
/// row and the parent's record are one commit, and its result is recorded in the parent.
///
/// # Errors
/// Besides the workflow's own errors, awaiting gives errors of the engine, converted with
/// `From<durable::Error>`: the workflow was cancelled or parked, the process shuts down, the id
/// belongs to another workflow, the arguments cannot be stored.
#[must_use = "a workflow is not started until its call is awaited or started with `.start().await`"]
pub struct WorkflowCall<T, E = Error> {
    pub(super) call: Call<'static, WorkflowCallOptions<T, E>, Result<T, E>>,
}

pub(super) struct WorkflowCallOptions<T, E> {
    pub(super) request: StartRequest,
    pub(super) codec: Codec<Result<T, E>>,
    call_site: CallSite,
    pub(super) checks: OptionChecks,
}

/// The errors of options, which refuse the call when it is started. An option that is set again
/// replaces its own check.
pub(super) struct OptionChecks {
    pub(super) queue: Result<()>,
    pub(super) debounce: Result<()>,
}

impl OptionChecks {
    pub(super) fn result(self) -> Result<()> {
        self.queue.and(self.debounce)
    }
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
        needs_partition: workflow.options.queue.is_some_and(Queue::is_partitioned),
        or_existing: false,
        labels: BTreeMap::new(),
        started_by: None,
    };
    WorkflowCall {
        call: Call::new(WorkflowCallOptions {
            request,
            codec: R::codec(codec),
            call_site: CallSite::here(),
            checks: OptionChecks { queue: Ok(()), debounce: Ok(()) },
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
    let name = instance.instance_name().to_owned();
    call.call.set(|options| options.request.instance = Some(name));
    call
}

impl<T, E> WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Sets the workflow's id, which is its idempotency key: the same id never runs twice. A call with the
    /// id of an existing workflow attaches to that workflow, whatever its arguments were, and returns its
    /// result. If that is a workflow of another function or another instance, the call fails with
    /// [`ErrorKind::IdConflict`](crate::ErrorKind::IdConflict).
    ///
    /// At most 255 bytes without control characters. By default the id is a new UUID, or
    /// `parent-position` for a child.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.call.set(|options| options.request.id = Some(id.into()));
        self
    }

    /// Sets how long the workflow may run; after that it is cancelled, with the reason `timeout`.
    ///
    /// The deadline is recorded when the workflow begins to run, and holds across restarts. Children
    /// inherit it unless they have a timeout of their own. The default is the timeout of the attribute,
    /// if it has one.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.limited(Limit::For(timeout))
    }

    /// Removes the timeout: that of the attribute, and the deadline inherited from the calling workflow.
    pub fn no_timeout(self) -> Self {
        self.limited(Limit::None)
    }

    /// Adds a label, by which the workflow is found: [`Filter::label`](crate::Filter::label). A second call with
    /// the same name replaces the value.
    ///
    /// # Errors
    /// A name that is empty, or a name or value of more than 255 bytes or with control characters, is refused
    /// when the call is started.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.call.set(|options| drop(options.request.labels.insert(name, value)));
        self
    }

    /// Notes the user on whose behalf the workflow is started, for listings.
    pub fn started_by(mut self, user: impl Into<String>) -> Self {
        let user = user.into();
        self.call.set(|options| options.request.started_by = Some(user));
        self
    }

    fn limited(mut self, limit: Limit) -> Self {
        self.call.set(|options| options.request.limit = limit);
        self
    }

    /// Starts the workflow and returns as soon as it is durable; it runs in the background.
    ///
    /// # Errors
    /// Nothing was started: no engine runs or it is shutting down, the id belongs to another
    /// workflow, the id or the arguments cannot be stored. [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed)
    /// is the exception: the process shut down before the database replied, so the workflow may or may
    /// not have been started; call again with the same id, which is safe.
    pub async fn start(self) -> Result<WorkflowHandle<T, E>> {
        let Some(options) = self.call.into_options() else {
            return Err(Error::new(
                crate::ErrorKind::Misuse,
                "this call was awaited already, and has started its workflow",
            ));
        };
        let WorkflowCallOptions { request, codec, call_site, checks } = *options;
        checks.result()?;
        let started = request.start(&call_site).await?;
        Ok(WorkflowHandle::new(started, codec))
    }
}

impl<T, E> CallOptions<'static> for WorkflowCallOptions<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    type Output = Result<T, E>;

    async fn run(self: Box<Self>) -> Result<T, E> {
        let Self { request, codec, call_site, checks } = *self;
        checks.result().map_err(E::from)?;
        let started = request.start(&call_site).await.map_err(E::from)?;
        let handle = WorkflowHandle::new(started, codec);
        match call_site {
            // The result has a position of its own below the call's, which reserved one number.
            CallSite::Body(reserved) => {
                let position = Position::new(reserved.position.as_branch(), 1);
                let of_result = ReservedPosition::new(Arc::clone(&reserved.execution), position);
                drop(reserved);
                handle.wait(CallSite::Body(of_result)).await
            }
            other => handle.wait(other).await,
        }
    }
}

impl<T, E> fmt::Debug for WorkflowCallOptions<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.request.workflow.name, self.call_site)
    }
}

delegate_to_call!(
    "WorkflowCall",
    [T: Send + 'static, E: From<Error> + Send + 'static] WorkflowCall<T, E> => Result<T, E>,
    [T, E] WorkflowCall<T, E>
);
