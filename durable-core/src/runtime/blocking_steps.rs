//! Blocking steps, which run on threads of the engine. They can be asked to stop, but not be stopped.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::Notify;

use crate::runtime::step_threads::StepThreads;
use crate::types::keys::WorkflowKey;
use crate::types::position::Position;
use crate::types::sync::{Mutex, lock};

/// The blocking steps that run now, and the threads for them.
#[derive(Debug)]
pub(crate) struct BlockingSteps {
    pub(crate) threads: StepThreads,
    state: Mutex<OccupiedThreads>,
    /// A step has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct OccupiedThreads {
    last_number: u64,
    running: BTreeMap<u64, BlockingStep>,
}

/// A running blocking step.
#[derive(Debug, Clone)]
pub(crate) struct BlockingStep {
    /// The internal key of the workflow.
    pub(crate) key: WorkflowKey,
    /// The step's position.
    pub(crate) position: Position,
    /// The workflow's id.
    pub(crate) id: String,
    /// The name of the workflow function.
    pub(crate) workflow: &'static str,
    /// The step's name.
    pub(crate) step: &'static str,
    /// When the step began.
    pub(crate) since: Instant,
}

impl BlockingSteps {
    /// At most `most` of them run at once.
    pub(crate) fn new(most: usize) -> Self {
        Self { threads: StepThreads::new(most), state: Mutex::default(), ended: Notify::new() }
    }

    /// Adds a step, until the guard is dropped.
    pub(crate) fn enter(&self, step: BlockingStep) -> BlockingStepGuard<'_> {
        let mut state = lock(&self.state);
        state.last_number += 1;
        let number = state.last_number;
        state.running.insert(number, step);
        BlockingStepGuard { steps: self, number }
    }

    /// All blocking steps that run now.
    pub(crate) fn all(&self) -> Vec<BlockingStep> {
        lock(&self.state).running.values().cloned().collect()
    }

    /// Whether an earlier attempt of this step still runs, of this run of the workflow or of one before it.
    pub(crate) fn is_running_at(&self, key: WorkflowKey, position: &Position) -> bool {
        lock(&self.state).running.values().any(|it| it.key == key && it.position == *position)
    }

    /// Waits until no attempt of this step runs.
    pub(crate) async fn wait_until_free(&self, key: WorkflowKey, position: &Position) {
        self.wait_until(|| !self.is_running_at(key, position)).await;
    }

    /// Waits until no blocking step runs.
    pub(crate) async fn wait_until_empty(&self) {
        self.wait_until(|| lock(&self.state).running.is_empty()).await;
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        loop {
            // Created before the list is read, so that an end between the two is not missed.
            let ended = self.ended.notified();
            if condition() {
                return;
            }
            ended.await;
        }
    }
}

/// Removes the step from the list when it is dropped.
#[derive(Debug)]
pub(crate) struct BlockingStepGuard<'a> {
    steps: &'a BlockingSteps,
    number: u64,
}

impl Drop for BlockingStepGuard<'_> {
    fn drop(&mut self) {
        lock(&self.steps.state).running.remove(&self.number);
        self.steps.ended.notify_waiters();
    }
}
