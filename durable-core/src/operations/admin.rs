//! Listing workflows and their steps.

use crate::journal::current_engine;
pub(super) use crate::operations::caller_errors::failed_to;
use crate::runtime::Runtime;
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

pub(super) fn not_found(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no workflow has the id {id:?}"))
}
