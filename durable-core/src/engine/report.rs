//! The report of a shutdown.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::engine::teardown::ShutdownReason;
use crate::store::ReleasedWorkflows;

/// What a shutdown did. [`Display`](std::fmt::Display) gives one paragraph for the log.
///
/// Each list has at most 1,000 entries; the total beside it counts all.
///
/// In JSON durations are numbers of seconds, times are RFC 3339, and `released` is `{"ok":…}` or
/// `{"error":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether the shutdown was carried out.
    pub outcome: ShutdownOutcome,
    /// Why it was requested.
    pub reason: ShutdownReason,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took in total.
    #[serde(with = "crate::types::seconds")]
    pub elapsed: Duration,
    /// Its phases in order: `quiesce`, `drain`, `abort`, `stop`, `hand-off`, `background`, `close`.
    pub phases: Vec<PhaseReport>,
    /// How many workflows finished meanwhile: they returned, failed or were cancelled.
    pub completed: u64,
    /// Workflows that were suspended between two operations. They continue in another process, or after
    /// the restart.
    pub suspended: Vec<Suspended>,
    /// How many workflows were suspended.
    pub suspended_total: usize,
    /// Workflows whose running step was dropped. The step runs again when the workflow continues.
    pub killed: Vec<Killed>,
    /// How many workflows had their step dropped.
    pub killed_total: usize,
    /// Workflows that could not be dropped because they block a thread. They may still be running, so they
    /// are not released: other executors take them over when the lease expires.
    pub stuck: Vec<Stuck>,
    /// How many workflows could not be dropped.
    pub stuck_total: usize,
    /// How many workflows were claimed from queues while the shutdown began, and returned unstarted.
    pub returned_claims: u64,
    /// How many unfinished workflows were found without a task while the engine ran, and were released. Other
    /// executors, or this one, ran them again.
    pub released_without_task: u64,
    /// How many unfinished workflows were released to other executors, or why that failed.
    #[serde(with = "release_json")]
    pub released: Result<ReleasedWorkflows, String>,
    /// The engine's own tasks, and how they ended.
    pub background: Vec<TaskReport>,
    /// The engine's connection pools. Pools that the builder was given belong to the application: they
    /// stay open and are not listed.
    pub pools: Vec<PoolReport>,
    /// Panics outside of workflow code: in destructors, in the engine's own tasks, in the shutdown itself.
    pub panics: Vec<String>,
}

/// Whether a shutdown was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ShutdownOutcome {
    /// It was requested, and the call returned before its end: the caller was a workflow, which the
    /// shutdown waits for, or the wait of [`shutdown_blocking`](crate::Durable::shutdown_blocking) timed out.
    Requested,
    /// It was carried out, and the engine is closed.
    Closed,
    /// It was interrupted, because the tokio runtime that it ran on was shut down first, or it panicked.
    /// Nothing is lost: the next launch recovers the unfinished workflows. The report has what was known
    /// until then.
    Failed,
}

/// A workflow that was suspended between two operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Suspended {
    /// The workflow's id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// The operation it was in; `None` between two operations.
    pub at: Option<String>,
    /// How many of its operations are recorded.
    pub steps_done: u32,
    /// Whether it was released to other executors. If not, it waits for the restart of this executor, or
    /// until the lease expires.
    pub released: bool,
}

/// A workflow whose running step was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Killed {
    /// The workflow's id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// The step that was dropped.
    pub at: Option<String>,
    /// How long the step had been running.
    #[serde(with = "crate::types::seconds")]
    pub running_for: Duration,
}

/// A workflow that could not be dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stuck {
    /// The workflow's id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// What blocks.
    pub kind: StuckKind,
    /// The operation it is in; `None` for code between two operations, such as a destructor.
    pub at: Option<String>,
    /// How long its step has been running; zero if it is in no step.
    #[serde(with = "crate::types::seconds")]
    pub running_for: Duration,
}

