//! What a shutdown has to say.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::engine::teardown::ShutdownReason;
use crate::store::ReleasedWorkflows;

/// What a shutdown did. [`Display`](std::fmt::Display) is one readable paragraph.
///
/// The lists hold a thousand entries at most; the totals beside them count all.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How far it came.
    pub outcome: ShutdownOutcome,
    /// Why it was asked for.
    pub reason: ShutdownReason,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took in all.
    pub elapsed: Duration,
    /// The phases in their order.
    pub phases: Vec<PhaseReport>,
    /// How many workflows came to their end while it went on, by themselves or because somebody
    /// cancelled them.
    pub completed: u64,
    /// Workflows that were suspended between two operations: they go on elsewhere, or after the restart.
    pub suspended: Vec<Suspended>,
    /// How many those are in all.
    pub suspended_total: usize,
    /// Workflows whose running step was dropped: the step runs again.
    pub killed: Vec<Killed>,
    /// How many those are in all.
    pub killed_total: usize,
    /// What did not let go: a body or a step that blocks its thread. These workflows are not handed
    /// over, because they may still be doing something; others take them when the lease has run out.
    pub stuck: Vec<Stuck>,
    /// How many those are in all.
    pub stuck_total: usize,
    /// How many workflows were taken from queues while the shutdown began, and given back.
    pub returned_claims: u64,
    /// What was handed over, or why it could not be.
    pub released: Result<ReleasedWorkflows, String>,
    /// The engine's own tasks, and how they ended.
    pub background: Vec<TaskReport>,
    /// The engine's connections to its database. Pools that the builder was given are not among them:
    /// they are the application's, and stay open.
    pub pools: Vec<PoolReport>,
    /// Panics on the way: in destructors of workflows, in tasks of the engine, in the shutdown itself.
    pub panics: Vec<String>,
}

/// How far a shutdown came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShutdownOutcome {
    /// It was asked for, and the caller could not wait for it: it was a workflow, which the shutdown
    /// waits for, or its patience ran out.
    Requested,
    /// It was carried out.
    Closed,
    /// Its task died, because the tokio runtime that it ran on was shut down before it. Nothing is lost:
    /// the next launch recovers what was running. The report says what was known then.
    Failed,
}

/// A workflow that was suspended between two operations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspended {
    /// Its id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// What it was doing, if it was doing something.
    pub at: Option<String>,
    /// How many of its operations are recorded.
    pub steps_done: u32,
    /// Whether it was handed over. Otherwise it waits for this executor's restart, or for its lease to run out.
    pub released: bool,
}

/// A workflow whose running step was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Killed {
    /// Its id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// What it was doing.
    pub at: Option<String>,
    /// How long the step had been running.
    pub running_for: Duration,
}

/// Something that did not let go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// The workflow's id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// What cannot be dropped.
    pub kind: StuckKind,
    /// What it is doing; `None` for code between two operations, such as a destructor.
    pub at: Option<String>,
    /// How long the step has been running; zero if it is none.
    pub running_for: Duration,
}

/// What cannot be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StuckKind {
    /// A task that blocks a thread of the runtime: a long computation, a blocking call in async code.
    Task,
    /// A step that is no async function, on a thread that tokio keeps for blocking. The process does
    /// not end by returning from `main` while it runs; `std::process::exit` does not wait for it.
    BlockingThread,
}

/// A task of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskReport {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// How long it ran.
    pub ran_for: Duration,
}

/// How a task of the engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOutcome {
    /// By itself.
    Ended,
    /// It was dropped, because its time was up.
    Dropped,
    /// By a panic, with this message.
    Panicked(String),
    /// It has not ended.
    Running,
}

/// Connections of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolReport {
    /// What they are for.
    pub name: &'static str,
    /// Whether all of them are closed.
    pub closed: bool,
    /// How many somebody still holds: where there are any, idle ones of the same pool stay open with them.
    pub outstanding: usize,
}

/// One phase of a shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseReport {
    /// Its name.
    pub phase: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether its budget ran out.
    pub timed_out: bool,
    /// Whether it panicked; the next ones were carried out all the same.
    pub panicked: bool,
}

/// How many entries a list of a report has at most.
pub(super) const MOST_LISTED: usize = 1_000;

impl ShutdownReport {
    /// The report of a shutdown that nothing is known of but this.
    pub(super) fn of(state: ShutdownOutcome, reason: ShutdownReason) -> Self {
        Self {
            outcome: state,
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
            released: Ok(ReleasedWorkflows::default()),
            background: Vec::new(),
            pools: Vec::new(),
            panics: Vec::new(),
        }
    }

    /// Whether everything went by itself: nothing was killed, stuck or left open, and what was left
    /// was handed over. Suspended workflows are fine.
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

    /// 0 if the shutdown was [clean](Self::is_clean), else 1.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        i32::from(!self.is_clean())
    }

    /// Whether the engine's connections were all closed in time.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pools.iter().all(|it| it.closed)
    }

    /// The names of the engine's own tasks that did not end by themselves.
    #[must_use]
    pub fn unfinished_tasks(&self) -> Vec<&'static str> {
        self.background.iter().filter(|it| it.outcome != TaskOutcome::Ended).map(|it| it.name).collect()
    }
}
