//! Streams: items that a workflow appends, and that readers follow while it runs.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::Stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{CallSite, Context as Here};
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::caller_errors::{failed_to, interrupted};
use crate::operations::{admin, look, outside_wait, publish};
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::store::{BoxFuture, PublicationKind, StoreError, StreamCursor, StreamItem};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::{Codec, Payload, decode, encode};
use crate::types::status::Status;
use crate::wait::poll_batch::{Publisher, WaitFor};
use crate::wait::waiters::WaitHandle;

/// How many items are read at once.
const PAGE: u32 = 256;

/// What a reader does, for errors and reports.
const READ: &str = "read a stream";

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
/// are not read. A stream that is not closed ends with the workflow.
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
/// In a workflow's body each item is recorded, at a position that is reserved when it is asked for, and so is
/// the end. Outside and in a step nothing is recorded.
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
    let (runtime, in_body) = match Here::here() {
        Some(Here::Transaction(scope)) => (Err(scope.refusal("`durable::read_stream`")), false),
        here => (engine.map_or_else(current_engine::engine, Ok), matches!(here, Some(Here::Body { .. }))),
    };
    let source = StreamPosition {
        id: id.into(),
        name: name.into(),
        mark: StreamCursor::default(),
        page: VecDeque::new(),
        ended: false,
        reading: None,
    };
    StreamReader { source, runtime, in_body, asked: None, failed: false, item: PhantomData }
}

/// Reads a stream. Given by [`read_stream`].
///
/// Each item is a `Result`, and the first error is the last item: an item that does not read as a
/// `T`, an unknown workflow, a database that refuses, a process that shuts down.
#[must_use = "a stream is not read until it is polled"]
pub struct StreamReader<T> {
    source: StreamPosition,
    runtime: Result<Arc<Runtime>>,
    /// Whether it was made in a workflow's body, where items are recorded.
    in_body: bool,
    /// The item that was asked for and is not there yet.
    asked: Option<AskedItem>,
    failed: bool,
    item: PhantomData<fn() -> T>,
}

/// An item that was asked for.
struct AskedItem {
    /// In a body the branch in which it was asked for.
    branch: Option<Arc<str>>,
    item: BoxFuture<'static, (StreamPosition, Result<Option<String>>)>,
}

impl<T: Payload> StreamReader<T> {
    /// The next item; `None` at the end. In a workflow's body it reserves a position when it is called.
    #[expect(clippy::should_implement_trait, reason = "it is awaited, as that of `StreamExt`")]
    pub fn next(&mut self) -> impl Future<Output = Option<Result<T>>> + Send {
        // An item that another call asked for, and did not wait for, has another position.
        if self.in_body {
            self.asked = None;
            if !self.failed {
                self.ask();
            }
        }
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
    }

    fn ask(&mut self) {
        let source = self.source.clone();
        self.source.reading = None; // it comes back with the item
        let asked = match (&self.runtime, self.in_body.then(CallSite::here)) {
            (Err(error), _) => {
                let error = error.clone();
                AskedItem { branch: None, item: Box::pin(async move { (source, Err(error)) }) }
            }
            (Ok(runtime), None) => {
                let runtime = Arc::clone(runtime);
                AskedItem { branch: None, item: Box::pin(source.next_unrecorded(runtime)) }
            }
            (Ok(runtime), Some(CallSite::Body(reserved))) => {
                let branch = Some(Arc::clone(&reserved.position.branch));
                AskedItem { branch, item: Box::pin(source.next_in_body(Arc::clone(runtime), reserved)) }
            }
            (Ok(_), Some(_)) => {
                let message = format!(
                    "a reader of the stream {:?} was made in a workflow's body and read elsewhere (in another task, a step or a transaction), where its items cannot be recorded; make the reader where it is read",
                    source.name
                );
                let error = Error::new(ErrorKind::Misuse, message);
                AskedItem { branch: None, item: Box::pin(async move { (source, Err(error)) }) }
            }
        };
        self.asked = Some(asked);
    }

    fn read(&self, value: Result<String>) -> Result<T> {
        decode(&value?).map_err(|error| {
            let message = format!("an item of the stream {:?} cannot be read: {error}", self.source.name);
            Error::new(ErrorKind::Payload, message)
        })
    }
}

impl<T: Payload> Stream for StreamReader<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        // An item that was asked for in a branch which has ended without it, such as an arm of `select!` that lost.
        if let Some(AskedItem { branch: Some(asked_in), .. }) = &self.asked
            && !matches!(Here::here(), Some(Here::Body { branch, .. }) if branch.path() == asked_in)
        {
            self.asked = None;
        }
        if self.asked.is_none() {
            self.ask();
        }
        let Some(asked) = &mut self.asked else { return Poll::Ready(None) }; // it was just asked for
        let (source, value) = std::task::ready!(asked.item.as_mut().poll(cx));
        self.asked = None;
        self.source = source;
        Poll::Ready(value.transpose().map(|value| {
            let item = self.read(value);
            self.failed = item.is_err();
            item
        }))
    }
}

impl<T> fmt::Debug for StreamReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamReader({:?})", self.source.name)
    }
}

/// How far a stream was read.
#[derive(Clone)]
struct StreamPosition {
    id: Arc<str>,
    name: Arc<str>,
    mark: StreamCursor,
    /// Items that were read and not yet returned.
    page: VecDeque<StreamItem>,
    ended: bool,
    /// From an item to the next wait or the end, outside of workflows.
    reading: Option<Arc<Reading>>,
}

