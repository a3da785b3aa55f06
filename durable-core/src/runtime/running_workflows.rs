//! What runs in this process: counted for the shutdown, found by id, waited for.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::runtime::stop_reason::StopReason;
use crate::store::FinishedWorkflow;
use crate::types::keys::WorkflowKey;
use crate::types::sync::lock;

/// What runs in this process.
#[derive(Debug)]
pub(crate) struct RunningWorkflows {
    by_id: Mutex<HashMap<Arc<str>, Arc<RunningWorkflow>>>,
    count: watch::Sender<usize>,
    /// How many have come to their end in this process, those included that were cancelled in it.
    ended: AtomicU64,
    /// How many were released, because they were unfinished and had no task.
    released: AtomicU64,
    /// Those that left without having ended, since the shutdown began to list them.
    left: Mutex<Option<Vec<Arc<RunningWorkflow>>>>,
}

/// One workflow that runs in this process.
#[derive(Debug)]
pub(crate) struct RunningWorkflow {
    /// The external id.
    pub(crate) id: Arc<str>,
    /// The internal key.
    pub(crate) key: WorkflowKey,
    /// The name of the function.
    pub(crate) workflow: &'static str,
    /// How far it is.
    progress: Mutex<RunProgress>,
    /// Tells those who wait for it. There is one for every parked workflow, so it is no channel.
    changed: Notify,
    /// The execution of the present round; a replay begins another one.
    execution: Mutex<Option<Arc<dyn RunControl>>>,
    /// Whether it is somebody else's by now, or was cancelled: it does not wait to go on.
    given_up: AtomicBool,
    /// Whether it was cancelled, and so has come to its end.
    cancelled: AtomicBool,
    /// Drops the task.
    abort: OnceLock<AbortHandle>,
}

/// What the engine asks and tells the execution of a running workflow.
pub(crate) trait RunControl: fmt::Debug + Send + Sync {
    /// Stops the body for this reason.
    fn request_stop(&self, reason: StopReason);

    /// The shutdown aborts: steps are asked to stop, and no further operation begins.
    fn begin_abort(&self);

    /// What the run is doing, or was doing when it was asked to stop.
    fn activity(&self) -> Option<String>;

    /// What the run is doing now.
    fn current_activity(&self) -> Option<String>;

    /// How long the step that has been running longest has been running.
    fn step_running_for(&self) -> Option<Duration>;

    /// How many of its operations are recorded, or about to be.
    fn steps_done(&self) -> u32;
}

/// How far a workflow is, for those who wait for it.
#[derive(Debug, Clone)]
pub(crate) enum RunProgress {
    /// It runs.
    Running,
    /// It has come to an end, or is parked.
    Ended(Arc<FinishedWorkflow>),
    /// It no longer runs in this process, and has not ended here.
    Left,
}

impl RunningWorkflows {
    pub(crate) fn new() -> Self {
        Self {
            by_id: Mutex::default(),
            count: watch::Sender::new(0),
            ended: AtomicU64::new(0),
            released: AtomicU64::new(0),
            left: Mutex::default(),
        }
    }

    /// Enters a run; counted from now until the guard is dropped. While an earlier run of the same
    /// id is still here, gives that one instead: the new one must wait until it is gone.
    pub(crate) fn insert(
        self: &RunningWorkflows,
        id: &Arc<str>,
        key: WorkflowKey,
        workflow: &'static str,
    ) -> Result<Arc<RunningWorkflow>, Arc<RunningWorkflow>> {
        let mut by_id = lock(&self.by_id);
        if let Some(earlier) = by_id.get(id) {
            return Err(Arc::clone(earlier));
        }
        let run = Arc::new(RunningWorkflow {
            id: Arc::clone(id),
            key,
            workflow,
            given_up: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            progress: Mutex::new(RunProgress::Running),
            changed: Notify::new(),
            execution: Mutex::default(),
            abort: OnceLock::new(),
        });
        by_id.insert(Arc::clone(id), Arc::clone(&run));
        self.count.send_modify(|count| *count += 1);
        Ok(run)
    }

    /// Takes a run out. Called by the guard of its task, on whatever way the task ends.
    pub(crate) fn leave(&self, run: &Arc<RunningWorkflow>) {
        lock(&self.by_id).remove(&run.id);
        if !run.leave() || run.cancelled.load(Ordering::Relaxed) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        } else if run.given_up.load(Ordering::Relaxed) {
            // It goes on elsewhere, or not at all.
        } else if let Some(list) = lock(&self.left).as_mut() {
            list.push(Arc::clone(run));
        }
        self.count.send_modify(|count| *count -= 1);
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<RunningWorkflow>> {
        lock(&self.by_id).get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<RunningWorkflow>> {
        lock(&self.by_id).values().cloned().collect()
    }

    /// Whether nothing runs.
    pub(crate) fn is_empty(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// How many have come to their end in this process.
    pub(crate) fn finish(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Counts workflows that were released, because they were unfinished and had no task.
    pub(crate) fn count_released(&self, many: u64) {
        self.released.fetch_add(many, Ordering::Relaxed);
    }

    /// How many were released, because they were unfinished and had no task.
    pub(crate) fn released_without_task(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Lists from now on who leaves without having ended.
    pub(crate) fn track_unfinished(&self) {
        lock(&self.left).get_or_insert_default();
    }

    /// Who left without having ended, since they are listed.
    pub(crate) fn take_unfinished(&self) -> Vec<Arc<RunningWorkflow>> {
        lock(&self.left).take().unwrap_or_default()
    }

    /// Returns once nothing runs any more.
    pub(crate) async fn wait_until_empty(&self) {
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await.map(drop); // the sender is in `self`
    }
}

impl RunningWorkflow {
    pub(crate) fn set_execution(&self, execution: Arc<dyn RunControl>) {
        *lock(&self.execution) = Some(execution);
    }

    pub(crate) fn execution(&self) -> Option<Arc<dyn RunControl>> {
        lock(&self.execution).clone()
    }

    pub(crate) fn request_stop(&self, signal: StopReason) {
        if let Some(execution) = self.execution() {
            execution.request_stop(signal);
        }
    }

    /// Steps are told that the engine goes down, and the driver looks whether the body has to be
    /// suspended now.
    pub(crate) fn begin_abort(&self) {
        if let Some(execution) = self.execution() {
            execution.begin_abort();
        }
    }

    /// It leaves, and this process has no more to do with it.
    pub(crate) fn mark_given_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// The same for one that somebody has cancelled.
    pub(crate) fn mark_cancelled(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_abort(&self, handle: AbortHandle) {
        let _ = self.abort.set(handle); // a run has one task
    }

    pub(crate) fn abort(&self) {
        if let Some(handle) = self.abort.get() {
            handle.abort();
        }
    }

    pub(crate) fn finish(&self, ended: Arc<FinishedWorkflow>) {
        *lock(&self.progress) = RunProgress::Ended(ended);
        self.changed.notify_waiters();
    }

    /// It no longer runs here. Gives whether it has not ended either.
    fn leave(&self) -> bool {
        let mut progress = lock(&self.progress);
        let running = matches!(*progress, RunProgress::Running);
        if running {
            *progress = RunProgress::Left;
        }
        drop(progress);
        self.changed.notify_waiters();
        running
    }

    /// Returns once it no longer runs here.
    pub(crate) async fn finished(&self) -> RunProgress {
        loop {
            // Registered before the look: a word that comes between the two is heard.
            let changed = self.changed.notified();
            let progress = lock(&self.progress).clone();
            if !matches!(progress, RunProgress::Running) {
                return progress;
            }
            changed.await;
        }
    }
}
