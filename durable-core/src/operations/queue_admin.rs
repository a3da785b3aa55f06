//! Queues: their state, and changing their limits while they are in use.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::journal::checkpoint::Operation;
use crate::journal::context::Context as Here;
use crate::journal::current_engine;
use crate::operations::caller_errors::{failed_to, unknown_name};
use crate::operations::look::Look;
use crate::operations::workflow_call::WorkflowCall;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::registry::Queue;
use crate::runtime::Runtime;
use crate::store::{QueueChange, QueueRow, RateLimit, StoreError, StoredLimits};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::time::Timestamp;

/// A queue, as the database has it. As JSON the fields have these names, times are RFC 3339 and
/// durations are numbers of seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// How many workflows are `ENQUEUED` on it.
    pub depth: u64,
    /// How many workflows are `DELAYED` on it.
    pub delayed: u64,
    /// How many of its workflows run.
    pub running: u64,
    /// When the oldest `ENQUEUED` workflow was enqueued; `None` if there is none.
    pub oldest: Option<DateTime<Utc>>,
    /// How long that workflow has waited, by the database's clock. In JSON a number of seconds.
    #[serde(with = "crate::types::seconds")]
    pub lag: Duration,
    /// Whether the queue is paused: no process takes workflows from it.
    pub paused: bool,
    /// Its current limits.
    pub limits: QueueLimits,
    /// Whether the limits were changed at run time and differ from those in the code.
    pub changed: bool,
}

/// The current limits of a queue; [`Queue::set_limits`] changes them.
///
/// As JSON: `{"concurrency":10,"worker_concurrency":null,"rate_limit":{"starts":100,"period":60.0},…}`,
/// with the period in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueLimits(pub(crate) StoredLimits);

impl QueueLimits {
    /// The same with another limit on how many run at once in the whole fleet; `None` is no limit.
    #[must_use]
    pub fn with_concurrency(mut self, most: Option<u32>) -> Self {
        self.0.concurrency = most;
        self
    }

    /// The same with another limit on how many run at once in one process; `None` is no limit.
    #[must_use]
    pub fn with_worker_concurrency(mut self, most: Option<u32>) -> Self {
        self.0.worker_concurrency = most;
        self
    }

    /// The same with another limit on how many are started in a window of the length, in the whole fleet; `None` is
    /// no limit.
    #[must_use]
    pub fn with_rate_limit(mut self, limit: Option<(u32, Duration)>) -> Self {
        self.0.rate_limit = limit.map(|(starts, period)| RateLimit { starts, period });
        self
    }

    /// The same with another limit on how many run at once for one partition key, in the whole fleet; `None` is no
    /// limit.
    #[must_use]
    pub fn with_partition_concurrency(mut self, most: Option<u32>) -> Self {
        self.0.partition_concurrency = most;
        self
    }

    /// The same with another limit on how many are started for one partition key in a window of the length, in the
    /// whole fleet; `None` is no limit.
    #[must_use]
    pub fn with_partition_rate_limit(mut self, limit: Option<(u32, Duration)>) -> Self {
        self.0.partition_rate_limit = limit.map(|(starts, period)| RateLimit { starts, period });
        self
    }

    /// Refuses limits with which nothing would ever run.
    pub(crate) fn check(self, queue: &str) -> Result<()> {
        self.0.check(queue)
    }

    /// How many run at once in the whole fleet.
    #[must_use]
    pub fn concurrency(self) -> Option<u32> {
        self.0.concurrency
    }

    /// How many run at once in one process.
    #[must_use]
    pub fn worker_concurrency(self) -> Option<u32> {
        self.0.worker_concurrency
    }

    /// How many are started in a window of the length, in the whole fleet.
    #[must_use]
    pub fn rate_limit(self) -> Option<(u32, Duration)> {
        self.0.rate_limit.map(|it| (it.starts, it.period))
    }

    /// Whether a workflow needs a partition key.
    #[must_use]
    pub fn partitioned(self) -> bool {
        self.0.partitioned
    }

    /// How many run at once for one partition key, in the whole fleet.
    #[must_use]
    pub fn partition_concurrency(self) -> Option<u32> {
        self.0.partition_concurrency
    }

    /// How many are started for one partition key in a window of the length, in the whole fleet.
    #[must_use]
    pub fn partition_rate_limit(self) -> Option<(u32, Duration)> {
        self.0.partition_rate_limit.map(|it| (it.starts, it.period))
    }
}

