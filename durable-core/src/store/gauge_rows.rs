//! What is read from the database for gauges, when a scrape asks.

use std::collections::BTreeMap;

use crate::types::time::Timestamp;

/// What the database has, for gauges. Every count stops at a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GaugeValues {
    /// The queues that were asked for, as far as they are declared.
    pub queues: Vec<QueueGauge>,
    /// How many executors there are in each state.
    pub executors: BTreeMap<String, u64>,
    /// How many workflows of each name are PARKED.
    pub parked: BTreeMap<String, u64>,
    /// How many messages wait for workflows that have not ended.
    pub messages: u64,
}

/// How much a queue has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueGauge {
    /// Its name.
    pub name: String,
    /// How many workflows are ENQUEUED, or DELAYED and due.
    pub waiting: u64,
    /// How many run.
    pub running: u64,
    /// Since when the workflow waits that is next in its priority; of all priorities the earliest.
    pub oldest: Option<Timestamp>,
    /// Whether it is paused.
    pub paused: bool,
}