/// What blocks a thread and cannot be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StuckKind {
    /// A task that blocks a worker thread of the runtime: a long computation, or a blocking call in async
    /// code.
    Task,
    /// A step that is not an async function, on one of tokio's threads for blocking calls. While it runs,
    /// returning from `main` does not end the process; `std::process::exit` does.
    BlockingThread,
}

/// One of the engine's own tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskReport {
    /// The task's name.
    pub name: Cow<'static, str>,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// How long it ran.
    #[serde(with = "crate::types::seconds")]
    pub ran_for: Duration,
}

/// How one of the engine's own tasks ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskOutcome {
    /// By itself.
    Ended,
    /// It was aborted when its time was up.
    Dropped,
    /// It panicked, with this message.
    Panicked(String),
    /// It still runs.
    Running,
}

/// One of the engine's connection pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolReport {
    /// What its connections are for.
    pub name: Cow<'static, str>,
    /// Whether all of its connections are closed.
    pub closed: bool,
    /// How many connections are still in use. While any is, idle connections of the pool may stay open too.
    pub outstanding: usize,
}

/// One phase of a shutdown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PhaseReport {
    /// The phase's name.
    pub phase: Cow<'static, str>,
    /// How long it took.
    #[serde(with = "crate::types::seconds")]
    pub elapsed: Duration,
    /// Whether it ended because its time was up.
    pub timed_out: bool,
    /// Whether it panicked. The later phases run all the same.
    pub panicked: bool,
}

/// The most entries of each list in a report.
pub(super) const MAX_LISTED: usize = 1_000;

impl ShutdownReport {
    /// A report of which nothing else is known.
    pub(super) fn of(outcome: ShutdownOutcome, reason: ShutdownReason) -> Self {
        Self {
            outcome,
            reason,
            started_at: Utc::now(),
            elapsed: Duration::ZERO,
            phases: Vec::new(),
            completed: 0,
            suspended: Vec::new(),
            suspended_total: 0,
            killed: Vec::new(),
            killed_total: 0,
            stuck: Vec::new(),
            stuck_total: 0,
            returned_claims: 0,
            released_without_task: 0,
            released: Ok(ReleasedWorkflows::default()),
            background: Vec::new(),
            pools: Vec::new(),
            panics: Vec::new(),
        }
    }

    /// Whether the shutdown went without loss: no step was killed, nothing is stuck or left open, and
    /// unfinished workflows were released if they were to be. Suspended workflows are fine.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.outcome == ShutdownOutcome::Closed
            && self.killed_total == 0
            && self.stuck_total == 0
            && self.released.is_ok()
            && self.unfinished_tasks().is_empty()
            && self.is_closed()
            && !self.phases.iter().any(|it| it.panicked)
    }

    /// 0 if the shutdown was [clean](Self::is_clean), and 1 if not.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        i32::from(!self.is_clean())
    }

    /// Whether all connections of the engine were closed in time.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pools.iter().all(|it| it.closed)
    }

    /// The names of the engine's own tasks that did not end by themselves.
    #[must_use]
    pub fn unfinished_tasks(&self) -> Vec<&str> {
        self.background.iter().filter(|it| it.outcome != TaskOutcome::Ended).map(|it| &*it.name).collect()
    }
}

/// `released` in JSON: `{"ok":{"direct":2,"queued":1}}` or `{"error":"…"}`.
mod release_json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::store::ReleasedWorkflows;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Release {
        Ok(ReleasedWorkflows),
        Error(String),
    }

    pub(super) fn serialize<S: Serializer>(
        released: &Result<ReleasedWorkflows, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        released.clone().map_or_else(Release::Error, Release::Ok).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<ReleasedWorkflows, String>, D::Error> {
        Ok(match Release::deserialize(deserializer)? {
            Release::Ok(released) => Ok(released),
            Release::Error(error) => Err(error),
        })
    }
}
