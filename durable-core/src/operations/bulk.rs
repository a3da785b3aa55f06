//! Changes of all workflows that a filter selects: how they are asked for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::current_engine;
use crate::operations::admin;
use crate::operations::bulk_request::{BulkAction, BulkReport, BulkRequest};
use crate::operations::bulk_run::{BULK_NAME, BulkBatches, began, bulk_call};
use crate::operations::change::label_change;
use crate::operations::enqueue_call::EnqueueCall;
use crate::operations::fork::ForkFrom;
use crate::operations::workflow_call::WorkflowCall;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::runtime::Runtime;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::filter::Filter;
use crate::types::id::fresh_workflow_id;
use crate::types::page::GroupBy;

/// At which number of workflows the preview stops.
const COUNT_LIMIT: u32 = 1_000_000;

/// All workflows that a filter selects, to be changed together: see [`BulkCall`].
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use durable::{Filter, Status};
/// # async fn example() -> durable::Result<()> {
/// let parked = durable::bulk(Filter::new().status(Status::Parked).name("checkout"));
/// println!("{} workflows are parked", parked.count().await?);
/// let handle = parked.resume().per_second(200).start().await?;
/// println!("{} of {} go on", handle.result().await?.changed, handle.id());
/// # Ok(())
/// # }
/// ```
pub fn bulk(filter: Filter) -> Bulk {
    Bulk::new(None, filter)
}

/// All workflows that a filter selects. Given by [`bulk`]. The limit and the order of the filter do not count.
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before one of its calls is started"]
pub struct Bulk {
    engine: Option<Arc<Runtime>>,
    filter: Filter,
}

impl Bulk {
    pub(crate) fn new(engine: Option<&Arc<Runtime>>, filter: Filter) -> Self {
        Self { engine: engine.map(Arc::clone), filter }
    }

    /// How many workflows the filter selects now: the preview of a change. It stops at 1,000,000.
    ///
    /// # Errors
    /// As [`count_workflows`](crate::count_workflows).
    pub fn count(&self) -> impl Future<Output = Result<u64>> + Send + use<> {
        let filter = self.filter.clone().limit(COUNT_LIMIT);
        let count = admin::count(self.engine.as_ref(), filter, GroupBy::Status);
        async move { Ok(count.await?.total) }
    }

    /// Cancels them: see [`cancel_workflow`](crate::cancel_workflow).
    pub fn cancel(&self) -> BulkCall {
        self.call(BulkAction::Cancel { children: false })
    }

    /// Cancels them and the workflows that they have started.
    pub fn cancel_with_children(&self) -> BulkCall {
        self.call(BulkAction::Cancel { children: true })
    }

    /// Lets them go on from where they stand: see [`resume_workflow`](crate::resume_workflow).
    pub fn resume(&self) -> BulkCall {
        self.call(BulkAction::Resume)
    }

    /// Makes a new workflow with the same arguments for each: see [`restart_workflow`](crate::restart_workflow).
    pub fn restart(&self) -> BulkCall {
        self.call(BulkAction::Restart)
    }

    /// Forks each: see [`fork_workflow`](crate::fork_workflow).
    pub fn fork(&self, from: impl Into<ForkFrom>) -> BulkCall {
        self.call(BulkAction::Fork(from.into()))
    }

    /// Deletes those that have ended or are parked, with their descendants: see
    /// [`delete_workflow`](crate::delete_workflow).
    pub fn delete(&self) -> BulkCall {
        self.call(BulkAction::Delete)
    }

    /// Adds labels, and removes those with an empty value: see [`set_labels`](crate::set_labels).
    pub fn set_labels<N: Into<String>, V: Into<String>>(&self, labels: impl IntoIterator<Item = (N, V)>) -> BulkCall {
        let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.call(BulkAction::SetLabels(labels.collect()))
    }

    /// Changes the priority of those that wait on a queue: see [`set_priority`](crate::set_priority).
    pub fn set_priority(&self, priority: i32) -> BulkCall {
        self.call(BulkAction::SetPriority(priority))
    }

