//! Queues as a program declares them: a name, and limits.

use std::time::Duration;

use crate::store::{RateLimit, StoredLimits};
use crate::types::error::{Error, ErrorKind};
use crate::types::id::check_id;

/// A queue of workflows, with limits on how many of them run.
///
/// It is declared as a `static` with `#[queue]`. Every process that has it in its program claims
/// workflows from it, within the limits. Without limits a workflow starts as soon as a process has
/// capacity.
///
/// # Example: limits of a process, of a service, of a user
///
/// ```
/// use std::time::Duration;
///
/// use durable_core::Queue;
///
/// // Five at once in each process.
/// static TASKS: Queue = Queue::new("task_queue").worker_concurrency(5);
/// // A hundred starts a minute, however many processes there are.
/// static API: Queue = Queue::new("api_queue").rate_limit(100, Duration::from_secs(60));
/// // Ten at once in each process. Calls with `.partition(user)` run one at a time and in order for each user.
/// static USERS: Queue = Queue::new("user_queue").worker_concurrency(10);
///
/// assert_eq!(TASKS.name(), "task_queue");
/// ```
///
/// In a program each of them has `#[queue]` before it, which makes it known to the engine.
#[derive(Debug, PartialEq, Eq)]
pub struct Queue {
    name: &'static str,
    limits: StoredLimits,
}

/// The engine's own queue, for workflows that have a delay or are debounced and have no queue.
pub(crate) const INTERNAL_QUEUE: &str = "durable";

impl Queue {
    /// A queue without limits. The name is that of the queue in the database: it is the same for all
    /// processes that share the queue, up to 255 bytes long, unique in the program, and not `durable`,
    /// which is the engine's own.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let limits = StoredLimits {
            concurrency: None,
            worker_concurrency: None,
            rate_limit: None,
            partitioned: false,
            partition_concurrency: None,
            partition_rate_limit: None,
        };
        Self { name, limits }
    }

    /// At most `most` of its workflows run at once, in all processes together.
    ///
    /// A workflow keeps its slot while it waits. One that awaits a child on the same queue needs a
    /// second slot for it: with `concurrency(1)`, or with as many such parents as there are slots,
    /// they wait forever. Give the children another queue, or none.
    #[must_use]
    pub const fn concurrency(mut self, most: u32) -> Self {
        self.limits.concurrency = Some(most);
        self
    }

    /// At most `most` of its workflows run at once in one process. As with
    /// [`concurrency`](Self::concurrency), children that are awaited need slots of their own.
    #[must_use]
    pub const fn worker_concurrency(mut self, most: u32) -> Self {
        self.limits.worker_concurrency = Some(most);
        self
    }

    /// At most `starts` of its workflows are started in any window of the length `period`, in all
    /// processes together.
    #[must_use]
    pub const fn rate_limit(mut self, starts: u32, period: Duration) -> Self {
        self.limits.rate_limit = Some(RateLimit { starts, period });
        self
    }

    /// Makes the partition key compulsory: a call without
    /// [`.partition(key)`](crate::WorkflowCall::partition) is refused.
    ///
    /// On every queue workflows of one key run one at a time, in the order in which they were enqueued,
    /// and the keys take turns. A workflow without a key waits for no other one; this keeps a forgotten
    /// key from going unnoticed.
    #[must_use]
    pub const fn partitioned(mut self) -> Self {
        self.limits.partitioned = true;
        if self.limits.partition_concurrency.is_none() {
            self.limits.partition_concurrency = Some(1);
        }
        self
    }

    /// [Partitioned](Self::partitioned), and at most `most` workflows of one key run at once, in all
    /// processes together. They are started in their order.
    #[must_use]
    pub const fn partition_concurrency(mut self, most: u32) -> Self {
        self.limits.partitioned = true;
        self.limits.partition_concurrency = Some(most);
        self
    }

    /// [Partitioned](Self::partitioned), and at most `starts` workflows of one key are started in any
    /// window of the length `period`, in all processes together.
    #[must_use]
    pub const fn partition_rate_limit(mut self, starts: u32, period: Duration) -> Self {
        self.limits.partition_rate_limit = Some(RateLimit { starts, period });
        self.partitioned()
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a workflow on it needs a partition key.
    pub(crate) const fn is_partitioned(&self) -> bool {
        self.limits.partitioned
    }

    /// The limits.
    pub(crate) const fn limits(&self) -> StoredLimits {
        self.limits
    }

    /// Refuses limits that cannot be enforced, or with which nothing would ever run.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.limits.check(self.name)
    }
}

