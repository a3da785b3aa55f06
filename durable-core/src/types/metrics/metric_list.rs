//! Every metric, declared once: its name, kind, unit, labels and what it means.

use std::time::Duration;

use metrics::{Label, Unit};

/// A metric of the engine.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, as in Prometheus. A histogram has `_bucket`, `_sum` and `_count` behind it there.
    pub name: &'static str,
    /// What is counted.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    /// The upper bounds of the buckets that fit a histogram; empty for the other kinds.
    pub buckets: &'static [f64],
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, while the process lives.
    Counter,
    /// The present value, as of the last scrape.
    Gauge,
    /// A distribution.
    Histogram,
}

/// From a millisecond to ten minutes.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];
/// How many entries are in a commit.
const ENTRIES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

macro_rules! metric_list {
    ($($const:ident = $kind:ident $name:literal [$($label:literal),*] $buckets:expr, $help:literal;)+) => {
        $(pub(crate) const $const: Metric = Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
            buckets: $buckets,
        };)+

        /// Every metric that the engine records.
        pub const METRICS: &[Metric] = &[$($const),+];
    };
}

metric_list! {
    WORKFLOWS_STARTED = Counter "durable_workflows_started_total" ["name", "queue"] &[],
        "Workflows whose first run began in this process. Without a queue the label is empty.";
    WORKFLOWS_COMPLETED = Counter "durable_workflows_completed_total" ["name", "queue"] &[],
        "Workflows that ended with SUCCESS.";
    WORKFLOWS_FAILED = Counter "durable_workflows_failed_total" ["name", "queue"] &[],
        "Workflows that ended with ERROR.";
    WORKFLOWS_CANCELLED = Counter "durable_workflows_cancelled_total" ["name", "queue"] &[],
        "Workflows that were cancelled: by this process, or because their time was up.";
    WORKFLOWS_PARKED = Counter "durable_workflows_parked_total" ["name", "queue"] &[],
        "Workflows that were parked, and need a person.";
    WORKFLOWS_RECOVERED = Counter "durable_workflows_recovered_total" ["name", "queue"] &[],
        "Later runs that began in this process: after a crash, a shutdown or a resume.";
    WORKFLOWS_RUNNING = Gauge "durable_workflows_running" [] &[],
        "Workflows that run or wait in this process.";
    WORKFLOWS_NOW_PARKED = Gauge "durable_workflows_parked" ["name"] &[],
        "Workflows that are PARKED now. At most 10,000 are counted.";
    WORKFLOWS_UNKNOWN = Gauge "durable_workflows_unknown" [] &[],
        "Workflows that wait for a process and call functions that this program does not have. At most 20,000 of each status are looked at.";
    STEPS = Counter "durable_steps_total" ["name", "outcome"] &[],
        "Steps and transactions that were recorded, by outcome: success, error, panic or timeout. A replay counts nothing.";
    STEP_RETRIES = Counter "durable_step_retries_total" ["name"] &[],
        "Attempts of steps and transactions after the first one.";
    STEP_DURATION = Histogram "durable_step_duration_seconds" ["name"] SECONDS,
        "How long one attempt of a step or transaction took.";
    QUEUE_DEPTH = Gauge "durable_queue_depth" ["queue"] &[],
        "Workflows that wait on the queue and are due. At most 10,000 are counted; of delayed ones that are not enqueued yet at most 10,000 of all queues.";
    QUEUE_OLDEST_AGE = Gauge "durable_queue_oldest_age_seconds" ["queue"] &[],
        "How long the workflow that is next in its priority has waited; of all priorities the longest.";
    QUEUE_RUNNING = Gauge "durable_queue_running" ["queue"] &[],
        "Workflows of the queue that run, in all processes together. At most 10,000 are counted.";
    QUEUE_PAUSED = Gauge "durable_queue_paused" ["queue"] &[],
        "1 while the queue is paused.";
    QUEUE_CLAIMS = Counter "durable_queue_claims_total" ["queue"] &[],
        "Workflows that this process took from the queue.";
    DEQUEUE_LATENCY = Histogram "durable_dequeue_latency_seconds" ["queue"] SECONDS,
        "The time from when a queued workflow was enqueued, or due, to the start of its first run.";
    WRITER_BATCH_SIZE = Histogram "durable_writer_batch_entries" [] ENTRIES,
        "How many entries the writer stored in one commit.";
    WRITER_COMMIT = Histogram "durable_writer_commit_seconds" [] SECONDS,
        "How long a commit of the writer took.";
    WRITER_FAILURES = Counter "durable_writer_failures_total" [] &[],
        "Commits of the writer that failed. Those that may succeed later are tried again.";
    POOL_CONNECTIONS = Gauge "durable_pool_connections" ["pool", "state"] &[],
        "Connections to the database that are open, by state: idle or in_use.";
    POOL_SIZE = Gauge "durable_pool_size" ["pool"] &[],
        "How many connections the pool may have open.";
    DATABASE_UP = Gauge "durable_database_up" [] &[],
        "1 if the database answered the last scrape in time. Otherwise the gauges that are read from it are those of an earlier scrape.";
    EXECUTORS = Gauge "durable_executors" ["status"] &[],
        "Executors in the database, by status: live, leaving, expired or dead.";
    LEASE_LENGTH = Gauge "durable_lease_seconds" [] &[],
        "How long this executor counts as alive after a heartbeat.";
    HEARTBEAT_AGE = Gauge "durable_heartbeat_age_seconds" [] &[],
        "How long ago the last heartbeat was sent that the database confirmed.";
    HEARTBEATS = Counter "durable_heartbeats_total" ["outcome"] &[],
        "Heartbeats of this executor, by outcome: success or error.";
    LEASES_LOST = Counter "durable_leases_lost_total" [] &[],
        "How often another executor took this one for dead.";
    TAKEOVERS = Counter "durable_takeovers_total" [] &[],
        "Dead executors that this one took over from.";
    RECOVERIES = Counter "durable_recoveries_total" [] &[],
        "Recoveries that brought workflows to this process.";
    FENCED_WRITES = Counter "durable_fenced_writes_total" [] &[],
        "Writes that were refused because another executor had taken over.";
    SCHEDULE_LATENESS = Histogram "durable_schedule_lateness_seconds" ["schedule"] SECONDS,
        "How long after its time this process started a tick.";
    MESSAGES_WAITING = Gauge "durable_messages_waiting" [] &[],
        "Messages to workflows that have not ended, and have not received them. The newest 10,000 messages that were not received are looked at.";
}

