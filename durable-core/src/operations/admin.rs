//! Listing workflows and their steps.

use std::future::Future;
use std::sync::Arc;

use crate::journal::checkpoint::Operation;
pub(super) use crate::operations::caller_errors::failed_to;
use crate::operations::look::Look;
use crate::runtime::Runtime;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_id;
use crate::types::listing::{Filter, StepInfo, WorkflowInfo};
use crate::types::status::Status;
use crate::types::version_policy::VersionInfo;

/// Lists workflows, the oldest first. See [`Filter`].
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_workflows(filter: Filter) -> impl Future<Output = Result<Vec<WorkflowInfo>>> + Send {
    list(None, filter)
}

/// The records of a workflow, in the order of their positions.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_steps<I: AsRef<str>>(id: I) -> impl Future<Output = Result<Vec<StepInfo>>> + Send + use<I> {
    steps(None, id.as_ref())
}

/// What is in flight of each version of the program, and how many executors of it live, by version.
///
/// A version whose workflows are left to it ([`VersionPolicy::Pin`](crate::VersionPolicy::Pin)) is drained when nothing of
/// it is in flight.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn versions() -> impl Future<Output = Result<Vec<VersionInfo>>> + Send {
    versions_through(None)
}

pub(crate) fn versions_through(
    engine: Option<&Arc<Runtime>>,
) -> impl Future<Output = Result<Vec<VersionInfo>>> + Send + use<> {
    let look = Look::through(engine);
    let question = move |runtime: Arc<Runtime>| async move { runtime.store.versions().await.map(Ok) };
    look.ask(Operation::once("versions"), "list versions", question)
}

pub(crate) fn list(
    engine: Option<&Arc<Runtime>>,
    filter: Filter,
) -> impl Future<Output = Result<Vec<WorkflowInfo>>> + Send + use<> {
    let look = Look::through(engine);
    let question = move |runtime: Arc<Runtime>| {
        let filter = filter.clone();
        async move { runtime.store.list(&filter).await.map(Ok) }
    };
    look.ask(Operation::once("list_workflows"), "list workflows", question)
}

pub(crate) fn steps(
    engine: Option<&Arc<Runtime>>,
    id: &str,
) -> impl Future<Output = Result<Vec<StepInfo>>> + Send + use<> {
    let (look, id) = (Look::through(engine), Arc::<str>::from(id));
    async move {
        check_id("the workflow id", &id)?;
        let question = |runtime: Arc<Runtime>| {
            let id = Arc::clone(&id);
            async move { runtime.store.steps(&id).await.map(Ok) }
        };
        look.ask(Operation::look("list_steps", &id), "list steps", question).await
    }
}

/// The status of a workflow. The kind of the operation is that of the call that wants it.
pub(super) fn status(
    engine: Option<&Arc<Runtime>>,
    kind: &'static str,
    id: &str,
) -> impl Future<Output = Result<Status>> + Send + use<> {
    let (look, id) = (Look::through(engine), Arc::<str>::from(id));
    async move {
        let question = |runtime: Arc<Runtime>| {
            let id = Arc::clone(&id);
            async move { Ok(runtime.store.show(&id).await?.map(|it| it.status).ok_or_else(|| not_found(&id))) }
        };
        look.ask(Operation::look(kind, &id), "find a workflow", question).await
    }
}

pub(super) fn not_found(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no workflow has the id {id:?}"))
}
