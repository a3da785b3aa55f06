//! Recovery: takes over the workflows of dead executors, and those that no executor runs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::executor_identity::ExecutorIdentity;
use crate::engine::lock_file::LockState;
use crate::engine::run_claimed;
use crate::runtime::Runtime;
use crate::store::{
    ExecutorInfo, ParkedRun, ReleaseRequest, ReleasedWorkflows, RunRow, StoreError, TakeoverRequest, WorkQuery,
};
use crate::types::keys::WorkflowKey;
use crate::types::metrics;
use crate::types::status::Status;
use crate::types::sync::{Mutex, lock};
use crate::wait::shutdown_phase::EnginePhase;

/// How many workflows one takeover statement covers. Their records are read with one query.
const MAX_PER_TAKEOVER: u32 = 500;

/// The pause after a takeover with an unknown result.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The shortest time between two checks for released workflows. On SQLite every write of another process
/// causes one.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a release of workflows without a task waits for claims and commits under way.
const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// What the heartbeat asks the recovery to do.
#[derive(Debug, Default)]
pub(super) struct RecoveryRequests {
    /// Executors that are certainly dead; `None` if there is no request.
    dead: Mutex<Option<Vec<ExecutorInfo>>>,
    /// PENDING workflows of this executor that had no task when it was last checked.
    not_running: Mutex<Vec<WorkflowKey>>,
    requested: Notify,
}

impl RecoveryRequests {
    /// Requests a recovery of what dead executors ran, if any, and of what no executor runs.
    pub(super) fn request(&self, dead: Vec<ExecutorInfo>) {
        lock(&self.dead).get_or_insert_default().extend(dead);
        self.requested.notify_one();
    }

    /// Requests the release of workflows that this executor owns and does not run.
    pub(super) fn request_release(&self, not_running: Vec<WorkflowKey>) {
        *lock(&self.not_running) = not_running;
        self.requested.notify_one();
    }
}

/// The recovery's task. It takes nothing over from [`EnginePhase::Quiesced`] on. A takeover under way is
/// finished, so that the shutdown releases those workflows again.
pub(super) async fn run(runtime: Arc<Runtime>, identity: Arc<ExecutorIdentity>, requests: Arc<RecoveryRequests>) {
    // Whether this executor may own workflows that it does not run, because the connection broke during a
    // takeover.
    let mut may_own_unknown = false;
    let mut checked_at = Instant::now();
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        let only_released = tokio::select! {
            () = requests.requested.notified() => false,
            () = runtime.released.woken() => true,
            () = tokio::time::sleep(RETRY_AFTER), if may_own_unknown => false,
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
        };
        if only_released && !may_own_unknown {
            tokio::select! {
                () = tokio::time::sleep_until(checked_at + MIN_CHECK_INTERVAL) => checked_at = Instant::now(),
                () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
            }
        }
        let not_running = std::mem::take(&mut *lock(&requests.not_running));
        if !not_running.is_empty() {
            release_without_task(&runtime, not_running).await;
        }
        let dead = lock(&requests.dead).take();
        if only_released && !may_own_unknown && dead.is_none() && !is_anything_released(&runtime).await {
            continue;
        }
        let check_unknown = std::mem::replace(&mut may_own_unknown, true);
        match take_over_and_run(&runtime, &identity, &dead.unwrap_or_default(), check_unknown).await {
            Ok(all_run) => may_own_unknown = !all_run,
            Err(error) => tracing::warn!(target: "durable", %error, "taking over workflows failed; trying again"),
        }
    }
}

/// Releases workflows that this executor owns and does not run: one whose run has left without an end,
/// because its records could not be read or its end was refused, would otherwise wait until this process ends.
async fn release_without_task(runtime: &Runtime, mut keys: Vec<WorkflowKey>) {
    let released = async {
        // A workflow that was just claimed or started has its task when the claims are over and the commit
        // in which it was started is completed, for which the writer may have to try again.
        let settled = async {
            let no_claim = runtime.claims.write().await;
            runtime.writer.flushed().await;
            no_claim
        };
        let settled = tokio::time::timeout(SETTLE_WAIT, settled).await;
        let Some(_no_claim) = settled.ok().filter(|_| !runtime.writer.has_unsettled()) else {
            return Ok(ReleasedWorkflows::default()); // the next heartbeat lists them again
        };
        let running: HashSet<WorkflowKey> = runtime.running.all().iter().map(|it| it.key).collect();
        keys.retain(|key| !running.contains(key));
        if keys.is_empty() {
            return Ok(ReleasedWorkflows::default());
        }
        runtime.store.release(runtime.fence(), ReleaseRequest::Only(&keys)).await
    };
    let released = tokio::select! {
        released = released => released,
        () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return, // the shutdown releases them
    };
    match released {
        Ok(released) if released.direct + released.queued > 0 => {
            let workflows = released.direct + released.queued;
            runtime.running.count_released(workflows);
            tracing::warn!(target: "durable", executor_id = %runtime.settings.executor, workflows, "released unfinished workflows that had no task in this process");
            runtime.released.wake();
            runtime.queues.notify_all();
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(target: "durable", executor_id = %runtime.settings.executor, %error, "workflows without a task could not be released; trying again with the next heartbeat");
        }
    }
}

