//! Cancelling workflows.

use std::fmt;
use std::slice;
use std::sync::Arc;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::execution::Execution;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::admin::{failed_to, not_found};
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::{CancelledRun, CancelledWorkflows, Hint, StoreError, StoreErrorKind};
use crate::types::backoff::CALLS_WHILE_DATABASE_IS_AWAY;
use crate::types::error::Result;
use crate::types::metrics;
use crate::types::payload::{Outcome, RecordedError};
use crate::types::status::Status;
use crate::wait::shutdown_phase::EnginePhase;

/// The reason that is stored with a workflow that was cancelled by a call.
pub(super) const BY_REQUEST: &str = "cancelled by request";

/// Cancels a workflow. When this returns it is `CANCELLED`, unless it had ended before. Its body is
/// dropped at its next await point, within a second in whichever process it runs, and its steps see
/// their [`cancellation`](crate::cancellation). The effects of its steps are not undone.
///
/// In the body of a workflow the call is recorded. It does not return if it cancels that workflow
/// itself, after which nothing more of it is recorded.
///
/// It is carried out also if its future is dropped once it was polled.
///
/// # Errors
/// There is no such workflow, no engine runs, or the database cannot be reached. In the body of a workflow it
/// waits for the database instead. It is called in a transaction, which could be undone.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// durable::cancel_workflow("order-1001").await?;
/// durable::cancel_workflow("order-1002").cancel_children().await?; // and what it has started
/// # Ok(())
/// # }
/// ```
pub fn cancel_workflow(id: impl AsRef<str>) -> CancelCall {
    CancelCall::new(current_engine::engine(), id.as_ref())
}

/// A cancellation. Given by [`cancel_workflow`].
#[must_use = "nothing is cancelled until it is awaited"]
pub struct CancelCall {
    call: Call<'static, CancelOptions, Result<()>>,
}

struct CancelOptions {
    runtime: Result<Arc<Runtime>>,
    id: String,
    children: bool,
    call_site: CallSite,
}

impl CancelCall {
    pub(crate) fn new(runtime: Result<Arc<Runtime>>, id: &str) -> Self {
        let call_site = CallSite::here();
        Self { call: Call::new(CancelOptions { runtime, id: id.to_owned(), children: false, call_site }) }
    }

    /// Also cancels every workflow that it has started, and those that these have started, unless they
    /// have ended; also if the workflow itself has ended. None of them starts another one afterwards.
    pub fn cancel_children(mut self) -> Self {
        self.call.set(|options| options.children = true);
        self
    }
}

impl CallOptions<'static> for CancelOptions {
    type Output = Result<()>;

    async fn run(self: Box<Self>) -> Result<()> {
        let Self { runtime, id, children, call_site } = *self;
        match call_site {
            CallSite::Outside => cancel(&runtime?, &id, children).await.map(drop),
            CallSite::Step(scope) => {
                let cancelled = cancel(&runtime?, &id, children).await?;
                if cancelled.iter().any(|it| *it.id == *scope.execution.row.id) {
                    return scope.execution.stop_here(StopReason::Cancelled).await;
                }
                Ok(())
            }
            CallSite::Body(reserved) => cancel_in_body(&reserved, &runtime?, &id, children).await,
            CallSite::Transaction(scope) => Err(scope.refusal("`durable::cancel_workflow`")),
        }
    }
}

/// Cancels it, whether or not the caller waits, and gives what was cancelled.
async fn cancel(runtime: &Arc<Runtime>, id: &str, children: bool) -> Result<Vec<CancelledRun>> {
    let cancelled = try_cancel(runtime, slice::from_ref(&id), children).await;
    cancelled_one(id, cancelled.map_err(|error| failed_to(runtime, "cancel a workflow", &error))?)
}

/// What was cancelled with the workflow of this id.
fn cancelled_one(id: &str, cancelled: CancelledWorkflows) -> Result<Vec<CancelledRun>> {
    if cancelled.before.is_empty() { Err(not_found(id)) } else { Ok(cancelled.runs) }
}

