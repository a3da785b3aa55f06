//! The workflows that run in this process: counted for the shutdown, found by id, waited for.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::registry::Workflow;
#[cfg(feature = "testing")]
use crate::runtime::activity::RunActivity;
use crate::runtime::activity::WaitsFor;
use crate::runtime::stop_reason::StopReason;
use crate::store::FinishedWorkflow;
use crate::types::keys::WorkflowKey;
use crate::types::listing::CurrentActivity;
use crate::types::status::Status;
use crate::types::sync::{Mutex, lock};

/// The workflows that run in this process.
#[derive(Debug)]
pub(crate) struct RunningWorkflows {
    by_id: Mutex<HashSet<ById>>,
    count: watch::Sender<usize>,
    /// How many have ended in this process, with those that were cancelled in it.
    finished: AtomicU64,
    /// How many were released, because they were unfinished and had no task.
    released: AtomicU64,
    /// The runs that stopped without an end, since the shutdown began to list them.
    unfinished: Mutex<Option<Vec<Arc<RunningWorkflow>>>>,
}

/// One workflow that runs in this process.
#[derive(Debug)]
pub(crate) struct RunningWorkflow {
    /// The external id.
    pub(crate) id: Arc<str>,
    /// The internal key.
    pub(crate) key: WorkflowKey,
    /// The function.
    pub(crate) workflow: &'static Workflow,
    /// How far it is.
    progress: Mutex<RunProgress>,
    /// Wakes the waits for its end. Every workflow here has one, so it is a `Notify` and not a larger channel.
    changed: Notify,
    /// The current execution; a replay begins another one.
    execution: Mutex<Option<Arc<dyn RunControl>>>,
    /// Whether its end may be in the database already.
    ending: AtomicBool,
    /// Whether another executor owns the workflow now.
    lost: AtomicBool,
    /// Whether the workflow was cancelled, which is its end.
    cancelled: AtomicBool,
    /// Drops the task.
    abort: OnceLock<AbortHandle>,
}

/// A run that is found by its id, which it holds itself.
#[derive(Debug)]
struct ById(Arc<RunningWorkflow>);

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// The engine's view of the execution of a running workflow.
pub(crate) trait RunControl: fmt::Debug + Send + Sync {
    /// Stops the body for this reason.
    fn request_stop(&self, reason: StopReason);

    /// The shutdown aborts: steps are asked to stop, and no further operation begins.
    fn begin_abort(&self);

    /// The run's activity, or its last one if it was asked to stop.
    fn activity(&self) -> Option<String>;

    /// The run's activity now.
    fn current_activity(&self) -> Option<String>;

    /// All of the run's activities now.
    fn current_activities(&self) -> Vec<CurrentActivity>;

    /// What the run waits for; `None` if it does anything else.
    fn waits_for(&self) -> Option<Vec<WaitsFor>>;

    /// How long the step that has been running longest has been running.
    fn step_running_for(&self) -> Option<Duration>;

    /// What the run does.
    #[cfg(feature = "testing")]
    fn activities(&self) -> Vec<RunActivity>;

    /// How many of its operations are recorded or about to be.
    fn steps_done(&self) -> u32;
}

/// How far a run is.
#[derive(Debug, Clone)]
pub(crate) enum RunProgress {
    /// It runs.
    Running,
    /// The workflow has ended, or is parked.
    Ended(Arc<FinishedWorkflow>),
    /// The run stopped in this process, and the workflow has not ended here.
    Left,
}

impl RunningWorkflows {
    pub(crate) fn new() -> Self {
        Self {
            by_id: Mutex::default(),
            count: watch::Sender::new(0),
            finished: AtomicU64::new(0),
            released: AtomicU64::new(0),
            unfinished: Mutex::default(),
        }
    }

