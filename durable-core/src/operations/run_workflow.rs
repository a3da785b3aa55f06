//! The driver: one task per execution, which polls the body, stops it when that is requested, and writes
//! the end.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::journal::execution::Execution;
use crate::operations::cancel::cancel_itself;
use crate::operations::poll_body::{StoppedBody, poll_body};
use crate::operations::verify_replay;
use crate::queue_state::QueueSlot;
use crate::registry::Workflow;
use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::runtime::stop_reason::StopReason;
use crate::store::{Entry, Fence, Finish, FinishedWorkflow, PollRequest, Record, RunRow, StoreError};
use crate::types::backoff::CALLS_WHILE_DATABASE_IS_AWAY;
use crate::types::error::Error;
use crate::types::metrics;
use crate::types::payload::{Outcome, RecordedError};
use crate::types::replay_report::ReplayOutcome;
use crate::types::status::Status;
use crate::types::version_policy::VersionPolicy;
use crate::wait::shutdown_phase::EnginePhase;

/// Everything a driver needs.
pub(crate) struct RunTask {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) workflow: &'static Workflow,
    pub(crate) row: Arc<RunRow>,
    pub(crate) fence: Fence,
    /// The records of earlier runs; empty for the first run.
    pub(crate) records: Vec<Record>,
    /// The slot of its queue, if it came from one.
    pub(crate) slot: Option<QueueSlot>,
}

impl RunTask {
    /// Starts the driver's task.
    ///
    /// # Errors
    /// An earlier run of the same id is still in this process. It is returned together with the task:
    /// two bodies of one workflow must not run at the same time.
    pub(crate) fn spawn(self) -> Result<Arc<RunningWorkflow>, (Arc<RunningWorkflow>, Self)> {
        let runtime = Arc::clone(&self.runtime);
        match runtime.running.insert(&self.row.id, self.row.key, self.workflow) {
            Ok(run) => {
                let mut drive = self;
                drive.count_begin();
                let slot = drive.slot.take().map(Box::new);
                let task = runtime.spawn(drive.drive(LiveGuard {
                    runtime: Arc::clone(&runtime),
                    run: Arc::clone(&run),
                    slot,
                }));
                run.set_abort(task.abort_handle());
                Ok(run)
            }
            Err(earlier) => Err((earlier, self)),
        }
    }

    fn count_begin(&self) {
        let labels = || self.runtime.registry.labels_of(self.workflow.name, self.row.queue.as_deref());
        let waited = || {
            let since = self.row.waits_since.filter(|_| self.slot.is_some())?;
            Some(self.runtime.timers.clock.lower_bound().saturating_duration_since(since))
        };
        metrics::run_begins(labels, self.row.is_first_run(), waited);
    }

    /// It is no `async fn`, which would hold what it is given twice.
    fn drive(self, present: LiveGuard) -> impl Future<Output = ()> + Send {
        let mut execution = Execution::new(self.runtime, self.workflow, self.row, self.fence, self.records);
        async move {
            // Everything here that is not the body is boxed, and nothing is held that the execution has, too: a hundred
            // thousand workflows may wait in this future, and each of them would hold the memory for that.
            let present = &present;
            let _permit = match &execution.runtime.permits {
                Some(permits) if takes_a_permit(&execution.row) => {
                    match Box::pin(acquire_permit(&execution.runtime, permits)).await {
                        Some(permit) => Some(permit),
                        None => return,
                    }
                }
                _ if execution.runtime.shutdown.is_aborting() => return,
                _ => None,
            };
            let mut superseded = 0;
            loop {
                present.run.set_execution(Arc::clone(&execution) as _);
                let stopped = if needs_verification(&execution) {
                    Box::pin(poll_if_verified(&execution)).await
                } else {
                    poll_body(&execution).await
                };
                present.run.set_ending();
                match Box::pin(finish_run(&execution, stopped)).await {
                    FinishResult::Yes(ended) => {
                        log_end(execution.workflow.name, &ended);
                        return present.run.finish(Arc::new(ended));
                    }
                    // Another run has recorded one of the positions, so the state of this run is
                    // wrong. It begins again from the records.
                    FinishResult::No(StopReason::Replay) if superseded < MAX_REPLAYS => superseded += 1,
                    FinishResult::No(signal) => return leave(&execution, &present.run, &signal),
                }
                let Some(anew) = Box::pin(reload(&execution, &present.run)).await else { return };
                execution = anew;
            }
        }
    }
}

/// Whether its records are verified before it runs. A function that has not changed can call what has.
fn needs_verification(execution: &Execution) -> bool {
    let settings = &execution.runtime.settings;
    let version = execution.workflow.version(&settings.version);
    settings.version_policy == VersionPolicy::AdoptVerified
        && (has_changed(execution) || execution.row.version.as_deref().is_some_and(|it| it != version))
        && !execution.records().is_empty()
}

