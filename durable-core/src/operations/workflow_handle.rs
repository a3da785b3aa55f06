//! Handles: the status and the result of a workflow.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::admin;
use crate::operations::caller_errors::interrupted;
use crate::operations::cancel::CancelCall;
use crate::operations::events;
use crate::operations::outside_wait;
use crate::operations::send::{self, SendCall};
use crate::operations::start::StartedWorkflow;
use crate::operations::streams::{self, StreamReader};
use crate::operations::workflow_result::result_of;
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::running_workflows::{RunProgress, RunningWorkflow};
use crate::runtime::stop_reason::StopReason;
use crate::store::{BoxFuture, FinishedWorkflow};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_id;
use crate::types::payload::{Codec, Outcome, Payload, RecordedError};
use crate::types::status::Status;
use crate::wait::poll_batch::{WaitFor, WaitResult};
use crate::wait::shutdown_phase::EnginePhase;

/// A handle to a workflow: its id, its status, its result. It stays valid across restarts of the
/// workflow, whichever process runs it.
///
/// Awaiting the handle is [`result`](Self::result).
pub struct WorkflowHandle<T, E = Error> {
    runtime: Arc<Runtime>,
    id: String,
    run: Option<Arc<RunningWorkflow>>,
    /// Whether its row was committed when the handle was made: then it has been deleted, if there is none.
    is_committed: bool,
    codec: Codec<Result<T, E>>,
}

impl<T, E> WorkflowHandle<T, E> {
    pub(crate) fn new(started: StartedWorkflow, codec: Codec<Result<T, E>>) -> Self {
        Self { runtime: started.runtime, id: started.id, run: started.run, is_committed: true, codec }
    }

    /// The same, of a workflow that the user's transaction may not have committed yet.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn not_committed(self) -> Self {
        Self { is_committed: false, ..self }
    }

    /// The workflow's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The workflow's current status, read from the database.
    ///
    /// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
    ///
    /// # Errors
    /// The workflow was deleted; it was called in a transaction; the database cannot be reached (in a body the
    /// workflow waits for it).
    pub fn status(&self) -> impl Future<Output = Result<Status>> + Send + use<T, E> {
        admin::status(Some(&self.runtime), "status", &self.id)
    }

    /// Cancels the workflow: see [`cancel_workflow`](crate::cancel_workflow).
    pub fn cancel(&self) -> CancelCall {
        CancelCall::new(Ok(Arc::clone(&self.runtime)), &self.id)
    }

    /// Sends it a message: see [`send`](crate::send()).
    pub fn send<M: serde::Serialize + ?Sized>(&self, topic: impl Into<String>, message: &M) -> SendCall {
        send::send(&self.id, topic, message).through(&self.runtime)
    }

    /// Reads one of its events: see [`get_event`](crate::get_event).
    ///
    /// # Errors
    /// As [`get_event`](crate::get_event).
    pub fn event<V: Payload>(
        &self,
        name: impl AsRef<str>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<V>>> + Send {
        events::read_event(&self.id, name.as_ref(), timeout, Some(Arc::clone(&self.runtime)))
    }

    /// Reads one of its streams: see [`read_stream`](crate::read_stream).
    pub fn stream<V: Payload>(&self, name: impl AsRef<str>) -> StreamReader<V> {
        streams::open_reader(Some(Arc::clone(&self.runtime)), &self.id, name.as_ref())
    }
}

