//! The options of `#[workflow]`.

use std::time::Duration;

use crate::registry::queue::Queue;

/// The options of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowOptions {
    /// How often it is recovered after a crash before it is parked.
    pub max_recoveries: u32,
    /// How long it may run, from when it begins to run for the first time.
    pub timeout: Option<Duration>,
    /// The queue for calls that name none.
    pub queue: Option<&'static Queue>,
    /// The version of its code, which its workflows get in place of the application's.
    pub version: Option<&'static str>,
}

impl WorkflowOptions {
    /// Parked after 100 recoveries, no timeout, started at once, with the version of the application.
    pub const DEFAULT: Self = Self { max_recoveries: 100, timeout: None, queue: None, version: None };
}