/// Whether there are released workflows. If the database does not answer, the next heartbeat finds them.
async fn is_anything_released(runtime: &Runtime) -> bool {
    let query =
        WorkQuery { executor: runtime.fence().executor, queues: Vec::new(), delayed: false, known: runtime.known() };
    runtime.store.work_left(&query).await.is_ok_and(|it| it.released)
}

/// At the launch: takes over from the earlier executors that are certainly dead, without waiting for
/// their leases. `again` is whether it was tried before, and may have taken something over.
pub(super) async fn recover_at_launch(
    runtime: &Arc<Runtime>,
    identity: &ExecutorIdentity,
    earlier: &[ExecutorInfo],
    again: bool,
) -> Result<(), StoreError> {
    let dead: Vec<_> = earlier.iter().filter(|it| is_dead(runtime, identity, it)).cloned().collect();
    take_over_and_run(runtime, identity, &dead, again).await?;
    let unknown = runtime.store.count_unknown(&runtime.known()).await?;
    let (others, unknown): (Vec<_>, Vec<_>) =
        unknown.into_iter().partition(|(name, _)| runtime.registry.get(name).is_some());
    if !others.is_empty() {
        let workflows: u64 = others.iter().map(|(_, count)| count).sum();
        let functions: Vec<_> = others.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let functions = functions.join(", ");
        tracing::warn!(target: "durable", workflows, functions, version = %runtime.settings.version, "unfinished workflows of other versions are left for processes of their version, because this program runs with `VersionPolicy::Pin`");
    }
    if !unknown.is_empty() {
        let workflows: u64 = unknown.iter().map(|(_, count)| count).sum();
        let functions: Vec<_> = unknown.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let functions = functions.join(", ");
        tracing::warn!(target: "durable", workflows, functions, "unfinished workflows call functions that this program does not have; if it should have them, check that their crate is linked: mention it with `use that_crate as _;`");
    }
    Ok(())
}

fn is_dead(runtime: &Runtime, identity: &ExecutorIdentity, executor: &ExecutorInfo) -> bool {
    // An executor that is leaving still runs its workflows, even under the same name.
    if !executor.leaving && executor.name == runtime.settings.executor {
        return true;
    }
    match identity.lock_folder().state(executor) {
        LockState::Free => true,
        LockState::Unknown => executor.expired,
        LockState::Held => false, // if it is stopped, the heartbeat finds that out
    }
}

/// Fences out dead executors, and takes over all workflows that no executor runs. Returns whether all of
/// them run here now.
///
/// After an error it is unknown what was taken over: then, and if not all of them run, the next call has to
/// set `check_unknown`, which also finds workflows that this executor owns and does not run.
pub(super) async fn take_over_and_run(
    runtime: &Arc<Runtime>,
    identity: &ExecutorIdentity,
    dead: &[ExecutorInfo],
    check_unknown: bool,
) -> Result<bool, StoreError> {
    let (mut all_run, mut has_brought) = (true, false);
    let folder = identity.lock_folder();
    for executor in dead {
        if runtime.store.fence_out(executor.key, executor.epoch).await? {
            metrics::took_over();
            tracing::info!(target: "durable", executor_id = %executor.name, "taking over from a dead executor");
            if folder.state(executor) == LockState::Held {
                runtime.store.note_alive(executor.key).await?; // its process is stopped, and has not crashed
            } else {
                folder.remove(executor);
            }
        }
    }
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        let fence = runtime.fence();
        let running = check_unknown.then(|| runtime.running.all().iter().map(|it| it.key).collect());
        let request = TakeoverRequest { fence, known: runtime.known(), limit: MAX_PER_TAKEOVER, running };
        let taken = runtime.store.take_over(&request).await?;
        for ParkedRun { id, name, queue } in &taken.parked {
            metrics::workflow_ended(|| runtime.registry.labels_of(name, queue.as_deref()), Status::Parked);
            tracing::error!(target: "durable", workflow_id = %id, "a workflow was recovered too often and is parked");
        }
        for queue in &taken.requeued {
            runtime.announce_queue(queue);
        }
        // Requeued workflows count for the limit too, but only their queues are returned.
        let may_be_more =
            taken.runs.len() + taken.parked.len() >= MAX_PER_TAKEOVER as usize || !taken.requeued.is_empty();
        if !taken.runs.is_empty() {
            if !std::mem::replace(&mut has_brought, true) {
                metrics::recovered();
            }
            all_run &= run_all(runtime, taken.runs).await?;
        }
        if !may_be_more {
            break;
        }
    }
    if !dead.is_empty() {
        runtime.store.remove_dead_executors().await?;
    }
    Ok(all_run)
}

/// Runs recovered workflows. Returns whether all of them run now.
async fn run_all(runtime: &Arc<Runtime>, rows: Vec<RunRow>) -> Result<bool, StoreError> {
    tracing::info!(target: "durable", workflows = rows.len(), "recovering workflows");
    // The body of an earlier run may still be here, about to be dropped.
    let mut all_run = true;
    for waiting in run_claimed::run_all(runtime, rows, |_| None).await? {
        if let Err(run_task) = run_claimed::run_after_earlier(waiting).await {
            all_run = false;
            tracing::warn!(target: "durable", workflow_id = %run_task.row.id, "an earlier run of the workflow is still in this process; it is recovered later");
        }
    }
    Ok(all_run)
}