    /// Delays those that wait on a queue: see [`set_delay`](crate::set_delay).
    pub fn set_delay(&self, delay: Duration) -> BulkCall {
        self.call(BulkAction::SetDelay(delay))
    }

    /// Moves those that wait to another queue: see [`move_to_queue`](crate::move_to_queue).
    pub fn move_to_queue(&self, queue: impl AsRef<str>) -> BulkCall {
        self.call(BulkAction::MoveToQueue(queue.as_ref().to_owned()))
    }

    fn call(&self, action: BulkAction) -> BulkCall {
        let request = BulkRequest { filter: self.filter.clone(), action, per_second: None };
        BulkCall { engine: self.engine.clone(), id: None, request }
    }
}

/// A change of all workflows that a filter selects. Workflows that are created after its start are left alone.
///
/// It goes from the oldest to the newest in batches. A workflow that cannot be changed is counted, with the reason,
/// and does not stop the others.
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before it is started"]
pub struct BulkCall {
    engine: Option<Arc<Runtime>>,
    id: Option<String>,
    request: BulkRequest,
}

impl BulkCall {
    /// At most this many workflows in a second, so that the change leaves room for other work.
    pub fn per_second(mut self, workflows: u32) -> Self {
        self.request.per_second = Some(workflows.max(1));
        self
    }

    /// Sets the id of the workflow that carries the change out: starting it again with the same id does nothing.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Starts a durable workflow of the engine's own, named `durable.bulk`, that carries the change out. It survives
    /// crashes, can be cancelled and resumed, and has its [`BulkReport`] so far in the event `progress`.
    ///
    /// # Errors
    /// The filter has no condition, so it would change every workflow ([`ErrorKind::Misuse`](crate::ErrorKind::Misuse));
    /// a label cannot be stored; and as [`WorkflowCall::start`](crate::WorkflowCall::start).
    pub fn start(self) -> impl Future<Output = Result<WorkflowHandle<BulkReport>>> + Send {
        let Self { engine, id, request } = self;
        let checked = check(&request);
        let call = bulk_call(&request);
        let call = id.clone().into_iter().fold(call, WorkflowCall::id);
        async move {
            checked?;
            match engine {
                Some(client) if client.settings.is_client => {
                    let arguments = serde_json::json!({ "request": request });
                    let call = EnqueueCall::new(&client, BULK_NAME.to_owned(), &arguments);
                    let id = id.into_iter().fold(call, EnqueueCall::id).await?.id().to_owned();
                    Ok(WorkflowHandle::of_existing(&client, id))
                }
                Some(engine) => current_engine::scope(engine, call.start()).await,
                None => call.start().await,
            }
        }
    }

    /// Carries the change out in this call, without a workflow, and reports after each batch. What is done stays done
    /// if the call is dropped.
    ///
    /// # Errors
    /// As [`start`](Self::start); it is called in the body of a workflow, where it is not recorded.
    pub async fn run(self, mut progress: impl FnMut(&BulkReport) + Send) -> Result<BulkReport> {
        crate::journal::context::Context::refuse_unrecorded("a bulk change")?;
        check(&self.request)?;
        let runtime = self.engine.map_or_else(current_engine::engine, Ok)?;
        let mut batches = BulkBatches::new(self.request, fresh_workflow_id(), began(&runtime).await?);
        let mut report = BulkReport::default();
        loop {
            let batch = batches.next(&runtime).await?;
            report.add(batch.report);
            progress(&report);
            if batch.next.is_none() {
                return Ok(report);
            }
            batches.after = batch.next;
        }
    }
}

/// Refuses what would change every workflow, or cannot be stored.
fn check(request: &BulkRequest) -> Result<()> {
    if !request.filter.has_conditions() {
        let message = "this change would be made on every workflow, because its filter has no condition: add one, such as `.status(..)` or `.created_before(..)`";
        return Err(Error::new(ErrorKind::Misuse, message));
    }
    request.filter.check()?;
    if let BulkAction::SetLabels(labels) = &request.action {
        label_change(labels)?;
    }
    Ok(())
}
