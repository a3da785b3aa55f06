//! A report as one readable paragraph.

use std::fmt;
use std::time::Duration;

use crate::engine::report::{ShutdownOutcome, ShutdownReport, StuckKind};

/// How many of a list are named.
const NAMED: usize = 10;

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            ShutdownOutcome::Requested => return write!(f, "the shutdown is requested ({})", self.reason),
            ShutdownOutcome::Failed => f.write_str("the shutdown was cut off")?,
            ShutdownOutcome::Closed => f.write_str("shut down")?,
        }
        write!(
            f,
            " in {:.1?} ({}): {} completed, {} suspended, {} killed, {} stuck",
            self.elapsed, self.reason, self.completed, self.suspended_total, self.killed_total, self.stuck_total
        )?;
        if self.outcome == ShutdownOutcome::Failed {
            f.write_str("; the tokio runtime that it ran on ended before it, or it panicked: nothing is lost, the next launch recovers what was running")?;
        }
        for it in self.killed.iter().take(NAMED) {
            let doing = ActivityText(it.at.as_deref(), it.running_for);
            write!(f, "; killed: {} {:?} {doing}", it.name, it.id)?;
        }
        for it in self.stuck.iter().take(NAMED) {
            let doing = ActivityText(it.at.as_deref(), it.running_for);
            let where_to = match it.kind {
                StuckKind::Task => "blocks a thread of the runtime",
                StuckKind::BlockingThread => "is on a thread of its own",
            };
            write!(f, "; stuck: {} {:?} {doing}, which {where_to}", it.name, it.id)?;
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
            match pool.outstanding {
                0 => write!(f, "; there was no time left to close the connections for {}", pool.name)?,
                held => {
                    write!(
                        f,
                        "; the connections for {} were not closed in time, {held} of them are in use",
                        pool.name
                    )?;
                }
            }
        }
        for panic in self.panics.iter().take(NAMED) {
            write!(f, "; a panic: {panic}")?;
        }
        Ok(())
    }
}

/// What something was doing, and for how long if that was a step.
struct ActivityText<'a>(Option<&'a str>, Duration);

impl fmt::Display for ActivityText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(at), Duration::ZERO) => write!(f, "at {at}"),
            Self(Some(at), running_for) => write!(f, "at {at} after {running_for:.1?}"),
            Self(None, _) => f.write_str("in code of its own, outside of any step"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::report::PoolReport;
    use crate::engine::teardown::ShutdownReason;

    #[test]
    fn connections_that_nobody_holds_were_not_closed_for_want_of_time() {
        let mut report = ShutdownReport::of(ShutdownOutcome::Closed, ShutdownReason::Requested);
        let pool = |name, outstanding| PoolReport { name, closed: false, outstanding };
        report.pools = vec![pool("reading", 0), pool("work", 2)];
        let text = report.to_string();
        assert!(text.contains("no time left to close the connections for reading"), "{text}");
        assert!(text.contains("the connections for work were not closed in time, 2 of them are in use"), "{text}");
    }
}
