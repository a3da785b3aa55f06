//! Blocking steps, which run on threads of their own. They can be asked to stop, but not be stopped.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::types::keys::WorkflowKey;
use crate::types::sync::lock;

/// The blocking steps that run now.
#[derive(Debug, Default)]
pub(crate) struct BlockingSteps {
    state: Mutex<OccupiedThreads>,
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
    }
}