/// The same in the body of a workflow, where the call is recorded.
async fn cancel_in_body(reserved: &ReservedPosition, runtime: &Arc<Runtime>, id: &str, children: bool) -> Result<()> {
    let (operation, execution) = (Operation::cancel(id), &reserved.execution);
    reserved.check_same_body("cancel_workflow").await;
    if let Some(record) = reserved.replayed(operation).await {
        return match &record.outcome {
            Some(Outcome::Error(text)) => Err(RecordedError::from_text(text).into_error()),
            _ => Ok(()),
        };
    }
    reserved.ensure_accepting_and_flushed().await;
    if *id == *execution.row.id {
        // The driver carries it out when the body has been dropped.
        return execution.stop_here(StopReason::CancelItself { children }).await;
    }
    let Some(cancelled) = cancel_persistently(execution, runtime, id, children).await else {
        return execution.stop_here(StopReason::Suspend).await;
    };
    let result = match cancelled {
        Ok(cancelled) if cancelled.iter().any(|it| *it.id == *execution.row.id) => {
            return execution.stop_here(StopReason::Cancelled).await;
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    let outcome = result.as_ref().err().map(|it| Outcome::Error(RecordedError::from_engine(it).to_text()));
    reserved.record_result(operation, OperationResult { outcome, attempts: 1, ..OperationResult::default() }).await;
    result
}

/// Cancels the workflow of an execution whose body has asked for it and has been dropped. Gives the
/// reason that was stored with it; `None` if the engine shuts down first, or it had ended before.
pub(super) async fn cancel_itself(execution: &Arc<Execution>, children: bool) -> Option<&'static str> {
    let id = &execution.row.id;
    let cancelled = cancel_persistently(execution, &execution.runtime, id, children).await?;
    cancelled.is_ok_and(|cancelled| cancelled.iter().any(|it| *it.id == **id)).then_some(BY_REQUEST)
}

/// Cancels it, however long the database is away; `None` if the engine shuts down first.
async fn cancel_persistently(
    execution: &Execution,
    runtime: &Arc<Runtime>,
    id: &str,
    children: bool,
) -> Option<Result<Vec<CancelledRun>>> {
    let mut failed = 0;
    loop {
        match try_cancel(runtime, slice::from_ref(&id), children).await {
            Ok(cancelled) => return Some(cancelled_one(id, cancelled)),
            Err(error) if error.kind == StoreErrorKind::Closed => return None,
            Err(error) if error.is_temporary() => {
                failed += 1;
                tracing::debug!(target: "durable", id = %execution.row.id, attempts = failed, %error, "cancelling a workflow failed; trying again");
            }
            Err(error) => return Some(Err(failed_to(runtime, "cancel a workflow", &error))),
        }
        tokio::select! {
            () = tokio::time::sleep(CALLS_WHILE_DATABASE_IS_AWAY.random_delay(failed)) => {}
            () = execution.runtime.shutdown.wait_for(EnginePhase::Aborting) => return None,
        }
    }
}

/// Cancels workflows in a task of its own, in one commit, and gives what was cancelled.
pub(super) async fn try_cancel(
    runtime: &Arc<Runtime>,
    ids: &[impl AsRef<str>],
    children: bool,
) -> std::result::Result<CancelledWorkflows, StoreError> {
    let task_runtime = Arc::clone(runtime);
    let ids: Vec<String> = ids.iter().map(|it| it.as_ref().to_owned()).collect();
    let call = async move {
        let cancelled = task_runtime.store.cancel(&ids, BY_REQUEST, children).await?;
        for CancelledRun { name, queue, .. } in &cancelled.runs {
            let labels = || task_runtime.registry.labels_of(name, queue.as_deref());
            metrics::workflow_ended(labels, Status::Cancelled);
        }
        stop_bodies(&task_runtime, &cancelled.runs).await;
        Ok(cancelled)
    };
    runtime.finish_call(call).await
}

/// Stops the bodies of cancelled workflows, or notifies the processes where they run.
async fn stop_bodies(runtime: &Runtime, cancelled: &[CancelledRun]) {
    let own = runtime.fence().executor;
    let stop = |id: &str| runtime.running.get(id).map(|run| run.request_stop(StopReason::Cancelled)).is_some();
    let mut not_begun = Vec::new();
    for it in cancelled {
        match (stop(&it.id), it.executor) {
            (true, _) | (false, None) => {}
            (false, Some(executor)) if executor == own => not_begun.push(&it.id),
            // Its executor reads the database after this hint.
            (false, Some(executor)) => runtime.notify_others(Hint::Executor(executor)),
        }
        runtime.announce_workflow(&it.id);
    }
    if !not_begun.is_empty() {
        // The commit that has just started them is on its way back to the writer, which begins their runs.
        runtime.writer.flushed().await;
        for id in not_begun {
            stop(id);
        }
    }
}

impl fmt::Debug for CancelOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.id)
    }
}

delegate_to_call!("CancelCall", [] CancelCall => Result<()>, [] CancelCall);
