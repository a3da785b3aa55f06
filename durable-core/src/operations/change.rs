//! Changes of single workflows by an operator: resume, delete, labels, and their place on a queue.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::checkpoint::Operation;
use crate::operations::admin::not_found;
use crate::operations::look::Look;
use crate::operations::queue_admin::unknown_queue;
use crate::runtime::Runtime;
use crate::runtime::pending_notifications::RELEASED;
use crate::store::{ChangeOutcome, Hint, StoreError, WorkflowChange};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name};
use crate::types::status::Status;

/// Lets a workflow that is `PARKED`, `CANCELLED` or `ERROR` go on from where it stands: what is recorded is not
/// run again. Its recoveries are counted anew, and its time limit begins again.
///
/// A workflow that ended with an error runs the operations again whose errors led to that end: the failed
/// records behind which nothing else succeeded are deleted. An error that the code handled, and went on after,
/// stays recorded. If a child failed, resume that one first. To run earlier steps again, or to change what they
/// returned, [fork](crate::fork_workflow) the workflow.
///
/// A workflow that runs or waits already is left as it is.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// There is no such workflow; it is `SUCCESS` ([`ErrorKind::Refused`](crate::ErrorKind::Refused)); another
/// workflow has its deduplication id; no engine runs; it was called in a transaction; the database cannot be
/// reached (in a body the workflow waits for it).
///
/// # Example
///
/// ```no_run
/// # async fn example() -> durable_core::Result<()> {
/// durable_core::resume_workflow("order-7").await?;
/// # Ok(())
/// # }
/// ```
pub fn resume_workflow<I: AsRef<str>>(id: I) -> impl Future<Output = Result<()>> + Send + use<I> {
    resume(None, id.as_ref())
}

/// Deletes a workflow that has ended or is `PARKED`, with the workflows that it has started and all that belongs
/// to them: records, messages, events and streams. Returns how many workflows were deleted: 0 if there was none.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// The workflow, or one that it has started, has not ended ([`ErrorKind::Refused`](crate::ErrorKind::Refused)):
/// cancel it first. No engine runs; it was called in a transaction; the database cannot be reached (in a body
/// the workflow waits for it).
pub fn delete_workflow<I: AsRef<str>>(id: I) -> impl Future<Output = Result<u64>> + Send + use<I> {
    delete(None, id.as_ref())
}

/// Adds labels to a workflow, and replaces the values of those that it has. A label with an empty value is
/// removed.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// There is no such workflow; a name or a value cannot be stored; no engine runs; it was called in a
/// transaction; the database cannot be reached (in a body the workflow waits for it).
pub fn set_labels<I, L, N, V>(id: I, labels: L) -> impl Future<Output = Result<()>> + Send + use<I, L, N, V>
where
    I: AsRef<str>,
    L: IntoIterator<Item = (N, V)>,
    N: Into<String>,
    V: Into<String>,
{
    let labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    label(None, id.as_ref(), &labels)
}

/// Changes the priority of a workflow that is `ENQUEUED` or `DELAYED`: lower numbers go first.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// There is no such workflow; it no longer waits on a queue ([`ErrorKind::Refused`](crate::ErrorKind::Refused));
/// no engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow waits
/// for it).
pub fn set_priority<I: AsRef<str>>(id: I, priority: i32) -> impl Future<Output = Result<()>> + Send + use<I> {
    change(None, "set_priority", id.as_ref(), WorkflowChange::Priority(priority))
}

/// Delays a workflow that is `ENQUEUED` or `DELAYED` for so long from now; with zero it is `ENQUEUED` at once.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// As [`set_priority`].
pub fn set_delay<I: AsRef<str>>(id: I, delay: Duration) -> impl Future<Output = Result<()>> + Send + use<I> {
    change(None, "set_delay", id.as_ref(), WorkflowChange::Delay(delay))
}

/// Moves a workflow that is `ENQUEUED` or `DELAYED` to another queue, in the order of the time at which it was
/// enqueued.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// As [`set_priority`]; no process has declared a queue of this name ([`ErrorKind::NotFound`](crate::ErrorKind::NotFound));
/// the queue needs partition keys and the workflow has none; another workflow has its deduplication id on that
/// queue.
pub fn move_to_queue<I: AsRef<str>, Q: AsRef<str>>(
    id: I,
    queue: Q,
) -> impl Future<Output = Result<()>> + Send + use<I, Q> {
    change(None, "move_to_queue", id.as_ref(), WorkflowChange::Queue(queue.as_ref().to_owned()))
}

pub(crate) fn resume(engine: Option<&Arc<Runtime>>, id: &str) -> impl Future<Output = Result<()>> + Send + use<> {
    change(engine, "resume_workflow", id, WorkflowChange::Resume)
}

pub(crate) fn delete(engine: Option<&Arc<Runtime>>, id: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
    let call = changed_workflows(engine, "delete_workflow", id, WorkflowChange::Delete);
    async move {
        match call.await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            other => other,
        }
    }
}

pub(crate) fn label(
    engine: Option<&Arc<Runtime>>,
    id: &str,
    labels: &[(String, String)],
) -> impl Future<Output = Result<()>> + Send + use<> {
    let checked = label_change(labels).map(|labels| change(engine, "set_labels", id, labels));
    async move { checked?.await }
}