impl Metric {
    /// Counts more.
    pub(crate) fn add(&self, many: u64, values: &[&'static str]) {
        metrics::counter!(self.name, self.labeled(values)).increment(many);
    }

    /// Sets the present value.
    pub(crate) fn set(&self, value: f64, values: &[&'static str]) {
        metrics::gauge!(self.name, self.labeled(values)).set(value);
    }

    /// Records a time.
    pub(crate) fn observe(&self, time: Duration, values: &[&'static str]) {
        self.record(time.as_secs_f64(), values);
    }

    /// Records a value of a distribution.
    pub(crate) fn record(&self, value: f64, values: &[&'static str]) {
        metrics::histogram!(self.name, self.labeled(values)).record(value);
    }

    fn labeled(&self, values: &[&'static str]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "{} has a value for each label", self.name);
        self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, *value)).collect()
    }

    fn unit(&self) -> Option<Unit> {
        self.name.ends_with("_seconds").then_some(Unit::Seconds)
    }
}

/// Gives the recorder of this process the meaning of every metric, and begins the counters without labels at 0: Prometheus
/// sees no increase in the first value of a counter. A launch does that for the recorder that is installed by then.
pub fn describe_metrics() {
    for metric in METRICS {
        let unit = metric.unit().unwrap_or(Unit::Count);
        match metric.kind {
            MetricKind::Counter => {
                metrics::describe_counter!(metric.name, unit, metric.help);
                if metric.labels.is_empty() {
                    metric.add(0, &[]);
                }
            }
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, unit, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_rules_of_prometheus() {
        let mut names: Vec<_> = METRICS.iter().map(|it| it.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.name.starts_with("durable_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == MetricKind::Counter, "{}", metric.name);
            assert_eq!(metric.buckets.is_empty(), metric.kind != MetricKind::Histogram, "{}", metric.name);
            assert!(metric.buckets.is_sorted() && metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
