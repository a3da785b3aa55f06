//! Steps that run on threads of their own, because they block: they can be asked to stop, and not be stopped.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::types::keys::WorkflowKey;
use crate::types::sync::lock;

/// The steps that are on threads of their own just now.
#[derive(Debug, Default)]
pub(crate) struct BlockingSteps {
    state: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    last_number: u64,
    running: BTreeMap<u64, BlockingStep>,
}

/// A thread that a step occupies.
#[derive(Debug, Clone)]
pub(crate) struct BlockingStep {
    /// The internal key of the workflow.
    pub(crate) key: WorkflowKey,
    /// Its id.
    pub(crate) id: String,
    /// The name of its function.
    pub(crate) workflow: &'static str,
    /// The step's name.
    pub(crate) step: &'static str,
    /// Since when.
    pub(crate) since: Instant,
}

impl BlockingSteps {
    /// Notes that a step is on this thread, until the guard is dropped.
    pub(crate) fn enter(&self, occupied: BlockingStep) -> BlockingStepGuard<'_> {
        let mut state = lock(&self.state);
        state.last_number += 1;
        let number = state.last_number;
        state.running.insert(number, occupied);
        BlockingStepGuard { threads: self, number }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<BlockingStep> {
        lock(&self.state).running.values().cloned().collect()
    }
}

/// A step is on a thread while this lives.
#[derive(Debug)]
pub(crate) struct BlockingStepGuard<'a> {
    threads: &'a BlockingSteps,
    number: u64,
}

impl Drop for BlockingStepGuard<'_> {
    fn drop(&mut self) {
        lock(&self.threads.state).running.remove(&self.number);
    }
}