impl AsRef<str> for Queue {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every queue that a program has declared or a workflow waits on.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// for queue in durable::list_queues().await? {
///     println!("{}: {} waiting, the oldest for {:?}", queue.name, queue.depth, queue.lag);
/// }
/// # Ok(())
/// # }
/// ```
pub fn list_queues() -> impl Future<Output = Result<Vec<QueueInfo>>> + Send {
    list(None)
}

pub(crate) fn list(engine: Option<&Arc<Runtime>>) -> impl Future<Output = Result<Vec<QueueInfo>>> + Send + use<> {
    let look = Look::through(engine);
    look.ask(Operation::once("list_queues"), LIST, |runtime| async move { all(&runtime).await.map(Ok) })
}

const LIST: &str = "list queues";

async fn all(runtime: &Runtime) -> std::result::Result<Vec<QueueInfo>, StoreError> {
    let rows = runtime.store.queues().await?;
    let now = runtime.timers.clock.lower_bound();
    Ok(rows.into_iter().map(|row| shown(row, now)).collect())
}

fn shown(row: QueueRow, now: Timestamp) -> QueueInfo {
    QueueInfo {
        name: row.name,
        depth: row.enqueued,
        delayed: row.delayed,
        running: row.running,
        oldest: row.oldest.map(Timestamp::to_date),
        lag: row.oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
        paused: row.paused,
        limits: QueueLimits(row.limits),
        changed: row.changed,
    }
}

impl Queue {
    /// Enqueues many calls with as few commits as possible.
    ///
    /// # Errors
    /// The error of the first call that was refused. The calls before and after it may be on the queue: give
    /// all calls ids, so that the whole can be repeated.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use durable::{Queue, WorkflowCall};
    /// # static ORDERS: Queue = Queue::new("orders");
    /// # fn checkout(order: u32) -> WorkflowCall<String> { unimplemented!() }
    /// # async fn example() -> durable::Result<()> {
    /// let handles = ORDERS.enqueue_all((0..1_000).map(checkout)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn enqueue_all<T, E>(
        &self,
        calls: impl IntoIterator<Item = WorkflowCall<T, E>>,
    ) -> impl Future<Output = Result<Vec<WorkflowHandle<T, E>>>> + Send
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let started: Vec<_> = calls.into_iter().map(|call| call.queue(self).start()).collect();
        try_join_all(started)
    }

    /// The queue's depth, lag and limits.
    ///
    /// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
    ///
    /// # Errors
    /// No process has declared the queue; no engine runs; it was called in a transaction; the database cannot be
    /// reached (in a body the workflow waits for it).
    pub fn info(&self) -> impl Future<Output = Result<QueueInfo>> + Send + use<> {
        let (look, name) = (Look::through(None), Arc::<str>::from(self.name()));
        async move {
            let question = |runtime: Arc<Runtime>| {
                let name = Arc::clone(&name);
                async move {
                    let queues = all(&runtime).await?;
                    let found = queues.iter().find(|it| it.name == *name).cloned();
                    Ok(found.ok_or_else(|| unknown_queue(&name, queues.into_iter().map(|it| it.name))))
                }
            };
            look.ask(Operation::on("queue_info", &name), LIST, question).await
        }
    }

    /// Pauses the queue in the whole fleet, until it is [resumed](Self::resume): no process claims
    /// workflows from it. Running workflows continue, and more can be enqueued.
    ///
    /// # Errors
    /// It is called in the body of a workflow, where it is not recorded: move it into a step. No engine runs, or
    /// the database cannot be reached.
    pub async fn pause(&self) -> Result<()> {
        self.check()?;
        change(&current_engine::engine()?, self.name(), QueueChange::Pause).await
    }

    /// Resumes a paused queue.
    ///
    /// # Errors
    /// It is called in the body of a workflow, where it is not recorded: move it into a step. No engine runs, or
    /// the database cannot be reached.
    pub async fn resume(&self) -> Result<()> {
        self.check()?;
        change(&current_engine::engine()?, self.name(), QueueChange::Resume).await
    }

    /// Changes the limits to those of `like`, a queue of the same name, at once and in the whole fleet. Running
    /// workflows are not stopped. The limits apply until they are changed again, also to processes that are launched
    /// later: `queue.set_limits(&queue)` restores those of the code.
    ///
    /// # Errors
    /// `like` has another name, or a limit that would let nothing run; it is called in the body of a workflow,
    /// where it is not recorded: move it into a step. No engine runs, or the database cannot be reached.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use durable::Queue;
    /// # static TASKS: Queue = Queue::new("tasks").concurrency(5);
    /// # async fn example() -> durable::Result<()> {
    /// TASKS.set_limits(&Queue::new("tasks").concurrency(50)).await?;
    /// TASKS.set_limits(&TASKS).await?; // as in the code again
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_limits(&self, like: &Queue) -> Result<()> {
        self.check()?;
        like.check()?;
        if like.name() != self.name() {
            let message = format!(
                "the queue `{0}` was given the limits of a queue named `{1}`, which looks like a mistake: write `Queue::new({0:?})` with the limits",
                self.name(),
                like.name()
            );
            return Err(Error::new(ErrorKind::Misuse, message));
        }
        let limits = like.limits();
        let change_to =
            if limits == self.limits() { QueueChange::LimitsOfCode(limits) } else { QueueChange::Limits(limits) };
        change(&current_engine::engine()?, self.name(), change_to).await
    }
}

pub(crate) async fn change(runtime: &Arc<Runtime>, name: &str, change: QueueChange) -> Result<()> {
    Here::refuse_unrecorded("a change of a queue")?;
    let (task_runtime, name) = (Arc::clone(runtime), name.to_owned());
    let call = async move {
        let changed = task_runtime.store.change_queue(&name, change).await;
        if !changed.map_err(|error| failed_to(&task_runtime, "change a queue", &error))? {
            let queues = task_runtime.store.queues().await.unwrap_or_default();
            return Err(unknown_queue(&name, queues.into_iter().map(|it| it.name)));
        }
        task_runtime.announce_queue(&name);
        Ok(())
    };
    runtime.finish_call(call).await
}

/// No process has declared a queue of this name.
pub(super) fn unknown_queue(name: &str, known: impl IntoIterator<Item = String>) -> Error {
    unknown_name("queue", name, known)
}