/// The change that sets labels. An empty value removes one.
pub(super) fn label_change(labels: &[(String, String)]) -> Result<WorkflowChange> {
    let mut object = serde_json::Map::new();
    for (name, value) in labels {
        check_id("the label's name", name)?;
        check_name("the label's value", value)?;
        let value = Some(value).filter(|it| !it.is_empty()).cloned();
        object.insert(name.clone(), value.into());
    }
    Ok(WorkflowChange::Labels(serde_json::Value::Object(object).to_string()))
}

pub(crate) fn change(
    engine: Option<&Arc<Runtime>>,
    kind: &'static str,
    id: &str,
    change: WorkflowChange,
) -> impl Future<Output = Result<()>> + Send + use<> {
    let call = changed_workflows(engine, kind, id, change);
    async move { call.await.map(drop) }
}

/// Makes the change, and returns how many workflows it was made on.
fn changed_workflows(
    engine: Option<&Arc<Runtime>>,
    kind: &'static str,
    id: &str,
    change: WorkflowChange,
) -> impl Future<Output = Result<u64>> + Send + use<> {
    let (look, id, change) = (Look::through(engine), Arc::<str>::from(id), Arc::new(change));
    async move {
        check_id("the workflow id", &id)?;
        if let WorkflowChange::Queue(queue) = &*change {
            check_id("the queue name", queue)?;
        }
        let question = |runtime: Arc<Runtime>| {
            let (id, change) = (Arc::clone(&id), Arc::clone(&change));
            async move {
                let outcomes = change_all(&runtime, vec![id.to_string()], change.clone()).await?;
                Ok(outcomes.first().map_or(Ok(0), |outcome| result_of(&id, &change, outcome)))
            }
        };
        look.ask(Operation::on(kind, &id), "change a workflow", question).await
    }
}

/// Changes workflows in a task of its own, which goes on if the caller is dropped, and announces it.
pub(super) async fn change_all(
    runtime: &Arc<Runtime>,
    ids: Vec<String>,
    change: Arc<WorkflowChange>,
) -> std::result::Result<Vec<ChangeOutcome>, StoreError> {
    let task_runtime = Arc::clone(runtime);
    let call = async move {
        let outcomes = task_runtime.store.change(&ids, &change).await?;
        for (id, outcome) in ids.iter().zip(&outcomes) {
            let ChangeOutcome::Changed { queue, .. } = outcome else { continue };
            match (&*change, queue) {
                (WorkflowChange::Labels(_) | WorkflowChange::Delete, _) => {}
                (_, Some(queue)) => task_runtime.announce_queue(queue),
                (_, None) => announce_released(&task_runtime),
            }
            if matches!(&*change, WorkflowChange::Delay(_)) {
                task_runtime.queues.notify_delayed();
            }
            task_runtime.announce_workflow(id);
        }
        Ok(outcomes)
    };
    runtime.finish_call(call).await
}

/// Wakes the recovery of all processes: there is a PENDING workflow without an owner.
pub(super) fn announce_released(runtime: &Runtime) {
    runtime.released.wake();
    runtime.notify_others(Hint::for_queue(RELEASED));
}

/// How many workflows were changed, or why none was.
pub(super) fn result_of(id: &str, change: &WorkflowChange, outcome: &ChangeOutcome) -> Result<u64> {
    let refused = |why: String| Err(Error::new(ErrorKind::Refused, why).with_workflow(id));
    let done = match change {
        WorkflowChange::Resume => "resumed",
        WorkflowChange::Delete => "deleted",
        WorkflowChange::Queue(_) => "moved to another queue",
        WorkflowChange::Priority(_) => "given another priority",
        WorkflowChange::Delay(_) => "delayed",
        WorkflowChange::Labels(_) => "labeled",
    };
    match outcome {
        ChangeOutcome::Changed { workflows, .. } => Ok(*workflows),
        ChangeOutcome::NotFound => Err(not_found(id)),
        ChangeOutcome::WrongStatus(status) => match (change, status) {
            (WorkflowChange::Resume, Status::Enqueued | Status::Delayed | Status::Pending) => Ok(0), // it goes on
            (WorkflowChange::Resume, _) => refused(format!(
                "the workflow {id:?} is {status} and cannot be {done}: it is complete; run it again with `durable restart {id}`"
            )),
            (WorkflowChange::Delete, _) => refused(format!(
                "the workflow {id:?} is {status} and cannot be {done}: cancel it first with `durable cancel {id}`"
            )),
            _ => refused(format!(
                "the workflow {id:?} is {status} and cannot be {done}: only workflows that are ENQUEUED or DELAYED can"
            )),
        },
        ChangeOutcome::Duplicate(other) => refused(format!(
            "the workflow {id:?} cannot be {done}: the workflow {other:?} has its deduplication id on the queue; wait until that one has ended, or cancel it"
        )),
        ChangeOutcome::NoPartitionKey => refused(format!(
            "the workflow {id:?} cannot be {done}: that queue needs partition keys, and the workflow has none"
        )),
        ChangeOutcome::UnknownQueue(known) => {
            let queue = if let WorkflowChange::Queue(queue) = change { queue } else { "" };
            Err(unknown_queue(queue, known.iter().cloned()).with_workflow(id))
        }
        ChangeOutcome::LivingDescendant(descendant) => refused(format!(
            "the workflow {id:?} cannot be {done}: {descendant:?}, which it or its descendants have started, has not ended; cancel it first with `durable cancel {descendant}`"
        )),
    }
}
