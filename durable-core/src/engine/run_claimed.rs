//! Runs the workflows of claimed rows: recovered ones, and ones from queues.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::operations::run_workflow::RunTask;
use crate::queue_state::QueueSlot;
use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::runtime::stop_reason::StopReason;
use crate::store::{Record, RunRow, StoreError};
use crate::types::keys::WorkflowKey;

/// An earlier run of a workflow that is still in this process and was asked to stop, and the claimed run that
/// has to wait for it: one workflow must not run twice at once.
pub(super) type StillRunning = (Arc<RunningWorkflow>, RunTask);

/// How long a claimed workflow waits for its earlier run to leave this process.
const EARLIER_RUN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs claimed rows. Returns those that have to wait for an earlier run. `slot` gives each row from a queue
/// its slot of that queue.
pub(super) async fn run_all(
    runtime: &Arc<Runtime>,
    rows: Vec<RunRow>,
    slot: impl Fn(&RunRow) -> Option<QueueSlot>,
) -> Result<Vec<StillRunning>, StoreError> {
    let fence = runtime.fence();
    // Only workflows that ran before can have records.
    let ran_before: Vec<WorkflowKey> =
        rows.iter().filter(|it| it.attempt > 1 || it.recoveries > 0).map(|it| it.key).collect();
    let mut records: HashMap<WorkflowKey, Vec<Record>> = HashMap::new();
    if !ran_before.is_empty() {
        for record in runtime.store.records(&ran_before).await? {
            records.entry(record.workflow).or_default().push(record);
        }
    }
    let mut still_running = Vec::new();
    for mut row in rows {
        // The claim asked only for names of this registry.
        let Some(workflow) = runtime.registry.get(&row.name) else { continue };
        row.name = Box::default(); // not needed any more
        let records = records.remove(&row.key).unwrap_or_default();
        let slot = slot(&row);
        let (runtime, row) = (Arc::clone(runtime), Arc::new(row));
        let run_task = RunTask { runtime, workflow, row, fence, records, slot };
        if let Err((earlier, run_task)) = run_task.spawn() {
            // It may not know that it was superseded: a cancellation that another process made, followed by a
            // resume, leaves nothing behind by which it could find that out.
            earlier.request_stop(StopReason::Lost);
            still_running.push((earlier, run_task));
        }
    }
    Ok(still_running)
}

/// Runs a claimed workflow once its earlier run has left this process. The error is one whose earlier run did not
/// stop in time.
pub(super) async fn run_after_earlier((earlier, run_task): StillRunning) -> Result<(), RunTask> {
    let _ = tokio::time::timeout(EARLIER_RUN_TIMEOUT, earlier.finished()).await;
    run_task.spawn().map(drop).map_err(|(_, run_task)| run_task)
}