    /// Adds a run, which counts until [`leave`](Self::leave). `Err` is an earlier run of the same
    /// workflow that is still in the list: the new one must wait until that one has left.
    pub(crate) fn insert(
        self: &RunningWorkflows,
        id: &Arc<str>,
        key: WorkflowKey,
        workflow: &'static Workflow,
    ) -> Result<Arc<RunningWorkflow>, Arc<RunningWorkflow>> {
        let mut by_id = lock(&self.by_id);
        if let Some(earlier) = by_id.get(&**id) {
            return Err(Arc::clone(&earlier.0));
        }
        let run = Arc::new(RunningWorkflow {
            id: Arc::clone(id),
            key,
            workflow,
            ending: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            progress: Mutex::new(RunProgress::Running),
            changed: Notify::new(),
            execution: Mutex::default(),
            abort: OnceLock::new(),
        });
        by_id.insert(ById(Arc::clone(&run)));
        self.count.send_modify(|count| *count += 1);
        Ok(run)
    }

    /// Removes a run. The guard of its task calls this, however the task ends.
    pub(crate) fn leave(&self, run: &Arc<RunningWorkflow>) {
        lock(&self.by_id).remove(&*run.id);
        if !run.leave() || run.cancelled.load(Ordering::Relaxed) {
            self.finished.fetch_add(1, Ordering::Relaxed);
        } else if run.lost.load(Ordering::Relaxed) {
            // Its new owner runs it.
        } else if let Some(list) = lock(&self.unfinished).as_mut() {
            list.push(Arc::clone(run));
        }
        self.count.send_modify(|count| *count -= 1);
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<RunningWorkflow>> {
        lock(&self.by_id).get(id).map(|it| Arc::clone(&it.0))
    }

    pub(crate) fn all(&self) -> Vec<Arc<RunningWorkflow>> {
        lock(&self.by_id).iter().map(|it| Arc::clone(&it.0)).collect()
    }

    /// How many have not ended. One that has is in the list until its task is over.
    pub(crate) fn unended_count(&self) -> usize {
        lock(&self.by_id).iter().filter(|it| matches!(*lock(&it.0.progress), RunProgress::Running)).count()
    }

    /// How many runs are in the list.
    #[cfg(feature = "metrics")]
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Whether nothing runs.
    pub(crate) fn is_empty(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// How many have ended in this process.
    pub(crate) fn finished_count(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Counts workflows that were released, because they were unfinished and had no task.
    pub(crate) fn count_released(&self, many: u64) {
        self.released.fetch_add(many, Ordering::Relaxed);
    }

    /// How many were released, because they were unfinished and had no task.
    pub(crate) fn released_without_task(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Lists from now on the runs that stop without an end.
    pub(crate) fn track_unfinished(&self) {
        lock(&self.unfinished).get_or_insert_default();
    }

    /// The runs that stopped without an end since [`track_unfinished`](Self::track_unfinished).
    pub(crate) fn take_unfinished(&self) -> Vec<Arc<RunningWorkflow>> {
        lock(&self.unfinished).take().unwrap_or_default()
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

    pub(crate) fn request_stop(&self, reason: StopReason) {
        if let Some(execution) = self.execution() {
            execution.request_stop(reason);
        }
    }

    /// Asks the running steps to stop, and lets the driver check whether to suspend the body now.
    pub(crate) fn begin_abort(&self) {
        if let Some(execution) = self.execution() {
            execution.begin_abort();
        }
    }

    /// Another executor owns the workflow now.
    pub(crate) fn mark_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// The workflow was cancelled, which is its end.
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

    /// Its end is about to be written.
    pub(crate) fn set_ending(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Whether its end may be in the database already, so that it may have been resumed since.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(crate) fn finish(&self, ended: Arc<FinishedWorkflow>) {
        *lock(&self.progress) = RunProgress::Ended(ended);
        self.changed.notify_waiters();
    }

    /// How the run has ended, unless with a result: a resume lets the workflow go on after any other end.
    pub(crate) fn failure(&self) -> Option<Arc<FinishedWorkflow>> {
        match &*lock(&self.progress) {
            RunProgress::Ended(ended) if ended.status != Status::Success => Some(Arc::clone(ended)),
            _ => None,
        }
    }

    /// Ends the run in this process. Returns whether the workflow has not ended.
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

    /// Returns once the run has stopped in this process.
    pub(crate) async fn finished(&self) -> RunProgress {
        loop {
            // Registered before the check, so a change between the two is not missed.
            let changed = self.changed.notified();
            let progress = lock(&self.progress).clone();
            if !matches!(progress, RunProgress::Running) {
                return progress;
            }
            changed.await;
        }
    }
}
