//! Runs the workflows of claimed rows: recovered ones, and ones from queues.

use std::collections::HashMap;
use std::sync::Arc;

use crate::operations::run_workflow::RunTask;
use crate::queue_state::QueueSlot;
use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::store::{Record, RunRow, StoreError};
use crate::types::keys::WorkflowKey;

/// An earlier run of a workflow that is still in this process, about to be dropped, and the claimed run that
/// has to wait for it: one workflow must not run twice at once.
pub(super) type StillRunning = (Arc<RunningWorkflow>, RunTask);

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
        row.name = String::new(); // not needed any more
        let records = records.remove(&row.key).unwrap_or_default();
        let slot = slot(&row);
        let (runtime, row) = (Arc::clone(runtime), Arc::new(row));
        let run_task = RunTask { runtime, workflow, row, fence, records, slot };
        still_running.extend(run_task.spawn().err());
    }
    Ok(still_running)
}
