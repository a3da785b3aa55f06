//! The report of a shutdown as one paragraph.

use std::fmt;
use std::time::Duration;

use crate::engine::report::{ShutdownOutcome, ShutdownReport, StuckKind};

/// How many entries of a list are named.
const MAX_NAMED: usize = 10;

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            ShutdownOutcome::Requested => {
                return write!(f, "shutdown requested ({}); this report was made before its end", self.reason);
            }
            ShutdownOutcome::Failed => f.write_str("shutdown interrupted after")?,
            ShutdownOutcome::Closed => f.write_str("shut down in")?,
        }
        write!(
            f,
            " {:.1?} ({}): {} completed, {} suspended, {} killed, {} stuck",
            self.elapsed, self.reason, self.completed, self.suspended_total, self.killed_total, self.stuck_total
        )?;
        if self.outcome == ShutdownOutcome::Failed {
            f.write_str("; the tokio runtime was shut down first, or the shutdown panicked; nothing is lost, the next launch recovers the unfinished workflows")?;
        }
        for it in self.killed.iter().take(MAX_NAMED) {
            let activity = ActivityText(it.at.as_deref(), it.running_for);
            write!(f, "; killed: {} {:?} {activity}", it.name, it.id)?;
        }
        for it in self.stuck.iter().take(MAX_NAMED) {
            let activity = ActivityText(it.at.as_deref(), it.running_for);
            let blocks = match it.kind {
                StuckKind::Task => "blocks a thread of the runtime",
                StuckKind::BlockingThread => "blocks a thread of its own",
            };
            write!(f, "; stuck: {} {:?} {activity}, which {blocks}", it.name, it.id)?;
        }
        let more = self.killed_total.saturating_sub(MAX_NAMED) + self.stuck_total.saturating_sub(MAX_NAMED);
        if more > 0 {
            write!(f, "; and {more} more")?;
        }
        if self.released_without_task > 0 {
            write!(f, "; {} had no task while it ran and were released", self.released_without_task)?;
        }
        if self.returned_claims > 0 {
            write!(f, "; {} returned to their queues unstarted", self.returned_claims)?;
        }
        match &self.released {
            Ok(released) => write!(f, "; {} handed over to other executors", released.direct + released.queued)?,
            Err(error) => write!(f, "; hand-off failed: {error}")?,
        }
        let tasks = self.unfinished_tasks();
        if !tasks.is_empty() {
            write!(f, "; tasks that did not end by themselves: {}", tasks.join(", "))?;
        }
        for pool in self.pools.iter().filter(|it| !it.closed) {
            match pool.outstanding {
                0 => write!(f, "; no time was left to close the connections for {}", pool.name)?,
                in_use => {
                    write!(f, "; the connections for {} were not closed in time, {in_use} still in use", pool.name)?;
                }
            }
        }
        for panic in self.panics.iter().take(MAX_NAMED) {
            write!(f, "; panic: {panic}")?;
        }
        Ok(())
    }
}

/// An operation, and how long it has been running if it is a step.
struct ActivityText<'a>(Option<&'a str>, Duration);

impl fmt::Display for ActivityText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(at), Duration::ZERO) => write!(f, "at {at}"),
            Self(Some(at), running_for) => write!(f, "at {at} after {running_for:.1?}"),
            Self(None, _) => f.write_str("in its own code, outside of any step"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::report::{Killed, PoolReport, Stuck};
    use crate::engine::teardown::ShutdownReason;
    use crate::store::ReleasedWorkflows;

    fn report() -> ShutdownReport {
        let mut report = ShutdownReport::of(ShutdownOutcome::Closed, ShutdownReason::Signal(15));
        report.elapsed = Duration::from_millis(1_540);
        report
    }

    #[test]
    fn a_report_is_one_sentence_of_counts_and_then_the_details() {
        let mut report = report();
        (report.completed, report.suspended_total, report.killed_total, report.stuck_total) = (3, 2, 1, 1);
        let (id, name) = ("w-1".to_owned(), "checkout".to_owned());
        let at = Some("step `charge`".to_owned());
        report.killed = vec![Killed { id: id.clone(), name: name.clone(), at, running_for: Duration::from_secs(4) }];
        let (kind, running_for) = (StuckKind::Task, Duration::ZERO);
        report.stuck = vec![Stuck { id, name, kind, at: None, running_for }];
        report.returned_claims = 5;
        report.released_without_task = 2;
        report.released = Ok(ReleasedWorkflows { direct: 2, queued: 1 });
        assert_eq!(
            report.to_string(),
            "shut down in 1.5s (signal 15): 3 completed, 2 suspended, 1 killed, 1 stuck; \
             killed: checkout \"w-1\" at step `charge` after 4.0s; \
             stuck: checkout \"w-1\" in its own code, outside of any step, which blocks a thread of the runtime; \
             2 had no task while it ran and were released; 5 returned to their queues unstarted; 3 handed over to other executors"
        );
    }

    #[test]
    fn long_lists_are_counted_after_the_first_ten() {
        let mut report = report();
        let killed = |number: usize| Killed {
            id: format!("w-{number}"),
            name: "checkout".to_owned(),
            at: None,
            running_for: Duration::ZERO,
        };
        report.killed = (0..12).map(killed).collect();
        report.killed_total = 12;
        let text = report.to_string();
        assert!(text.contains("\"w-9\"") && !text.contains("\"w-10\"") && text.contains("; and 2 more;"), "{text}");
    }

    #[test]
    fn a_report_distinguishes_connections_in_use_from_those_there_was_no_time_for() {
        let mut report = report();
        let pool = |name: &'static str, outstanding| PoolReport { name: name.into(), closed: false, outstanding };
        report.pools = vec![pool("reading", 0), pool("work", 2)];
        let text = report.to_string();
        assert!(text.contains("no time was left to close the connections for reading"), "{text}");
        assert!(text.contains("the connections for work were not closed in time, 2 still in use"), "{text}");
    }
}
