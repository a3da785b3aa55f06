//! `durable::map`: the same work for many items, a few of them at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::join::{BranchKind, BranchPoint};
use crate::runtime::stop_reason::StopReason;
use crate::store::BoxFuture;

const MAP: BranchKind = BranchKind { name: "durable::map", replacement: "a `tokio::task::JoinSet`" };

/// Calls `work` forevery item and awaits the futures, at most `limit` of them at once. Returns the
/// results in the order of the items.
///
/// Every item is a branch with positions of its own: if this call has position 3, the second item
/// records 3/2/1, 3/2/2 …, so a replay does not depend on which item makes progress first. Items are
/// started in their order and polled in the workflow's own task. A replay needs the same items in the
/// same order: take them from arguments and recorded results.
///
/// Awaiting it gives the result of every item, also where these are `Result`s: an error of one item
/// does not stop the others. [`stop_on_error`](Map::stop_on_error) stops at the first error instead.
///
/// The position is reserved when this is called. In a workflow a `limit` of 0 parks it, as does a call
/// in a step or a transaction.
///
/// # Outside any workflow
/// Nothing is recorded: it is a plain concurrent map, with a `limit` of at least 1. The same holds for
/// `durable::join!`, `durable::select!` and [`durable::spawn`](crate::spawn()), so that code of a
/// workflow can be called from a unit test.
///
/// # Panics
/// In a `#[transaction]` that was called outside any workflow.
///
/// # At shutdown
/// Running steps of the items may finish and are recorded. Then the call is suspended, and the workflow
/// continues in another process or after the restart.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn fetch(url: &str) -> durable::Result<String> { Ok(String::new()) }
/// # async fn store(page: &str) -> durable::Result<u32> { Ok(1) }
/// # async fn body(urls: Vec<String>) -> durable::Result<()> {
/// // In the body of a #[workflow], with steps `fetch` and `store`:
/// let stored: Vec<durable::Result<u32>> = durable::map(&urls, 8, |url| async move {
///     let page = fetch(url).await?;
///     store(&page).await
/// })
/// .await;
///
/// let stored: Vec<u32> = durable::map(&urls, 8, |url| async move { store(&fetch(url).await?).await })
///     .stop_on_error()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub fn map<'a, I, W, F>(items: I, limit: usize, mut work: W) -> Map<'a, F::Output>
where
    I: IntoIterator,
    I::IntoIter: Send + 'a,
    W: FnMut(I::Item) -> F + Send + 'a,
    F: Future + Send + 'a,
    F::Output: Send + 'a,
{
    let mut items = items.into_iter();
    let next = move |point: &BranchPoint, number| {
        let item = items.next()?;
        // The calls that `work` makes before it returns its future belong to the item, too.
        let branch = point.branch(Some(number));
        let future = match branch.clone() {
            Some(branch) => branch.sync_scope(|| work(item)),
            None => work(item),
        };
        // The branch is the same one: it counts the positions of both.
        Some(Box::pin(point.run_in(branch, future)) as BoxFuture<'a, F::Output>)
    };
    Map { call: Call::new(MapOptions { point: BranchPoint::here(MAP), limit, next: Box::new(next) }) }
}

/// Work on many items. Made by [`map`].
#[must_use = "no item is worked on until this is awaited"]
pub struct Map<'a, R> {
    call: Call<'a, MapOptions<'a, R>, Vec<R>>,
}

struct MapOptions<'a, R> {
    point: BranchPoint,
    limit: usize,
    next: NextItem<'a, R>,
}

/// The work on the next item, which has this number; `None` if there is no further item.
type NextItem<'a, R> = Box<dyn FnMut(&BranchPoint, usize) -> Option<BoxFuture<'a, R>> + Send + 'a>;

