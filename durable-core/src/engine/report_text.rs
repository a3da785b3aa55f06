//! A report as one readable paragraph.

use std::fmt;

use super::report::{ShutdownReport, ShutdownState, StuckKind};

/// How many of a list are named.
const NAMED: usize = 10;

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            ShutdownState::Requested => return write!(f, "the shutdown is requested ({})", self.reason),
            ShutdownState::Failed => f.write_str("the shutdown failed")?,
            ShutdownState::Closed => f.write_str("shut down")?,
        }
        write!(
            f,
            " in {:.1?} ({}): {} completed, {} suspended, {} killed, {} stuck",
            self.elapsed, self.reason, self.completed, self.suspended_total, self.killed_total, self.stuck_total
        )?;
        let start = "its start";
        for it in self.killed.iter().take(NAMED) {
            let at = it.at.as_deref().unwrap_or(start);
            write!(f, "; killed: {} {:?} at {at} after {:.1?}", it.name, it.id, it.running_for)?;
        }
        for it in self.stuck.iter().take(NAMED) {
            let at = it.at.as_deref().unwrap_or(start);
            let where_to = match it.kind {
                StuckKind::Task => "blocks a thread of the runtime",
                StuckKind::BlockingThread => "is on a thread of its own",
            };
            write!(f, "; stuck: {} {:?} at {at} after {:.1?}, which {where_to}", it.name, it.id, it.running_for)?;
        }
        let more = self.killed_total.saturating_sub(NAMED) + self.stuck_total.saturating_sub(NAMED);
        if more > 0 {
            write!(f, "; and {more} more")?;
        }
        if self.returned_claims > 0 {
            write!(f, "; {} given back to their queues unbegun", self.returned_claims)?;
        }
        match &self.released {
            Ok(released) => write!(f, "; handed over {}", released.direct + released.queued)?,
            Err(error) => write!(f, "; could not hand over: {error}")?,
        }
        let tasks = self.unfinished_tasks();
        if !tasks.is_empty() {
            write!(f, "; tasks that did not end by themselves: {}", tasks.join(", "))?;
        }
        for pool in self.pools.iter().filter(|it| !it.closed) {
            write!(
                f,
                "; the connections for {} were not closed in time, {} of them are in use",
                pool.name, pool.outstanding
            )?;
        }
        for panic in self.panics.iter().take(NAMED) {
            write!(f, "; a panic: {panic}")?;
        }
        Ok(())
    }
}
