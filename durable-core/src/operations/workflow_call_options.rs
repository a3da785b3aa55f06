//! The options of a [`WorkflowCall`] for queues, delays and debouncing.

use std::time::Duration;

use crate::operations::start::internal;
use crate::operations::workflow_call::WorkflowCall;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::registry::Queue;
use crate::store::{Debounce, QueuePlacement};
use crate::types::error::{Error, Result};
use crate::types::id::check_id;

impl<T, E> WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Puts the workflow on a queue. A process of the fleet that has this workflow and this queue in its
    /// program claims it, within the queue's limits.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use durable::{Queue, WorkflowCall};
    /// # static ORDERS: Queue = Queue::new("orders");
    /// # fn checkout(order: u32) -> WorkflowCall<String> { unimplemented!() }
    /// # async fn example() -> durable::Result<()> {
    /// let handle = checkout(7).queue(&ORDERS).priority(1).id("order-7").start().await?;
    /// let handle = checkout(8).enqueue(&ORDERS).await?; // the same in short
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An invalid queue is refused when the call is started, and so is a call without a
    /// [partition key](Self::partition) on a [partitioned](Queue::partitioned) queue. A queue that this program has not declared
    /// with `#[queue]` is accepted and logged: other programs may claim from it, and this one does not.
    pub fn queue(mut self, queue: &Queue) -> Self {
        self.call.set(|options| {
            options.checks.queue = queue.check();
            options.request.needs_partition = queue.is_partitioned();
        });
        let name = queue.name().to_owned();
        self.with_placement(|placement| placement.queue = name)
    }

    /// Puts the workflow on a queue and returns as soon as that is durable: `.queue(queue).start()`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn enqueue(self, queue: &Queue) -> Result<WorkflowHandle<T, E>> {
        self.queue(queue).start().await
    }

    /// Sets the priority on the queue: lower numbers start first, 0 by default. Workflows of one priority
    /// start in the order in which they were enqueued.
    pub fn priority(self, priority: i32) -> Self {
        self.with_placement(|placement| placement.priority = priority)
    }

    /// Sets the partition key, such as a user's id. On every queue the workflows of one key run one after
    /// the other, in the order in which they were enqueued, and the keys take turns.
    ///
    /// A workflow without a partition key waits for no other one. On a [partitioned](Queue::partitioned)
    /// queue the key is compulsory.
    pub fn partition(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.with_placement(|placement| placement.partition = Some(key))
    }

    /// Sets a deduplication id. While another workflow with the same id waits or runs on the queue, the
    /// call fails with [`ErrorKind::Duplicate`](crate::ErrorKind::Duplicate); with
    /// [`or_existing`](Self::or_existing) it attaches to that workflow instead.
    pub fn deduplicate(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.with_placement(|placement| placement.deduplication_id = Some(id))
    }

    /// Attaches to an existing workflow with the same [deduplication id](Self::deduplicate) instead of
    /// failing, if it is one of the same function and the same instance; otherwise the call still fails.
    /// Without a deduplication id this has no effect: a call with the [id](Self::id) of an existing
    /// workflow attaches to it in any case.
    pub fn or_existing(mut self) -> Self {
        self.call.set(|options| options.request.or_existing = true);
        self
    }

    /// Delays the start: the workflow is `DELAYED` for this long and then `ENQUEUED`, in the order of the
    /// time at which it was enqueued. Without a queue it then starts as soon as a process has capacity.
    ///
    /// A [debounced](Self::debounce) call is delayed by its period, and a delay in addition is an error.
    pub fn delay(self, delay: Duration) -> Self {
        self.with_placement(|placement| placement.delay = Some(delay))
    }

    /// Starts the workflow once no other call with the same key has come for `period`: the last call
    /// wins, and all of them get the handle of one workflow. It is an option like
    /// [`delay`](Self::delay): follow it with [`start`](Self::start). The key belongs to the function,
    /// and to the instance where the workflow is a method, so equal keys of other workflows do not
    /// meet.
    ///
    /// From the last call come the arguments, the priority, the timeout and the period. From the first
    /// come the id, the queue, the partition key, the deduplication id and the
    /// [bound](Self::debounce_up_to).
    ///
    /// It works across processes, and inside workflows. A stream of calls without a pause would delay
    /// the workflow forever: [`debounce_up_to`](Self::debounce_up_to) bounds that.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use durable::WorkflowCall;
    /// # use std::time::Duration;
    /// # fn save_draft(text: &str) -> WorkflowCall<()> { unimplemented!() }
    /// # async fn example() -> durable::Result<()> {
    /// let handle = save_draft("Dear all").debounce("doc-7", Duration::from_secs(60)).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An empty or unusable key is refused when the call is started, and so is a
    /// [delay](Self::delay) beside it.
    pub fn debounce(mut self, key: impl Into<String>, period: Duration) -> Self {
        let key = key.into();
        self.call.set(|options| options.checks.debounce = check_id("the debounce key", &key));
        self.with_placement(|placement| {
            let longest = placement.debounce.take().and_then(|it| it.longest);
            placement.debounce = Some(Debounce { key, period, longest });
        })
    }

    /// How long after the first of several debounced calls the workflow starts at the latest. Without
    /// [`debounce`](Self::debounce) the call is refused when it is started.
    pub fn debounce_up_to(self, longest: Duration) -> Self {
        self.with_placement(|placement| {
            let none = Debounce { key: String::new(), period: Duration::ZERO, longest: None };
            placement.debounce.get_or_insert(none).longest = Some(longest);
        })
    }

    /// Puts the workflow on the engine's own queue.
    pub(super) fn on_internal_queue(self) -> Self {
        self.with_placement(|_| {})
    }

    fn with_placement(mut self, change: impl FnOnce(&mut QueuePlacement)) -> Self {
        self.call.set(|options| change(options.request.placement.get_or_insert_with(internal)));
        self
    }
}
