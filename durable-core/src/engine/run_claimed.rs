//! Running rows that the database gave: recovered ones, and ones from queues.

use std::collections::HashMap;
use std::sync::Arc;

use crate::operations::run_workflow::RunTask;
use crate::queue_state::QueueSlot;
use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::store::{Record, RunRow, StoreError};
use crate::types::keys::WorkflowKey;

/// A row whose earlier run is still in this process, on its way out: two bodies must not run side by side.
pub(super) type StillRunning = (Arc<RunningWorkflow>, RunTask);

/// Runs them, and gives those that have to wait for an earlier run. Each one from a queue has a slot.
pub(super) async fn run_all(
    runtime: &Arc<Runtime>,
    rows: Vec<RunRow>,
    slot: impl Fn() -> Option<QueueSlot>,
) -> Result<Vec<StillRunning>, StoreError> {
    let fence = runtime.fence();
    // Only what has run before can have records.
    let old: Vec<WorkflowKey> = rows.iter().filter(|it| it.attempt > 1 || it.recoveries > 0).map(|it| it.key).collect();
    let mut records: HashMap<WorkflowKey, Vec<Record>> = HashMap::new();
    if !old.is_empty() {
        for record in runtime.store.records(&old).await? {
            records.entry(record.workflow).or_default().push(record);
        }
    }
    let mut occupied = Vec::new();
    for mut row in rows {
        // Only names of this registry were asked for.
        let Some(workflow) = runtime.registry.get(&row.name) else { continue };
        row.name = String::new(); // the function is at hand
        let records = records.remove(&row.key).unwrap_or_default();
        let (runtime, row, slot) = (Arc::clone(runtime), Arc::new(row), slot());
        let drive = RunTask { runtime, workflow, row, fence, records, slot };
        occupied.extend(drive.spawn().err());
    }
    Ok(occupied)
}
