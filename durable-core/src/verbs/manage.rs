//! Looking at workflows, and cancelling them.

use std::sync::Arc;

use crate::journal::current;
use crate::journal::execution::Signal;
use crate::journal::runtime::Runtime;
use crate::store::{Cancelled, StoreError};
use crate::words::error::{Error, ErrorKind, Result};
use crate::words::info::{Filter, StepInfo, WorkflowInfo};

/// Lists workflows, the oldest first. See [`Filter`].
///
/// # Errors
/// No engine runs, or the database cannot be reached.
pub async fn list_workflows(filter: Filter) -> Result<Vec<WorkflowInfo>> {
    let runtime = current::engine()?;
    list(&runtime, &filter).await
}

/// The records of a workflow, in the order of their positions.
///
/// # Errors
/// No engine runs, or the database cannot be reached.
pub async fn list_steps(id: impl AsRef<str>) -> Result<Vec<StepInfo>> {
    let runtime = current::engine()?;
    steps(&runtime, id.as_ref()).await
}

/// Cancels a workflow. It is `CANCELLED` when this returns, if it had not come to an end before; its
/// body is dropped at its next await point, in whichever process it runs. What its steps have done
/// stays done.
///
/// # Errors
/// There is no such workflow, no engine runs, or the database cannot be reached.
pub async fn cancel_workflow(id: impl AsRef<str>) -> Result<()> {
    cancel(&current::engine()?, id.as_ref()).await
}

pub(crate) async fn list(runtime: &Runtime, filter: &Filter) -> Result<Vec<WorkflowInfo>> {
    runtime.store.list(filter).await.map_err(|error| cannot(runtime, "list workflows", &error))
}

pub(crate) async fn steps(runtime: &Runtime, id: &str) -> Result<Vec<StepInfo>> {
    runtime.store.steps(id).await.map_err(|error| cannot(runtime, "list steps", &error))
}

pub(crate) async fn show(runtime: &Runtime, id: &str) -> Result<WorkflowInfo> {
    let found = runtime.store.show(id).await.map_err(|error| cannot(runtime, "find a workflow", &error))?;
    found.ok_or_else(|| not_found(id))
}

pub(crate) async fn cancel(runtime: &Arc<Runtime>, id: &str) -> Result<()> {
    let cancelled = runtime.store.cancel(id, "cancelled by request", false).await;
    match cancelled.map_err(|error| cannot(runtime, "cancel a workflow", &error))? {
        None => Err(not_found(id)),
        Some(Cancelled { before, .. }) => {
            if !before.is_terminal()
                && let Some(run) = runtime.live.get(id)
            {
                run.signal(Signal::Cancelled);
            }
            Ok(())
        }
    }
}

fn not_found(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no workflow has the id {id:?}"))
}

fn cannot(runtime: &Runtime, what: &str, error: &StoreError) -> Error {
    Error::new(ErrorKind::Database, format!("cannot {what} in {}: {error}", runtime.store.location()))
}