/// Whether the function has changed since the workflow was started.
fn has_changed(execution: &Execution) -> bool {
    execution.row.fingerprint != execution.workflow.fingerprint
}

/// Whether it takes one of the permits. A child does not, because its parent waits for it; nor does a
/// workflow from a queue, which the queue's limits already count as running.
fn takes_a_permit(row: &RunRow) -> bool {
    row.parent.is_none() && row.queue.is_none()
}

/// One of the permits; `None` if the engine shuts down first.
async fn acquire_permit(runtime: &Runtime, permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = runtime.shutdown.wait_for(EnginePhase::Aborting) => None,
        // The semaphore is never closed, so an error cannot be.
        permit = Arc::clone(permits).acquire_owned() => permit.ok(),
    }
}

/// Reads the journal again, however long the database cannot be reached; `None` if the workflow has
/// ended, or the engine shuts down first.
async fn reload(execution: &Execution, run: &RunningWorkflow) -> Option<Arc<Execution>> {
    let Execution { runtime, workflow, row, fence, .. } = execution;
    let mut failed = 0;
    loop {
        match try_reload(execution).await {
            Ok((Some(ended), _)) => {
                run.finish(Arc::new(ended));
                return None;
            }
            Ok((None, records)) => {
                return Some(Execution::new(Arc::clone(runtime), workflow, Arc::clone(row), *fence, records));
            }
            Err(error) => {
                failed += 1;
                tracing::warn!(target: "durable", id = %run.id, attempts = failed, %error, "the records could not be read again; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(CALLS_WHILE_DATABASE_IS_AWAY.random_delay(failed)) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Aborting) => return None,
        }
    }
}

/// The end of the workflow, if it has ended, and its records.
async fn try_reload(execution: &Execution) -> Result<(Option<FinishedWorkflow>, Vec<Record>), StoreError> {
    let Execution { runtime, row, .. } = execution;
    let wanted = PollRequest { ends: vec![row.id.to_string()], ..PollRequest::default() };
    let ended = runtime.store.poll(&wanted).await?.ends.into_iter().next();
    Ok((ended, runtime.store.records(&[row.key]).await?))
}

fn leave(execution: &Execution, run: &RunningWorkflow, signal: &StopReason) {
    match signal {
        StopReason::Cancelled => run.mark_cancelled(),
        StopReason::Lost => run.mark_lost(),
        _ => {}
    }
    tracing::debug!(target: "durable", workflow = execution.workflow.name, id = %run.id, why = ?signal, "a workflow leaves this process");
}

/// How often a run begins again from the journal before it leaves, so that the workflow is released.
const MAX_REPLAYS: u32 = 8;

/// Keeps a run in the list of running workflows, and its slot of the queue, until it is dropped, however
/// the task ends.
struct LiveGuard {
    runtime: Arc<Runtime>,
    run: Arc<RunningWorkflow>,
    /// Boxed, because a workflow that was started at once has none.
    slot: Option<Box<QueueSlot>>,
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        self.runtime.running.leave(&self.run);
        if let Some(slot) = self.slot.take() {
            let others_wait = slot.fleet_hint();
            drop(slot);
            if let Some(hint) = others_wait {
                self.runtime.notify_others(hint);
            }
        }
    }
}

/// Logs the end of a workflow, once: a failure as a warning, with the text of its error.
fn log_end(workflow: &str, ended: &FinishedWorkflow) {
    let id = &ended.id;
    if let Some(Outcome::Error(text)) = &ended.outcome {
        let error = RecordedError::from_text(text).message;
        tracing::warn!(target: "durable", workflow, %id, %error, "a workflow ended with an error");
    } else {
        tracing::debug!(target: "durable", workflow, %id, status = %ended.status, "a workflow has ended");
    }
}

/// Polls the body if its records match the present code, and parks the workflow otherwise. A function that has not
/// changed needs no proof: it is enough that nothing speaks against it.
async fn poll_if_verified(execution: &Arc<Execution>) -> StoppedBody {
    let Execution { runtime, workflow, row, .. } = &**execution;
    let records = execution.records().to_vec();
    let report = verify_replay::verify(runtime, workflow, Arc::clone(row), records, Status::Pending).await;
    if report.is_match() || !has_changed(execution) && matches!(report.outcome, ReplayOutcome::Unknown { .. }) {
        return poll_body(execution).await;
    }
    if runtime.shutdown.is_aborting() {
        return StoppedBody::Signalled(StopReason::Suspend);
    }
    let reason = format!(
        "the code of the workflow `{}`, or of what it calls, has changed, and does not match the records of this one: {report}; deploy the earlier version, or repair a copy with `durable fork {id} --from` and that position",
        workflow.name,
        id = row.id
    );
    StoppedBody::Signalled(StopReason::Park(reason))
}

/// The end of a run, to be written.
struct RunEnd {
    status: Status,
    outcome: Option<Outcome>,
    reason: Option<String>,
}

impl RunEnd {
    fn returned(execution: &Execution, outcome: Outcome) -> Self {
        let what = || format!("the result of the workflow `{}`", execution.workflow.name);
        match (execution.runtime.check_size(what, outcome.len()), &outcome) {
            (Err(error), _) => Self::failed(&error),
            (Ok(()), Outcome::Output(_)) => Self { status: Status::Success, outcome: Some(outcome), reason: None },
            (Ok(()), Outcome::Error(_)) => Self { status: Status::Error, outcome: Some(outcome), reason: None },
        }
    }

    fn failed(error: &Error) -> Self {
        let text = RecordedError::from_engine(error).to_text();
        Self { status: Status::Error, outcome: Some(Outcome::Error(text)), reason: None }
    }

    fn cancelled(reason: &str) -> Self {
        Self { status: Status::Cancelled, outcome: None, reason: Some(reason.to_owned()) }
    }

    /// The reason is stored with the command that lets the workflow go on.
    fn parked(reason: &str, row: &RunRow) -> Self {
        let reason = format!("{reason}; once that is mended: `durable resume {}`", row.id);
        Self { status: Status::Parked, outcome: None, reason: Some(reason) }
    }

    fn into_finished(self, row: &RunRow) -> FinishedWorkflow {
        let Self { status, outcome, reason } = self;
        FinishedWorkflow { id: row.id.to_string(), status, outcome, reason }
    }
}

enum FinishResult {
    Yes(FinishedWorkflow),
    No(StopReason),
}

/// Carries out the end of a run, after the body was dropped.
async fn finish_run(execution: &Arc<Execution>, stopped: StoppedBody) -> FinishResult {
    let end = match stopped {
        StoppedBody::Returned(outcome) => RunEnd::returned(execution, outcome),
        StoppedBody::Panicked(error) | StoppedBody::Signalled(StopReason::Fail(error)) => RunEnd::failed(&error),
        StoppedBody::Signalled(StopReason::Park(reason)) => RunEnd::parked(&reason, &execution.row),
        StoppedBody::Signalled(StopReason::TimedOut) => RunEnd::cancelled("timeout"),
        StoppedBody::Signalled(StopReason::Suspend) => {
            // The records of finished steps are written before the workflow is released.
            let _ = execution.try_flush().await;
            return FinishResult::No(StopReason::Suspend);
        }
        StoppedBody::Signalled(StopReason::CancelItself { children }) => {
            if let Err(signal) = execution.try_flush().await {
                return FinishResult::No(signal);
            }
            return match cancel_itself(execution, children).await {
                Some(reason) => FinishResult::Yes(RunEnd::cancelled(reason).into_finished(&execution.row)),
                None if execution.runtime.shutdown.is_aborting() => FinishResult::No(StopReason::Suspend),
                // It had ended before: the end is read from the database.
                None => FinishResult::No(StopReason::Replay),
            };
        }
        StoppedBody::Signalled(other) => return FinishResult::No(other),
    };
    finish(execution, end).await
}

/// Writes the end of a run, together with the records that wait for it.
async fn finish(execution: &Arc<Execution>, end: RunEnd) -> FinishResult {
    let row = &execution.row;
    if end.status == Status::Parked {
        tracing::error!(target: "durable", workflow = execution.workflow.name, id = %row.id, reason = end.reason.as_deref(), "a workflow is parked and needs a person");
    }
    let status = end.status;
    let (outcome, reason) = (end.outcome.clone(), end.reason.clone());
    let row_end = Finish { workflow: row.key, attempt: row.attempt, status, outcome, reason };
    let entry = Entry { finish: Some(row_end), ..Entry::default() };
    let alone = (status == Status::Parked).then(|| entry.clone());
    let written = match (execution.write(entry).await, alone) {
        // An earlier record cannot be stored; the status PARKED with the reason can.
        (Err(StopReason::Park(_)), Some(alone)) => execution.write_alone(alone).await,
        (written, _) => written,
    };
    match written {
        Ok(_) => {
            let labels = || execution.runtime.registry.labels_of(execution.workflow.name, row.queue.as_deref());
            metrics::workflow_ended(labels, status);
            FinishResult::Yes(end.into_finished(row))
        }
        // The end cannot be stored; the status PARKED with the reason can.
        Err(StopReason::Park(reason)) if status != Status::Parked => {
            Box::pin(finish(execution, RunEnd::parked(&reason, row))).await
        }
        Err(signal) => FinishResult::No(signal),
    }
}