impl<'a, T: Send + 'a, E: Send + 'a> Map<'a, Result<T, E>> {
    /// Ends with an error if an item does, else with the values of all.
    ///
    /// After a failure no further item is started. Those before the failed one are finished, and
    /// those behind it are dropped; of several errors the one of the first item in the order is
    /// given. That needs no record to be the same on a replay: whatever failed earlier in time, every
    /// item before the one whose error is returned has ended and is recorded.
    ///
    /// # Panics
    /// When it was polled before.
    ///
    /// # Errors
    /// The error of the first item that fails.
    pub fn stop_on_error(self) -> impl Future<Output = Result<Vec<T>, E>> + Send + use<'a, T, E> {
        let Some(options) = self.call.into_options() else { panic!("`stop_on_error` comes before the first poll") };
        options.stop()
    }
}

impl<'a, R: Send + 'a> MapOptions<'a, R> {
    /// Returns only where the call is allowed.
    async fn begin(mut self) -> ItemsInProgress<'a, R> {
        match self.point.check().await {
            Some(reserved) if self.limit == 0 => {
                let reason = format!(
                    "`durable::map` at position {} was given the limit 0, with which no item is ever worked on; give it 1 or more",
                    reserved.position
                );
                reserved.execution.stop_here::<()>(StopReason::Park(reason)).await;
            }
            Some(_) => {}
            // There is nothing to park.
            None => self.limit = self.limit.max(1),
        }
        ItemsInProgress { options: self, started: 0, running: FuturesUnordered::new() }
    }
}

impl<'a, R: Send + 'a> CallOptions<'a> for MapOptions<'a, R> {
    type Output = Vec<R>;

    async fn run(self: Box<Self>) -> Vec<R> {
        let mut working = self.begin().await;
        let mut results = Vec::new();
        loop {
            working.start();
            match working.running.next().await {
                Some((number, result)) => put(&mut results, number, result),
                None => return results.into_iter().flatten().collect(),
            }
        }
    }
}

impl<'a, T: Send + 'a, E: Send + 'a> MapOptions<'a, Result<T, E>> {
    async fn stop(self) -> Result<Vec<T>, E> {
        let mut working = self.begin().await;
        let mut values = Vec::new();
        working.start();
        let mut failed = None;
        while let Some((number, result)) = working.running.next().await {
            match result {
                Ok(value) => put(&mut values, number, value),
                // Only items before the one that failed last are left, so this error is an earlier item's.
                Err(error) => {
                    working.drop_behind(number);
                    failed = Some(error);
                }
            }
            if failed.is_none() {
                working.start();
            }
        }
        failed.map_or_else(|| Ok(values.into_iter().flatten().collect()), Err)
    }
}

/// Keeps the result of the item with this number, from 1.
fn put<R>(results: &mut Vec<Option<R>>, number: usize, result: R) {
    if results.len() < number {
        results.resize_with(number, || None);
    }
    results[number - 1] = Some(result);
}

/// Items that are worked on.
struct ItemsInProgress<'a, R> {
    options: MapOptions<'a, R>,
    started: usize,
    running: FuturesUnordered<NumberedItem<'a, R>>,
}

impl<R> ItemsInProgress<'_, R> {
    /// Starts as many items as may be worked on.
    fn start(&mut self) {
        while self.running.len() < self.options.limit {
            let number = self.started + 1;
            let Some(future) = (self.options.next)(&self.options.point, number) else { return };
            self.started = number;
            self.running.push(NumberedItem { number, future });
        }
    }

    /// Drops the items that come after this one.
    fn drop_behind(&mut self, number: usize) {
        let running = std::mem::take(&mut self.running);
        self.running = running.into_iter().filter(|it| it.number < number).collect();
    }
}

/// The work on one item, with its number from 1.
struct NumberedItem<'a, R> {
    number: usize,
    future: BoxFuture<'a, R>,
}

impl<R> Future for NumberedItem<'_, R> {
    type Output = (usize, R);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx).map(|result| (self.number, result))
    }
}

impl<R> fmt::Debug for MapOptions<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.point.fmt(f)
    }
}

delegate_to_call!("Map", ['a, R: Send + 'a] Map<'a, R> => Vec<R>, [R] Map<'_, R>);
