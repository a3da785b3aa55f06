//! How much work a queue has, for autoscalers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::journal::checkpoint::Operation;
use crate::operations::look::Look;
use crate::runtime::Runtime;
use crate::types::error::Result;
use crate::types::id::check_id;
use crate::types::time::Timestamp;

/// Where the counts stop.
const MOST: u32 = 10_000;

/// How much work a queue has. As JSON the fields have these names, and the lag is a number of seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueBacklog {
    /// The queue's name.
    pub queue: String,
    /// How many workflows are `ENQUEUED`, or `DELAYED` and due; 10,000 at most.
    pub waiting: u64,
    /// How many of its workflows run, or ran in a process that died; 10,000 at most.
    pub running: u64,
    /// Whether a count stopped at its limit, so that there may be more.
    pub capped: bool,
    /// Since when the workflow that is next in its priority waits; of all priorities the earliest.
    pub oldest: Option<DateTime<Utc>>,
    /// How long that workflow has waited, by the database's clock. In JSON a number of seconds.
    #[serde(with = "crate::types::seconds")]
    pub lag: Duration,
    /// Whether the queue is paused: no process takes workflows from it.
    pub paused: bool,
}

/// How much work a queue has, for autoscalers. It takes the same short time however much waits, because it counts to
/// 10,000 at most. [`list_queues`](crate::list_queues) counts exactly.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it). A queue that no process has declared is empty.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use durable::Queue;
/// # static TASKS: Queue = Queue::new("tasks");
/// # async fn example() -> durable::Result<()> {
/// let backlog = durable::queue_backlog(&TASKS).await?;
/// let wanted_processes = (backlog.waiting + backlog.running).div_ceil(50);
/// # Ok(())
/// # }
/// ```
pub fn queue_backlog<Q: AsRef<str>>(queue: Q) -> impl Future<Output = Result<QueueBacklog>> + Send + use<Q> {
    backlog(None, queue.as_ref())
}

pub(crate) fn backlog(
    engine: Option<&Arc<Runtime>>,
    queue: &str,
) -> impl Future<Output = Result<QueueBacklog>> + Send + use<> {
    let (look, queue) = (Look::through(engine), Arc::<str>::from(queue));
    async move {
        check_id("the queue name", &queue)?;
        let question = |runtime: Arc<Runtime>| {
            let queue = Arc::clone(&queue);
            async move {
                let row = runtime.store.queue_backlog(&queue, MOST).await?;
                let now = runtime.timers.clock.lower_bound();
                Ok(Ok(QueueBacklog {
                    queue: queue.to_string(),
                    waiting: row.waiting,
                    running: row.running,
                    capped: row.waiting.max(row.running) >= u64::from(MOST),
                    oldest: row.oldest.map(Timestamp::to_date),
                    lag: row.oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
                    paused: row.paused,
                }))
            }
        };
        look.ask(Operation::on("queue_backlog", &queue), "count the work of a queue", question).await
    }
}
