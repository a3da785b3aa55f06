//! Listing and cancelling workflows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::current_engine;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
pub(super) use crate::operations::caller_errors::failed_to;
use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::runtime::stop_reason::StopReason;
use crate::store::{CancelledRun, Hint};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::listing::{Filter, StepInfo, WorkflowInfo};

/// Lists workflows, the oldest first. See [`Filter`].
///
/// # Errors
/// No engine runs, or the database cannot be reached.
pub async fn list_workflows(filter: Filter) -> Result<Vec<WorkflowInfo>> {
    let runtime = current_engine::engine()?;
    list(&runtime, &filter).await
}

/// The records of a workflow, in the order of their positions.
///
/// # Errors
/// No engine runs, or the database cannot be reached.
pub async fn list_steps(id: impl AsRef<str>) -> Result<Vec<StepInfo>> {
    let runtime = current_engine::engine()?;
    steps(&runtime, id.as_ref()).await
}

/// Cancels a workflow. When this returns it is `CANCELLED`, unless it had ended before. Its body is
/// dropped at its next await point, within a second in whichever process it runs, and its steps see
/// their [`cancellation`](crate::cancellation). The effects of its steps are not undone.
///
/// # Errors
/// There is no such workflow, no engine runs, or the database cannot be reached.
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
}

impl CancelCall {
    pub(crate) fn new(runtime: Result<Arc<Runtime>>, id: &str) -> Self {
        Self { call: Call::new(CancelOptions { runtime, id: id.to_owned(), children: false }) }
    }

    /// Also cancels every workflow that it has started, and those that these have started, unless they
    /// have ended; also if the workflow itself has ended.
    pub fn cancel_children(mut self) -> Self {
        self.call.set(|options| options.children = true);
        self
    }
}

impl CallOptions<'static> for CancelOptions {
    type Output = Result<()>;

    async fn run(self: Box<Self>) -> Result<()> {
        let Self { runtime, id, children } = *self;
        cancel(&*runtime?, &id, children).await
    }
}

pub(crate) async fn list(runtime: &Runtime, filter: &Filter) -> Result<Vec<WorkflowInfo>> {
    runtime.store.list(filter).await.map_err(|error| failed_to(runtime, "list workflows", &error))
}

pub(crate) async fn steps(runtime: &Runtime, id: &str) -> Result<Vec<StepInfo>> {
    runtime.store.steps(id).await.map_err(|error| failed_to(runtime, "list steps", &error))
}

pub(crate) async fn workflow(runtime: &Runtime, id: &str) -> Result<WorkflowInfo> {
    let found = runtime.store.show(id).await.map_err(|error| failed_to(runtime, "find a workflow", &error))?;
    found.ok_or_else(|| not_found(id))
}

async fn cancel(runtime: &Runtime, id: &str, children: bool) -> Result<()> {
    // A body that has not noticed the cancellation yet may have started another child: the family is read
    // again until it holds no new workflow. Bodies that run here have been dropped by then.
    loop {
        let cancelled = runtime.store.cancel(id, "cancelled by request", children).await;
        let cancelled = cancelled.map_err(|error| failed_to(runtime, "cancel a workflow", &error))?;
        let Some(cancelled) = cancelled else { return Err(not_found(id)) };
        let ours: Vec<_> = cancelled.runs.iter().filter_map(|stopped| notify_cancelled(runtime, stopped)).collect();
        if !children || cancelled.runs.is_empty() {
            return Ok(());
        }
        for run in ours {
            // A body that blocks its thread notices the cancellation late; children that it starts then are missed.
            let _ = tokio::time::timeout(STOP_WAIT, run.finished()).await;
        }
    }
}

/// How long to wait for a body to stop after its cancellation.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// Notifies the executor of a cancelled workflow, and returns the run if it is in this process.
fn notify_cancelled(runtime: &Runtime, stopped: &CancelledRun) -> Option<Arc<RunningWorkflow>> {
    let run = runtime.running.get(&stopped.id);
    match (&run, stopped.executor) {
        (Some(run), _) => run.request_stop(StopReason::Cancelled),
        // It runs in another process; its executor reads the database after this hint.
        (None, Some(executor)) => runtime.notify_others(Hint::Executor(executor)),
        (None, None) => {}
    }
    runtime.announce_workflow(&stopped.id);
    run
}

pub(super) fn not_found(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no workflow has the id {id:?}"))
}

impl fmt::Debug for CancelOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.id)
    }
}

delegate_to_call!("CancelCall", [] CancelCall => Result<()>, [] CancelCall);
