//! What a shutdown has to say.

use std::fmt;
use std::time::Duration;

use super::teardown::ShutdownReason;
use crate::store::Released;

/// What a shutdown did. [`Display`](fmt::Display) is one readable paragraph.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How far it came.
    pub state: ShutdownState,
    /// Why it was asked for.
    pub reason: ShutdownReason,
    /// How long it took in all.
    pub elapsed: Duration,
    /// The phases in their order.
    pub phases: Vec<PhaseReport>,
    /// How many workflows came to their end while it went on.
    pub completed: u64,
    /// Workflows that were suspended between two operations: they go on elsewhere, or after the restart.
    pub suspended: Vec<Suspended>,
    /// Workflows whose running step was dropped: the step runs again.
    pub killed: Vec<Suspended>,
    /// Workflows whose body did not let go: it blocks its thread. They are not handed over, because
    /// they may still be doing something.
    pub stuck: Vec<Suspended>,
    /// What was handed over, or why it could not be.
    pub released: Result<Released, String>,
    /// The engine's own tasks that did not end by themselves.
    pub unfinished_tasks: Vec<&'static str>,
    /// Whether the database's connections were all closed in time.
    pub closed: bool,
}

/// How far a shutdown came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShutdownState {
    /// It was asked for, and the caller could not wait for it: it was a workflow, which the shutdown
    /// waits for, or its patience ran out.
    Requested,
    /// It was carried out.
    Closed,
    /// Its task died, because the tokio runtime that it ran on was shut down before it. Nothing is lost:
    /// the next launch recovers what was running.
    Failed,
}

/// A workflow that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspended {
    /// Its id.
    pub id: String,
    /// The name of its function.
    pub name: String,
    /// What it was doing, if it was doing something.
    pub at: Option<String>,
}

/// One phase of a shutdown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PhaseReport {
    /// Its name.
    pub phase: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether its budget ran out.
    pub timed_out: bool,
}

impl ShutdownReport {
    pub(super) fn of(state: ShutdownState, reason: ShutdownReason) -> Self {
        Self {
            state,
            reason,
            elapsed: Duration::ZERO,
            phases: Vec::new(),
            completed: 0,
            suspended: Vec::new(),
            killed: Vec::new(),
            stuck: Vec::new(),
            released: Ok(Released::default()),
            unfinished_tasks: Vec::new(),
            closed: false,
        }
    }

    /// Whether everything went by itself: nothing was killed, stuck or left open. Suspended
    /// workflows are fine.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.state == ShutdownState::Closed
            && self.killed.is_empty()
            && self.stuck.is_empty()
            && self.released.is_ok()
            && self.unfinished_tasks.is_empty()
            && self.closed
    }

    /// 0 if the shutdown was [clean](Self::is_clean), else 1.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        i32::from(!self.is_clean())
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shut down in {:.1?}: {} completed, {} suspended, {} killed, {} stuck",
            self.elapsed,
            self.completed,
            self.suspended.len(),
            self.killed.len(),
            self.stuck.len()
        )?;
        for (what, workflows) in [("killed", &self.killed), ("stuck", &self.stuck)] {
            for it in workflows.iter().take(10) {
                write!(f, "; {what}: {} {:?} at {}", it.name, it.id, it.at.as_deref().unwrap_or("its start"))?;
            }
        }
        match &self.released {
            Ok(released) => write!(f, "; handed over {}", released.direct + released.queued)?,
            Err(error) => write!(f, "; could not hand over: {error}")?,
        }
        if !self.unfinished_tasks.is_empty() {
            write!(f, "; tasks that did not end: {}", self.unfinished_tasks.join(", "))?;
        }
        if !self.closed {
            f.write_str("; the database was not closed in time")?;
        }
        Ok(())
    }
}
