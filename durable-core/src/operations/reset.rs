//! Deletes everything that the engine has stored, for tests and development.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::journal::context::CallSite;
use crate::operations::caller_errors::failed_to;
use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::{ExecutorKey, Store, StoreError};
use crate::types::error::{Error, ErrorKind, Result};

/// How long the bodies that run here have for their end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long callers have that wait for workflows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The reason of the workflows that were cancelled before they were deleted.
const REASON: &str = "the system database is reset";

/// Deletes all workflows, queues and schedules, unless another process is there. This process goes on with an empty
/// database.
pub(crate) async fn reset(runtime: &Arc<Runtime>) -> Result<()> {
    if !matches!(CallSite::here(), CallSite::Outside) {
        let message = "`reset_system_database` was called in a workflow, which it would delete; call it outside";
        return Err(Error::new(ErrorKind::Misuse, message));
    }
    let task_runtime = Arc::clone(runtime);
    runtime.finish_call(async move { reset_alone(&task_runtime).await }).await
}

async fn reset_alone(runtime: &Arc<Runtime>) -> Result<()> {
    let cannot = |error: StoreError| failed_to(runtime, "reset the database", &error);
    let own = runtime.fence().executor;
    refuse_others(&*runtime.store, own).await.map_err(cannot)??;
    let _no_claim = runtime.claims.write().await;
    // Callers that wait get an answer: the workflows end before they are deleted.
    runtime.store.cancel_all(REASON).await.map_err(cannot)?;
    stop_bodies(runtime).await?;
    runtime.waiters.notify_all();
    let _ = tokio::time::timeout(ANSWER_TIMEOUT, runtime.waiters.settle_followers()).await; // what waits longer gets no answer
    runtime.writer.flushed().await;
    runtime.store.reset(own).await.map_err(cannot)?;
    runtime.store.declare_queues(&runtime.registry.queue_rows()).await.map_err(cannot)?;
    runtime.store.upsert_schedules(&runtime.registry.schedule_rows()).await.map_err(cannot)?;
    runtime.schedules.wake();
    runtime.queues.notify_all();
    tracing::warn!(target: "durable", app = %runtime.settings.name, database = %runtime.store.location(), "the system database was reset");
    Ok(())
}

/// Refuses a database that other executors use.
pub(crate) async fn refuse_others(store: &dyn Store, own: ExecutorKey) -> std::result::Result<Result<()>, StoreError> {
    let executors = store.executors().await?;
    let living: Vec<_> =
        executors.iter().filter(|it| it.key != own && !it.expired).map(|it| format!("{:?}", it.name)).collect();
    if living.is_empty() {
        return Ok(Ok(()));
    }
    let message = format!(
        "the database {} is used by other executors, and is not reset: {}; shut them down first; those of killed processes count for the length of their lease",
        store.location(),
        living.join(", ")
    );
    Ok(Err(Error::new(ErrorKind::Refused, message)))
}

/// Drops the bodies that run here, and waits for their end.
async fn stop_bodies(runtime: &Runtime) -> Result<()> {
    // The commit that has just started one is on its way back to the writer, which begins its run.
    runtime.writer.flushed().await;
    let running = runtime.running.all();
    for run in &running {
        run.request_stop(StopReason::Cancelled);
    }
    let stopped = tokio::time::timeout(STOP_TIMEOUT, join_all(running.iter().map(|it| it.finished()))).await;
    if stopped.is_err() {
        let ids: Vec<_> = runtime.running.all().iter().map(|it| format!("{:?}", it.id)).collect();
        let message = format!(
            "all workflows were cancelled, and the database was not reset, because steps of these workflows do not end: {}; call it again when they have ended",
            ids.join(", ")
        );
        return Err(Error::new(ErrorKind::Refused, message));
    }
    Ok(())
}
