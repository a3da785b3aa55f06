//! What the engine measures. Each function is called at the one place where the thing happens, and records nothing
//! unless the feature `metrics` is on. Every label is one of a bounded set: names that the program has declared, words
//! of the engine, and [`OTHER`] for the rest. Never an id.

#![cfg_attr(
    not(feature = "metrics"),
    allow(unused_variables, clippy::needless_pass_by_value, reason = "nothing is recorded")
)]

#[cfg(feature = "metrics")]
pub(crate) mod metric_list;

use std::time::Duration;
#[cfg(feature = "metrics")]
use std::time::Instant;

#[cfg(feature = "metrics")]
use self::metric_list as list;
use crate::types::error::{Error, ErrorKind};
use crate::types::status::Status;

/// The label of a name that the program has not declared.
pub(crate) const OTHER: &str = "other";

/// The labels of a workflow: its name, and its queue, or the empty text without one.
pub(crate) type WorkflowLabels = [&'static str; 2];

/// Records a metric with the feature `metrics`, and is nothing without it.
macro_rules! record {
    ($($recorded:tt)*) => {
        #[cfg(feature = "metrics")]
        {
            $($recorded)*
        }
    };
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(#[cfg(feature = "metrics")] Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            Instant::now(),
        )
    }
}

/// A run of a workflow begins in this process. `waited` is how long it was on its queue.
pub(crate) fn run_begins(
    labels: impl FnOnce() -> WorkflowLabels,
    is_first: bool,
    waited: impl FnOnce() -> Option<Duration>,
) {
    record! {
        let labels = labels();
        if !is_first {
            return list::WORKFLOWS_RECOVERED.add(1, &labels);
        }
        list::WORKFLOWS_STARTED.add(1, &labels);
        if let ([_, queue], Some(waited)) = (labels, waited()) {
            list::DEQUEUE_LATENCY.observe(waited, &[queue]);
        }
    }
}

/// A workflow has reached this status.
pub(crate) fn workflow_ended(labels: impl FnOnce() -> WorkflowLabels, status: Status) {
    record! {
        let metric = match status {
            Status::Success => &list::WORKFLOWS_COMPLETED,
            Status::Error => &list::WORKFLOWS_FAILED,
            Status::Cancelled => &list::WORKFLOWS_CANCELLED,
            Status::Parked => &list::WORKFLOWS_PARKED,
            Status::Pending | Status::Enqueued | Status::Delayed => return,
        };
        metric.add(1, &labels());
    }
}

/// How an attempt, or a whole step, came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepOutcome {
    Success,
    Error,
    Panic,
    Timeout,
}

impl StepOutcome {
    /// `error` is one of the engine, if the outcome is no value of the function.
    pub(crate) fn of(failed: bool, error: Option<&Error>) -> Self {
        match error {
            Some(error) if error.is_panic() => Self::Panic,
            Some(error) if error.kind() == ErrorKind::Timeout => Self::Timeout,
            _ if failed => Self::Error,
            _ => Self::Success,
        }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
        }
    }
}

/// An attempt of a step has ended.
pub(crate) fn attempt_ended(name: &'static str, watch: Stopwatch) {
    record! { list::STEP_DURATION.observe(watch.0.elapsed(), &[name]) }
}

/// A step is tried again.
pub(crate) fn step_retried(name: &'static str) {
    record! { list::STEP_RETRIES.add(1, &[name]) }
}

/// A step is recorded. A replayed one is not.
pub(crate) fn step_ended(name: &'static str, outcome: StepOutcome) {
    record! { list::STEPS.add(1, &[name, outcome.as_str()]) }
}

/// Workflows were claimed from a queue.
pub(crate) fn claimed(queue: impl FnOnce() -> &'static str, workflows: usize) {
    record! {
        if workflows > 0 {
            list::QUEUE_CLAIMS.add(workflows as u64, &[queue()]);
        }
    }
}

/// The writer has committed entries.
pub(crate) fn committed(entries: usize, fenced: impl FnOnce() -> usize, watch: Stopwatch) {
    record! {
        list::WRITER_BATCH_SIZE.record(to_float(entries), &[]);
        list::WRITER_COMMIT.observe(watch.0.elapsed(), &[]);
        fenced_out(fenced());
    }
}

/// Writes were refused because another executor has taken over.
pub(crate) fn fenced_out(writes: usize) {
    record! {
        if writes > 0 {
            list::FENCED_WRITES.add(writes as u64, &[]);
        }
    }
}

/// A commit of the writer has failed, and is tried again or given up.
pub(crate) fn commit_failed() {
    record! { list::WRITER_FAILURES.add(1, &[]) }
}

/// A heartbeat was answered, or not.
pub(crate) fn heartbeat(succeeded: bool) {
    record! { list::HEARTBEATS.add(1, &[if succeeded { "success" } else { "error" }]) }
}

/// Another executor took this one for dead.
pub(crate) fn lease_lost() {
    record! { list::LEASES_LOST.add(1, &[]) }
}

/// This executor has fenced out a dead one.
pub(crate) fn took_over() {
    record! { list::TAKEOVERS.add(1, &[]) }
}

/// A recovery has brought workflows.
pub(crate) fn recovered() {
    record! { list::RECOVERIES.add(1, &[]) }
}

/// This process has started a tick of a schedule.
pub(crate) fn tick_started(schedule: impl FnOnce() -> &'static str, late: impl FnOnce() -> Duration) {
    record! { list::SCHEDULE_LATENESS.observe(late(), &[schedule()]) }
}

#[cfg(feature = "metrics")]
#[allow(clippy::cast_precision_loss, reason = "counts that large are not exact in a chart either")]
pub(crate) fn to_float(count: usize) -> f64 {
    count as f64
}
