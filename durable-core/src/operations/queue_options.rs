//! Calls that wait for their turn: the options of queues, delays and debouncing.

use std::future::Future;
use std::time::Duration;

use futures_util::future::try_join_all;

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
    /// Puts the workflow on a queue, where it waits for its turn: some process of the fleet that
    /// knows it takes it, as far as the queue's limits allow.
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
    /// A queue that no program could declare is refused when the call is started. One of a name that
    /// this program has not declared with `#[queue]` is accepted and logged: another program may take
    /// from it, and this one does not.
    pub fn queue(mut self, queue: &Queue) -> Self {
        self.check(queue.check());
        let name = queue.name().to_owned();
        self.placed(|place| place.queue = name)
    }

    /// Puts the workflow on a queue and returns as soon as that is durable: `.queue(queue).start()`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn enqueue(self, queue: &Queue) -> Result<WorkflowHandle<T, E>> {
        self.queue(queue).start().await
    }

    /// Its priority on the queue: the lesser goes first, 0 without this. Within one priority the
    /// order of enqueueing counts.
    pub fn priority(self, priority: i32) -> Self {
        self.placed(|place| place.priority = priority)
    }

    /// The key of the part of a partitioned queue it belongs to: what has the same key runs one
    /// after the other, in the order of enqueueing, and the keys take turns.
    ///
    /// Without this call it belongs to the part without a key, which is one like the others: all such
    /// workflows of a partitioned queue run one after the other. On a queue that is not partitioned
    /// keys are kept and mean nothing, until [`Queue::set_limits`] makes it partitioned.
    pub fn partition(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.placed(|place| place.partition = Some(key))
    }

    /// Refuses the workflow while another one with the same deduplication id waits or runs on the
    /// queue, with [`ErrorKind::Duplicate`](crate::ErrorKind::Duplicate); with
    /// [`or_existing`](Self::or_existing) the call attaches to that one instead.
    pub fn deduplicate(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.placed(|place| place.deduplication_id = Some(id))
    }

    /// Takes the workflow that is there with the same [deduplication id](Self::deduplicate) for as
    /// good, if it is one of the same function, and the same instance; another one is refused all the
    /// same. Without a deduplication id it changes nothing: a call with the
    /// [id](Self::id) of a workflow that is there attaches to it anyway.
    pub fn or_existing(mut self) -> Self {
        if let Some(made) = self.state.made() {
            made.request.or_existing = true;
        }
        self
    }

    /// Holds the workflow back for a while: it is `DELAYED`, and after that waits on the queue in the
    /// place that it has had since it was enqueued, before what came later. Without a queue it then
    /// starts as soon as a process has room for it.
    ///
    /// A call that is [debounced](Self::debounce) is held back for its period, and refused with a
    /// delay beside it.
    pub fn delay(self, delay: Duration) -> Self {
        self.placed(|place| place.delay = Some(delay))
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
        self.check(check_id("the debounce key", &key));
        self.placed(|place| {
            let longest = place.debounce.take().and_then(|it| it.longest);
            place.debounce = Some(Debounce { key, period, longest });
        })
    }

    /// How long after the first of several debounced calls the workflow starts at the latest. Without
    /// [`debounce`](Self::debounce) the call is refused when it is started.
    pub fn debounce_up_to(self, longest: Duration) -> Self {
        self.placed(|place| {
            let none = Debounce { key: String::new(), period: Duration::ZERO, longest: None };
            place.debounce.get_or_insert(none).longest = Some(longest);
        })
    }

    /// Keeps the first error of an option, which refuses the call when it is started.
    fn check(&mut self, checked: Result<()>) {
        if let Some(options) = self.state.made()
            && options.checked.is_ok()
        {
            options.checked = checked;
        }
    }

    fn placed(mut self, change: impl FnOnce(&mut QueuePlacement)) -> Self {
        if let Some(made) = self.state.made() {
            change(made.request.placement.get_or_insert_with(internal));
        }
        self
    }
}

impl Queue {
    /// Puts many calls on this queue, with as few commits as there can be.
    ///
    /// # Errors
    /// The first that was refused; those before and after it may be on the queue: give them ids, and
    /// the whole can be done again.
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
}
