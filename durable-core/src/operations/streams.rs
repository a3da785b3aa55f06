//! Streams: items that a workflow appends, and that readers follow while it runs.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Serialize;

use crate::journal::context::{CallSite, Context as Here};
use crate::journal::current_engine;
use crate::operations::caller_errors::{failed_to, interrupted};
use crate::operations::outside_wait;
use crate::operations::{admin, publish};
use crate::runtime::Runtime;
use crate::store::{PublicationKind, StreamCursor, StreamItem};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::{Payload, decode, encode};
use crate::types::status::Status;
use crate::wait::poll_batch::WaitFor;
use crate::wait::waiters::WaitHandle;

/// How many items are read at once.
const PAGE: u32 = 256;

/// Appends an item to one of this workflow's streams. Readers ([`read_stream`]) see the items in the
/// order in which they were written, while the workflow runs and after its end.
///
/// In the workflow's body it is recorded, and written exactly once, with the next commit of the
/// workflow. In a step, where progress and tokens come from, it is written at once, and again if the step
/// runs again.
///
/// # Errors
/// It was called outside a workflow or in a transaction; the item cannot be written as JSON or is
/// too large.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// for percent in (0..=100).step_by(10) {
///     durable::write_stream("progress", &percent).await?;
/// }
/// durable::close_stream("progress").await?;
/// # Ok(())
/// # }
/// ```
pub fn write_stream<N: Into<String>, T: Serialize + ?Sized>(
    name: N,
    item: &T,
) -> impl Future<Output = Result<()>> + Send + use<N, T> {
    let (name, item, call_site) = (name.into(), encode(item), CallSite::here());
    async move { publish::publish(&call_site, PublicationKind::Item, &name, item).await }
}

/// Closes one of this workflow's streams: readers stop after the last item. Items that are written later
/// are refused. A stream that is not closed ends with the workflow.
///
/// # Errors
/// It was called outside a workflow or in a transaction.
pub fn close_stream<N: Into<String>>(name: N) -> impl Future<Output = Result<()>> + Send + use<N> {
    let (name, call_site) = (name.into(), CallSite::here());
    async move { publish::publish(&call_site, PublicationKind::Close, &name, Ok(String::new())).await }
}

/// Reads a stream of a workflow from its beginning, from any process: the existing items, and new ones as
/// they are written. It ends when the stream is closed or the workflow ends.
///
/// It is a [`Stream`], and also has a method [`next`](StreamReader::next) that needs no extension trait.
/// Dropping it has no effect on the writer.
///
/// The items are not recorded: in a workflow, read in a step. In a workflow's body the first item is an
/// error of the kind [`ErrorKind::Misuse`].
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// let mut progress = durable::read_stream::<u32>("import-7", "progress");
/// while let Some(percent) = progress.next().await {
///     println!("{} %", percent?);
/// }
/// # Ok(())
/// # }
/// ```
pub fn read_stream<T: Payload>(workflow_id: impl AsRef<str>, name: impl AsRef<str>) -> StreamReader<T> {
    open_reader(None, workflow_id.as_ref(), name.as_ref())
}

/// Reads a stream with the given engine.
pub(crate) fn open_reader<T: Payload>(engine: Option<Arc<Runtime>>, id: &str, name: &str) -> StreamReader<T> {
    let runtime = match Here::here() {
        Some(Here::Body { .. }) => Err(Error::new(
            ErrorKind::Misuse,
            "`durable::read_stream` was called in a workflow's body, where what it gives would not be recorded; read the stream in a step",
        )),
        _ => engine.map_or_else(current_engine::engine, Ok),
    };
    StreamReader::new(runtime, id, name)
}

/// Reads a stream. Given by [`read_stream`].
///
/// Each item is a `Result`, and the first error is the last item: an item that does not read as a
/// `T`, an unknown workflow, a database that refuses, a process that shuts down.
#[must_use = "a stream is not read until it is polled"]
pub struct StreamReader<T> {
    values: BoxStream<'static, Result<String>>,
    name: Arc<str>,
    failed: bool,
    item: PhantomData<fn() -> T>,
}

impl<T: Payload> StreamReader<T> {
    pub(crate) fn new(runtime: Result<Arc<Runtime>>, id: &str, name: &str) -> Self {
        let name: Arc<str> = name.into();
        let reader = StreamPosition {
            id: id.into(),
            name: Arc::clone(&name),
            mark: StreamCursor::default(),
            page: VecDeque::new(),
        };
        let values = match runtime {
            Ok(runtime) => stream::unfold((reader, runtime), |(mut reader, runtime)| async move {
                let value = reader.next(&runtime).await.transpose()?;
                Some((value, (reader, runtime)))
            })
            .boxed(),
            Err(error) => stream::once(async move { Err(error) }).boxed(),
        };
        Self { values, name, failed: false, item: PhantomData }
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        StreamExt::next(self).await
    }

    fn read(&self, value: Result<String>) -> Result<T> {
        decode(&value?).map_err(|error| {
            Error::new(ErrorKind::Payload, format!("an item of the stream {:?} cannot be read: {error}", self.name))
        })
    }
}

impl<T: Payload> Stream for StreamReader<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        self.values.as_mut().poll_next(cx).map(|value| {
            let item = self.read(value?);
            self.failed = item.is_err();
            Some(item)
        })
    }
}

impl<T> fmt::Debug for StreamReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamReader({:?})", self.name)
    }
}

/// How far a stream was read.
struct StreamPosition {
    id: Arc<str>,
    name: Arc<str>,
    mark: StreamCursor,
    /// Items that were read and not yet returned.
    page: VecDeque<StreamItem>,
}

impl StreamPosition {
    /// The next value; `None` at the end.
    async fn next(&mut self, runtime: &Runtime) -> Result<Option<String>> {
        // A shutdown waits for the read that follows a wait: the wait is over when it is dropped.
        let mut waited = None;
        while self.page.is_empty() {
            let read = runtime.store.read_stream(&self.id, &self.name, self.mark, PAGE).await;
            let read = read.map_err(|error| failed_to(runtime, "read a stream", &error))?;
            let Some(status) = read.status else { return Err(admin::not_found(&self.id)) };
            self.page.extend(read.items);
            drop(waited.take());
            if self.page.is_empty() {
                if status.is_terminal() {
                    return Ok(None);
                }
                if status == Status::Parked {
                    let message =
                        format!("the workflow {:?} is parked, and its stream {:?} is not complete", self.id, self.name);
                    return Err(Error::new(ErrorKind::Parked, message));
                }
                waited = Some(self.wait(runtime).await?);
            }
        }
        let Some(item) = self.page.pop_front() else { return Ok(None) }; // it was just filled
        self.mark = item.cursor;
        Ok(item.value)
    }

    /// Waits until there is more to read, or the workflow has ended.
    async fn wait<'r>(&self, runtime: &'r Runtime) -> Result<WaitHandle<'r>> {
        let (id, name) = (Arc::clone(&self.id), Arc::clone(&self.name));
        let waiting = runtime.waiters.wait(&self.id, WaitFor::Stream { id, name, mark: Box::new(self.mark) }, false);
        tokio::select! {
            biased;
            event = waiting.next() => event.map(drop).ok_or_else(|| interrupted(&self.id))?,
            () = outside_wait::released(runtime, [&*self.id]) => return Err(interrupted(&self.id)),
        }
        Ok(waiting)
    }
}