impl<T, E> WorkflowHandle<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Waits for the workflow's end and returns its result. It can be called any number of times.
    ///
    /// Inside a workflow the result is recorded, at a position that is reserved when this is called.
    ///
    /// # Errors
    /// The workflow's own error; or an error of the engine: it was cancelled, it is parked, it was deleted
    /// ([`ErrorKind::NotFound`]), this process shuts down (the workflow is safe, ask again elsewhere).
    pub fn result(&self) -> impl Future<Output = Result<T, E>> + Send + use<T, E> {
        let call_site = CallSite::here();
        let handle = self.clone();
        async move { handle.wait(call_site).await }
    }

    pub(crate) async fn wait(self, call_site: CallSite) -> Result<T, E> {
        match call_site {
            CallSite::Body(reserved) => self.wait_in_body(&reserved).await,
            CallSite::Transaction(scope) => Err(E::from(scope.refusal("`result` of a workflow's handle"))),
            CallSite::Outside | CallSite::Step(_) => match self.wait_outside().await {
                Ok(ended) => result_of(self.codec, &ended),
                Err(error) => Err(E::from(error)),
            },
        }
    }

    async fn wait_outside(&self) -> Result<Arc<FinishedWorkflow>> {
        tokio::select! {
            biased;
            ended = self.ended(false) => ended.ok_or_else(|| interrupted(&self.id)),
            () = outside_wait::released(&self.runtime, [self.id.as_str()]) => Err(interrupted(&self.id)),
        }
    }

    /// In a body the end is an operation like any other: recorded, and replayed.
    async fn wait_in_body(&self, reserved: &ReservedPosition) -> Result<T, E> {
        let operation = Operation::result(&self.id);
        reserved.check_same_body(&format!("the result of {}", self.id)).await;
        if let Some(record) = reserved.replayed(operation).await {
            let outcome = record.outcome.clone().unwrap_or_else(|| Outcome::Output("null".to_owned()));
            return result_of(self.codec, &self.ended_by(outcome));
        }
        let execution = &reserved.execution;
        if execution.runtime.shutdown.is_aborting() {
            return execution.stop_here(StopReason::Suspend).await;
        }
        let ended = {
            let _activity = execution.begin_activity(Activity::Result(self.id.clone()));
            let down = self.runtime.shutdown.wait_for(EnginePhase::Aborting);
            // A drain does not wait for a workflow that runs elsewhere. A parked one can be resumed, so
            // the wait continues.
            tokio::select! {
                biased;
                ended = self.ended(true) => match ended {
                    Some(ended) => ended,
                    None => execution.stop_here(StopReason::Suspend).await,
                },
                () = down => execution.stop_here(StopReason::Suspend).await,
            }
        };
        let outcome = match &ended.outcome {
            Some(outcome) => outcome.clone(),
            None => Outcome::Error(
                RecordedError::from_engine(&crate::operations::workflow_result::ending_of(&ended)).to_text(),
            ),
        };
        let done = OperationResult {
            outcome: Some(outcome.clone()),
            child: Some(self.id.clone()),
            attempts: 1,
            ..OperationResult::default()
        };
        reserved.record_result(operation, done).await;
        result_of(self.codec, &self.ended_by(outcome))
    }

    /// Its engine.
    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Waits for the end, in this process if the workflow runs here, else in the database.
    /// `None` if the engine shuts down first. During a drain, a body keeps waiting as long as the
    /// workflow runs here, because that one is draining, too.
    pub(super) async fn ended(&self, in_body: bool) -> Option<Arc<FinishedWorkflow>> {
        let mut here = self.runtime.running.get(&self.id).or_else(|| self.run.clone());
        // It may have been resumed since, here or elsewhere, so the database is asked as long as that is possible.
        if let Some(ended) = here.as_ref().and_then(|run| run.failure()) {
            if self.runtime.shutdown.phase() > EnginePhase::Running && !(in_body && ended.status == Status::Parked) {
                return Some(ended);
            }
            here = None;
        }
        let mut may_be_resumed = here.as_ref().is_some_and(|run| run.is_ending());
        loop {
            let following = here.is_some().then(|| self.runtime.waiters.follow());
            if let Some(run) = here
                && let RunProgress::Ended(ended) = run.finished().await
                && !(in_body && ended.status == Status::Parked)
                && (ended.status == Status::Success
                    || !may_be_resumed
                    || self.runtime.shutdown.phase() > EnginePhase::Running)
            {
                return Some(ended);
            }
            let id = self.id.as_str().into();
            let wait_for = WaitFor::End { id, parked_counts: !in_body, missing_counts: self.is_committed };
            let wait = self.runtime.waiters.wait(&self.id, wait_for, in_body);
            drop(following);
            match wait.next().await {
                Some(WaitResult::Ended(ended)) => return Some(ended),
                Some(WaitResult::Missing) => return Some(Arc::new(self.deleted())),
                _ => {}
            }
            // This process may have claimed it from its queue meanwhile.
            may_be_resumed = false;
            here = Some(self.runtime.running.get(&self.id)?);
        }
    }

    /// An end with the error that there is no such workflow any more.
    fn deleted(&self) -> FinishedWorkflow {
        let message = format!("the workflow {:?} was deleted, so it has no result", self.id);
        let error = Error::new(ErrorKind::NotFound, message).with_workflow(&self.id);
        self.ended_by(Outcome::Error(RecordedError::from_engine(&error).to_text()))
    }

    fn ended_by(&self, outcome: Outcome) -> FinishedWorkflow {
        let status = if matches!(outcome, Outcome::Output(_)) { Status::Success } else { Status::Error };
        FinishedWorkflow { id: self.id.clone(), status, outcome: Some(outcome), reason: None }
    }
}

impl<T: Payload> WorkflowHandle<T> {
    /// The handle of a workflow that exists.
    pub(super) fn of_existing(runtime: &Arc<Runtime>, id: String) -> Self {
        let run = runtime.running.get(&id);
        Self { runtime: Arc::clone(runtime), id, run, is_committed: true, codec: Codec::<Result<T>>::BY_MESSAGE }
    }
}

/// Finds a workflow by its id, from any process. Its error comes as a [`struct@Error`] with the
/// message of the original; what it returned must read as a `T`.
///
/// In a workflow's body it is recorded whether there is such a workflow, at a position that is reserved when
/// this is called.
///
/// # Errors
/// There is no such workflow; it was called in a transaction; the database cannot be reached (in a body the
/// workflow waits for it).
pub fn retrieve_workflow<T: Payload>(id: impl AsRef<str>) -> impl Future<Output = Result<WorkflowHandle<T>>> + Send {
    retrieve(None, id.as_ref())
}

pub(crate) fn retrieve<T: Payload>(
    engine: Option<&Arc<Runtime>>,
    id: &str,
) -> impl Future<Output = Result<WorkflowHandle<T>>> + Send + use<T> {
    let given = engine.map(Arc::clone);
    let (status, id) = (admin::status(engine, "retrieve_workflow", id), id.to_owned());
    async move {
        let runtime = given.map_or_else(current_engine::engine, Ok)?;
        check_id("the workflow id", &id)?;
        status.await?;
        let run = runtime.running.get(&id);
        Ok(WorkflowHandle { runtime, id, run, is_committed: true, codec: Codec::<Result<T>>::BY_MESSAGE })
    }
}

impl<T, E> IntoFuture for WorkflowHandle<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    type Output = Result<T, E>;
    type IntoFuture = BoxFuture<'static, Result<T, E>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.result())
    }
}

impl<T, E> Clone for WorkflowHandle<T, E> {
    fn clone(&self) -> Self {
        let (runtime, id, run) = (Arc::clone(&self.runtime), self.id.clone(), self.run.clone());
        Self { runtime, id, run, is_committed: self.is_committed, codec: self.codec }
    }
}

impl<T, E> fmt::Debug for WorkflowHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkflowHandle({:?})", self.id)
    }
}