impl StoredLimits {
    /// Refuses limits of the queue of this name that cannot be enforced, or with which nothing would ever run.
    pub(crate) fn check(self, name: &str) -> Result<(), Error> {
        check_id("the queue name", name)?;
        if name == INTERNAL_QUEUE {
            let message = format!(
                "no queue can be named `{INTERNAL_QUEUE}`: that is the engine's own one, on which calls with a delay or a debounce and without a queue wait; give it another name"
            );
            return Err(Error::new(ErrorKind::Registry, message));
        }
        let refuse = |error: String| {
            let message = format!("the queue `{name}` {error}");
            Err(Error::new(ErrorKind::Registry, message))
        };
        let Self { concurrency, worker_concurrency, partition_concurrency, .. } = self;
        for (method, most) in [
            ("concurrency", concurrency),
            ("worker_concurrency", worker_concurrency),
            ("partition_concurrency", partition_concurrency),
        ] {
            if most == Some(0) {
                return refuse(format!(
                    "would never run anything: .{method}(n) takes 1 or more; leave it out for no limit"
                ));
            }
        }
        let Self { rate_limit, partition_rate_limit, .. } = self;
        for (method, limit) in [("rate_limit", rate_limit), ("partition_rate_limit", partition_rate_limit)] {
            match limit {
                Some(RateLimit { starts: 0, .. }) => {
                    return refuse(format!(
                        "would never start anything: .{method}(n, period) takes 1 or more; leave it out for no limit"
                    ));
                }
                Some(RateLimit { period, .. }) if period < Duration::from_millis(1) => {
                    return refuse(format!(
                        "counts starts in no time at all: .{method}(n, period) takes a period of 1 ms or more, such as Duration::from_secs(60)"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A queue in the program-wide list.
#[derive(Debug)]
pub struct RegisteredQueue {
    /// The queue.
    pub queue: &'static Queue,
    /// The source file.
    pub file: &'static str,
    /// The line of the queue's name.
    pub line: u32,
}

inventory::collect!(RegisteredQueue);

/// The queues in the order of their names.
///
/// # Errors
/// One that cannot be used, or two of one name, with the source locations of both: their limits would
/// overwrite each other in the database.
pub(super) fn collect_queues(
    registered: impl IntoIterator<Item = &'static RegisteredQueue>,
) -> Result<Vec<&'static Queue>, Error> {
    let mut found: Vec<&RegisteredQueue> = registered.into_iter().collect();
    found.sort_unstable_by_key(|it| (it.queue.name, it.file, it.line));
    for it in &found {
        it.queue.check().map_err(|error| {
            let message = format!("{}:{}: {error}", it.file, it.line);
            Error::new(ErrorKind::Registry, message)
        })?;
    }
    if let Some(two) = found.windows(2).find(|two| two[0].queue.name == two[1].queue.name) {
        let message = format!(
            "two queues are named `{}`: {}:{} and {}:{}; rename one of them, or use one `static` in both places",
            two[0].queue.name, two[0].file, two[0].line, two[1].file, two[1].line
        );
        return Err(Error::new(ErrorKind::Registry, message));
    }
    Ok(found.into_iter().map(|it| it.queue).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(queues: Vec<Queue>) -> String {
        let registered = queues.into_iter().zip(1..).map(|(queue, line)| {
            let queue = Box::leak(Box::new(queue));
            &*Box::leak(Box::new(RegisteredQueue { queue, file: "src/queues.rs", line }))
        });
        collect_queues(registered).expect_err("it is refused").to_string()
    }

    #[test]
    fn two_queues_of_one_name_are_refused_with_both_locations() {
        let text = error(vec![Queue::new("tasks"), Queue::new("mail"), Queue::new("tasks").concurrency(1)]);
        assert!(text.contains("`tasks`: src/queues.rs:1 and src/queues.rs:3;"), "{text}");
    }

    #[test]
    fn limits_that_let_nothing_run_are_refused_with_the_fix() {
        let minute = Duration::from_mins(1);
        for (queue, method) in [
            (Queue::new("q").concurrency(0), ".concurrency(n)"),
            (Queue::new("q").worker_concurrency(0), ".worker_concurrency(n)"),
            (Queue::new("q").partition_concurrency(0), ".partition_concurrency(n)"),
            (Queue::new("q").rate_limit(0, minute), ".rate_limit(n, period)"),
            (Queue::new("q").partition_rate_limit(0, minute), ".partition_rate_limit(n, period)"),
            (Queue::new("q").rate_limit(5, Duration::ZERO), "a period of 1 ms or more"),
        ] {
            let text = error(vec![queue]);
            assert!(text.starts_with("src/queues.rs:1: the queue `q` ") && text.contains(method), "{text}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_stored_is_refused() {
        for name in ["", "a\0b", "a\nb"] {
            let text = error(vec![Queue::new(name)]);
            assert!(text.starts_with("src/queues.rs:1: the queue name "), "{text}");
        }
    }

    #[test]
    fn the_name_of_the_engines_own_queue_is_refused_with_the_reason() {
        let text = error(vec![Queue::new(INTERNAL_QUEUE)]);
        assert!(
            text.starts_with("src/queues.rs:1: no queue can be named `durable`: that is the engine's own"),
            "{text}"
        );
    }

    #[test]
    fn partitions_run_one_workflow_at_a_time_by_default() {
        let limits = |queue: Queue| (queue.limits().partitioned, queue.limits().partition_concurrency);
        assert_eq!(limits(Queue::new("q")), (false, None));
        assert_eq!(limits(Queue::new("q").partitioned()), (true, Some(1)));
        assert_eq!(limits(Queue::new("q").partition_rate_limit(9, Duration::from_secs(1))), (true, Some(1)));
        assert_eq!(limits(Queue::new("q").partition_concurrency(3)), (true, Some(3)));
        assert_eq!(limits(Queue::new("q").partition_concurrency(3).partitioned()), (true, Some(3)));
    }
}
