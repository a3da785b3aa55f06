//! Listing workflows and what belongs to them.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::journal::checkpoint::Operation;
use crate::journal::context::Context;
pub(crate) use crate::operations::caller_errors::failed_to;
use crate::operations::look::Look;
use crate::runtime::Runtime;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::executor_listing::ListedExecutor;
use crate::types::filter::Filter;
use crate::types::id::check_id;
use crate::types::listing::{EventInfo, MessageInfo, StepInfo, StreamItemInfo, WorkflowInfo};
use crate::types::page::{GroupBy, Page, WorkflowCounts};
use crate::types::position::Position;
use crate::types::status::Status;
use crate::types::time::Timestamp;
use crate::types::version_policy::VersionInfo;

/// At which number of workflows [`count_workflows`] stops, unless the filter has a limit.
const COUNT_LIMIT: u32 = 100_000;

/// A page of the workflows that a filter selects, the oldest first. See [`Filter`] and [`Page`].
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_workflows(filter: Filter) -> impl Future<Output = Result<Page<WorkflowInfo>>> + Send {
    list(None, filter)
}

/// One workflow, with its payloads; `None` if there is no such workflow.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn workflow<I: AsRef<str>>(id: I) -> impl Future<Output = Result<Option<WorkflowInfo>>> + Send + use<I> {
    show(None, id.as_ref())
}

/// Counts the workflows that a filter selects, by group. It stops at the [limit](Filter::limit) of the filter, or
/// else at 100,000, so that it takes milliseconds whatever there is.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn count_workflows(filter: Filter, group: GroupBy) -> impl Future<Output = Result<WorkflowCounts>> + Send {
    count(None, filter, group)
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

/// The events of a workflow, by name, each with its present value.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_events<I: AsRef<str>>(id: I) -> impl Future<Output = Result<Vec<EventInfo>>> + Send + use<I> {
    events(None, id.as_ref())
}

/// The messages to a workflow, received or not, in the order in which they were sent.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_messages<I: AsRef<str>>(id: I) -> impl Future<Output = Result<Vec<MessageInfo>>> + Send + use<I> {
    messages(None, id.as_ref())
}

/// Items of a stream of a workflow, or of all its streams with `None`: at most `limit`, after the first `offset`.
/// They are in the order of the names of the streams, and in that in which they were written.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_stream_items<I: AsRef<str>>(
    id: I,
    stream: Option<&str>,
    limit: u32,
    offset: u32,
) -> impl Future<Output = Result<Vec<StreamItemInfo>>> + Send + use<I> {
    stream_items(None, id.as_ref(), stream, limit, offset)
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
) -> impl Future<Output = Result<Page<WorkflowInfo>>> + Send + use<> {
    let look = Look::through(engine);
    let question = move |runtime: Arc<Runtime>| {
        let filter = filter.clone();
        async move {
            match filter.check() {
                Ok(()) => runtime.store.list(&filter).await.map(Ok),
                Err(error) => Ok(Err(error)),
            }
        }
    };
    look.ask(Operation::once("list_workflows"), "list workflows", question)
}

pub(crate) fn count(
    engine: Option<&Arc<Runtime>>,
    filter: Filter,
    group: GroupBy,
) -> impl Future<Output = Result<WorkflowCounts>> + Send + use<> {
    let look = Look::through(engine);
    let question = move |runtime: Arc<Runtime>| {
        let filter = filter.clone();
        async move {
            let most = filter.limit.unwrap_or(COUNT_LIMIT);
            match filter.check() {
                Ok(()) => runtime.store.count(&filter, group, most).await.map(Ok),
                Err(error) => Ok(Err(error)),
            }
        }
    };
    look.ask(Operation::once("count_workflows"), "count workflows", question)
}

/// Declares a look at what belongs to the workflow with an id.
macro_rules! look_at {
    ($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty, $operation:literal, $doing:literal, |$store:ident, $id:ident| $call:expr) => {
        pub(crate) fn $name(
            engine: Option<&Arc<Runtime>>,
            id: &str,
            $($argument: $kind),*
        ) -> impl Future<Output = Result<$answer>> + Send + use<> {
            let (look, id) = (Look::through(engine), Arc::<str>::from(id));
            async move {
                check_id("the workflow id", &id)?;
                let question = |runtime: Arc<Runtime>| {
                    let $id = Arc::clone(&id);
                    async move {
                        let $store = &runtime.store;
                        $call.await.map(Ok)
                    }
                };
                look.ask(Operation::on($operation, &id), $doing, question).await
            }
        }
    };
}

look_at!(steps() -> Vec<StepInfo>, "list_steps", "list steps", |store, id| store.steps(&id));
look_at!(step_positions() -> Vec<Position>, "list_step_positions", "list steps", |store, id| store.positions(&id));
look_at!(show() -> Option<WorkflowInfo>, "workflow", "find a workflow", |store, id| store.show(&id));
look_at!(events() -> Vec<EventInfo>, "list_events", "list events", |store, id| store.events(&id, u32::MAX, 0));
look_at!(messages() -> Vec<MessageInfo>, "list_messages", "list messages", |store, id| store.messages(&id, u32::MAX, 0));

pub(crate) fn steps_at(
    engine: Option<&Arc<Runtime>>,
    id: &str,
    positions: &[Position],
) -> impl Future<Output = Result<Vec<StepInfo>>> + Send + use<> {
    let (look, id) = (Look::through(engine), Arc::<str>::from(id));
    let positions = Arc::<[Position]>::from(positions);
    async move {
        check_id("the workflow id", &id)?;
        let question = |runtime: Arc<Runtime>| {
            let (id, positions) = (Arc::clone(&id), Arc::clone(&positions));
            async move { runtime.store.steps_at(&id, &positions).await.map(Ok) }
        };
        look.ask(Operation::on("list_steps_at", &id), "list steps", question).await
    }
}

pub(crate) fn stream_items(
    engine: Option<&Arc<Runtime>>,
    id: &str,
    stream: Option<&str>,
    limit: u32,
    offset: u32,
) -> impl Future<Output = Result<Vec<StreamItemInfo>>> + Send + use<> {
    let (look, id) = (Look::through(engine), Arc::<str>::from(id));
    let stream = stream.map(Arc::<str>::from);
    async move {
        check_id("the workflow id", &id)?;
        let question = |runtime: Arc<Runtime>| {
            let (id, stream) = (Arc::clone(&id), stream.clone());
            async move { runtime.store.stream_items(&id, stream.as_deref(), limit, offset).await.map(Ok) }
        };
        look.ask(Operation::on("list_stream_items", &id), "list the items of a stream", question).await
    }
}

pub(crate) fn executors(
    engine: Option<&Arc<Runtime>>,
) -> impl Future<Output = Result<Vec<ListedExecutor>>> + Send + use<> {
    let look = Look::through(engine);
    look.ask(Operation::once("list_executors"), "list executors", |runtime| async move {
        runtime.store.list_executors().await.map(Ok)
    })
}

pub(crate) async fn database_time(runtime: &Runtime) -> Result<DateTime<Utc>> {
    Context::refuse_unrecorded("database_time")?;
    let now = runtime.store.now().await;
    now.map(Timestamp::to_date).map_err(|error| failed_to(runtime, "read the time of the database", &error))
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
        look.ask(Operation::on(kind, &id), "find a workflow", question).await
    }
}

pub(super) fn not_found(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no workflow has the id {id:?}"))
}