/// A reader that is between two reads. The drain of a shutdown gives it the time for the next one.
struct Reading(Arc<Runtime>);

impl Reading {
    fn begin(runtime: &Arc<Runtime>) -> Arc<Self> {
        runtime.waiters.begin_reading();
        Arc::new(Self(Arc::clone(runtime)))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.waiters.end_reading();
    }
}

/// What is recorded of an item: its value, and where to read on.
#[derive(Serialize, Deserialize)]
struct RecordedItem {
    value: Box<RawValue>,
    at: i64,
    key: i64,
}

impl StreamPosition {
    async fn next_unrecorded(mut self, runtime: Arc<Runtime>) -> (Self, Result<Option<String>>) {
        let value = loop {
            self.reading.get_or_insert_with(|| Reading::begin(&runtime));
            match self.try_next(&runtime, false).await {
                Ok(Ok(Some(next))) => break Ok(next),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => break Err(error),
                Err(error) => break Err(failed_to(&runtime, READ, &error)),
            }
            let waiting = self.wait(&runtime, false);
            self.reading = None;
            let more = tokio::select! {
                biased;
                more = waiting.next() => more,
                () = outside_wait::released(&runtime, [&*self.id]) => None,
            };
            if more.is_none() {
                break Err(interrupted(&self.id));
            }
            // Before the wait is over, so that a shutdown sees one of the two.
            self.reading = Some(Reading::begin(&runtime));
        };
        if !matches!(value, Ok(Some(_))) {
            self.reading = None;
        }
        (self, value)
    }

    /// In a body the item and the end are recorded, and so is an error.
    async fn next_in_body(
        mut self,
        runtime: Arc<Runtime>,
        reserved: ReservedPosition,
    ) -> (Self, Result<Option<String>>) {
        let name = Arc::clone(&self.name);
        let operation = Operation::read_stream(&name);
        let codec = Codec::<Result<Option<RecordedItem>>>::TYPED_FROM_ENGINE;
        reserved.check_same_body("read_stream").await;
        if let Some(record) = reserved.replayed(operation).await {
            let item = reserved.decode(codec, record).await;
            return match item {
                Ok(Some(item)) => {
                    self.mark = StreamCursor { at: item.at.into(), key: item.key.into() };
                    self.page.clear();
                    (self, Ok(Some(item.value.get().to_owned())))
                }
                Ok(None) => (self, Ok(None)),
                Err(error) => (self, Err(error)),
            };
        }
        let execution = &reserved.execution;
        if *self.id == *execution.row.id {
            reserved.ensure_accepting_and_flushed().await; // what it has written itself a moment ago is read
        } else {
            reserved.ensure_accepting().await;
        }
        let value = loop {
            let read = {
                let source = tokio::sync::Mutex::new(&mut self);
                look::answer_in_body(&reserved, READ, || async { source.lock().await.try_next(&runtime, true).await })
                    .await
            };
            match read {
                Ok(Some(next)) => break Ok(next),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            let _activity = execution.begin_activity(Activity::Stream(Arc::clone(&self.name)));
            if self.wait(&runtime, true).next().await.is_none() {
                return execution.stop_here(StopReason::Suspend).await;
            }
        };
        let recorded = value.clone().and_then(|value| value.map(|value| self.recorded(value)).transpose());
        match reserved.encode(codec, operation, &recorded) {
            Ok(outcome) => {
                let (outcome, child) = (Some(outcome), Some(self.id.to_string()));
                let done = OperationResult { outcome, child, attempts: 1, ..OperationResult::default() };
                reserved.record_result(operation, done).await;
                (self, value)
            }
            Err(error) => execution.stop_here(StopReason::Fail(error)).await,
        }
    }

    fn recorded(&self, value: String) -> Result<RecordedItem> {
        let value = RawValue::from_string(value)?;
        Ok(RecordedItem { value, at: self.mark.at.as_micros(), key: self.mark.key.get() })
    }

    /// What is there now: the next value, or `Some(None)` at the end; `None` if the workflow may write more.
    async fn try_next(
        &mut self,
        runtime: &Runtime,
        in_body: bool,
    ) -> std::result::Result<Result<Option<Option<String>>>, StoreError> {
        if self.ended {
            return Ok(Ok(Some(None)));
        }
        if self.page.is_empty() {
            let read = runtime.store.read_stream(&self.id, &self.name, self.mark, PAGE).await?;
            let Some(status) = read.status else { return Ok(Err(admin::not_found(&self.id))) };
            self.page.extend(read.items);
            if self.page.is_empty() && status == Status::Parked && !in_body {
                let message =
                    format!("the workflow {:?} is parked, and its stream {:?} is not complete", self.id, self.name);
                return Ok(Err(Error::new(ErrorKind::Parked, message)));
            }
            if self.page.is_empty() && !status.is_terminal() {
                return Ok(Ok(None));
            }
        }
        let value = self.page.pop_front().and_then(|item| {
            self.mark = item.cursor;
            item.value
        });
        self.ended = value.is_none();
        Ok(Ok(Some(value)))
    }

    /// Begins to wait until there is more to read, or the workflow has ended; outside of workflows also until it is
    /// parked.
    fn wait<'r>(&self, runtime: &'r Runtime, in_body: bool) -> WaitHandle<'r> {
        let of = Box::new(Publisher { id: Arc::clone(&self.id), name: Arc::clone(&self.name) });
        let wait_for = WaitFor::Stream { of, mark: Box::new(self.mark), parked_counts: !in_body };
        runtime.waiters.wait(&self.id, wait_for, in_body)
    }
}
