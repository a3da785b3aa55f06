//! What a workflow is told with options.

use std::time::Duration;

use crate::registry::queue::Queue;

/// The options of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowOptions {
    /// How often it is recovered after a crash before it is parked.
    pub max_recoveries: u32,
    /// How long it may run, from when it begins to run for the first time.
    pub timeout: Option<Duration>,
    /// Where it waits for its turn when a call names no queue.
    pub queue: Option<&'static Queue>,
}

impl WorkflowOptions {
    /// Parked after 100 recoveries, no timeout, started at once.
    pub const DEFAULT: Self = Self { max_recoveries: 100, timeout: None, queue: None };
}
