//! The writer: the one task that writes the records of executions.
//!
//! It takes whatever is waiting, commits it together, and completes each caller. So a hundred workflows
//! share one commit (a group commit), every caller still waits until its own record is durable, and a
//! lone caller does not wait for others.

pub(crate) mod completion;
mod flush;
mod set_aside;
mod write_batch;

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::store::{Commit, Entry, Fence, StoreError, Verdict};
use crate::types::sync::atomic::{AtomicBool, Ordering};
use crate::wait::shutdown_phase::ShutdownSignal;
use crate::writer::completion::{Completion, unconfirmed};
use crate::writer::flush::flush;
use crate::writer::set_aside::SetAside;
use crate::writer::write_batch::{MAX_ROWS, WriteRequest, next_batch};

/// How often the writer yields at most before it commits: callers that were completed a moment ago can submit
/// their next record. Measured to double the throughput at 16 callers. It stops when all of them are back, so a lone
/// caller is not yielded for; a timer would add to its latency.
const YIELDS_BEFORE_COMMIT: usize = 8;
/// The callers' side.
#[derive(Debug)]
pub(crate) struct Writer {
    requests: UnboundedSender<WriteRequest>,
    activity: Arc<WriterActivity>,
}

/// The task's side, until the engine spawns it.
#[derive(Debug)]
pub(crate) struct WriterInbox {
    requests: UnboundedReceiver<WriteRequest>,
    activity: Arc<WriterActivity>,
}

/// What the writer does just now, for calls that wait for it.
#[derive(Debug, Default)]
struct WriterActivity {
    /// Whether something is being committed, or about to be.
    busy: AtomicBool,
    /// Whether writes are set aside, or wait again after that: some of them may be stored already.
    unsettled: AtomicBool,
    /// Notified when a batch is completed.
    flushed: Notify,
}

impl Writer {
    pub(crate) fn new() -> (Self, WriterInbox) {
        let (sender, receiver) = unbounded_channel();
        let activity = Arc::<WriterActivity>::default();
        (Self { requests: sender, activity: Arc::clone(&activity) }, WriterInbox { requests: receiver, activity })
    }

    /// Submits an entry; `completion` is called once it is durable, or cannot be.
    pub(crate) fn submit(&self, fence: Fence, entry: Entry, completion: Completion) {
        // If the task has ended, the request is dropped, and the completion with it reports that.
        let _ = self.requests.send(WriteRequest::Write { fence, entry, completion, uncertain: false });
    }

    /// Submits an entry and waits for its verdict. `then` is called with the verdict even if the caller's
    /// future was dropped, for the entry is written all the same: on the writer's task, so it must not block.
    ///
    /// # Errors
    /// [`StoreErrorKind::Closed`]: the engine shuts down, and nothing was written. [`StoreErrorKind::Unreachable`]: it
    /// may have been written. Refusals of the store as they are.
    pub(crate) async fn write(
        &self,
        fence: Fence,
        entry: Entry,
        then: impl FnOnce(&Verdict) + Send + 'static,
    ) -> Result<Verdict, StoreError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let completion = Completion::new(move |verdict| {
            if let Ok(verdict) = &verdict {
                then(verdict);
            }
            drop(sender.send(verdict));
        });
        self.submit(fence, entry, completion.for_external_caller());
        receiver.await.unwrap_or_else(|_| Err(unconfirmed())) // does not happen: each completion is called
    }

    /// Returns when the batch that is being committed is completed; at once if there is none.
    pub(crate) async fn flushed(&self) {
        let mut flushed = pin!(self.activity.flushed.notified());
        flushed.as_mut().enable(); // before the check, so that a notification between the two is received
        if self.activity.busy.load(Ordering::Acquire) {
            flushed.await;
        }
    }

    /// Whether there are writes whose last attempt failed. A workflow that such a write starts may be in
    /// the database and has no run yet.
    pub(crate) fn has_unsettled(&self) -> bool {
        self.activity.unsettled.load(Ordering::Acquire)
    }

    /// Whether something is being committed, or about to be.
    #[cfg(feature = "testing")]
    pub(crate) fn is_busy(&self) -> bool {
        self.activity.busy.load(Ordering::Acquire)
    }

    /// Ends the task once everything submitted before is completed.
    pub(crate) fn stop(&self) {
        let _ = self.requests.send(WriteRequest::Stop); // an error says that it has ended already
    }
}

/// The writer's task.
pub(crate) async fn run(mut inbox: WriterInbox, store: &dyn Commit, shutdown: &ShutdownSignal) {
    let mut waiting: Vec<WriteRequest> = Vec::new();
    let mut set_aside = SetAside::default();
    let unreachable = AtomicBool::new(false);
    let mut expected = 0; // how many wait once all callers that were just completed are back
    loop {
        if waiting.is_empty() {
            tokio::select! {
                many = inbox.requests.recv_many(&mut waiting, MAX_ROWS) => if many == 0 {
                    return; // every sender is gone
                },
                () = set_aside.wait_until_due(shutdown) => {}
            }
        }
        inbox.activity.busy.store(true, Ordering::Release);
        let mut yields = 0;
        loop {
            while waiting.len() < MAX_ROWS
                && let Ok(request) = inbox.requests.try_recv()
            {
                waiting.push(request);
            }
            if waiting.len() >= expected || yields == YIELDS_BEFORE_COMMIT {
                break;
            }
            yields += 1;
            tokio::task::yield_now().await;
        }
        set_aside.hold_back(&mut waiting);
        set_aside.put_back_if_due(&mut waiting, shutdown);
        if let Some(batch) = next_batch(&mut waiting) {
            let (others, many) = (waiting.len(), batch.completions.len());
            let waiting_now = || inbox.requests.len();
            let parts = batch.divide(store.commits_at_once());
            let parts = parts.into_iter().map(|part| flush(part, store, shutdown, &unreachable, &waiting_now));
            let flushed = join_all(parts).await;
            // When the first part was completed: later, its callers are among those that wait.
            expected = others + many + flushed.iter().map(|it| it.came_meanwhile).min().unwrap_or_default();
            if flushed.iter().all(|it| it.failed.is_none()) {
                set_aside.succeeded();
            }
            for (requests, error) in flushed.into_iter().filter_map(|it| it.failed) {
                set_aside.add(requests, &error);
            }
        } else if !waiting.is_empty() {
            inbox.activity.set_idle();
            return; // a stop is at the front
        }
        let unsettled = &inbox.activity.unsettled;
        let any_waits = || waiting.iter().any(WriteRequest::is_uncertain);
        let still = !set_aside.is_empty() || unsettled.load(Ordering::Relaxed) && any_waits();
        unsettled.store(still, Ordering::Release); // before callers are notified
        if waiting.is_empty() {
            inbox.activity.set_idle();
        } else {
            inbox.activity.flushed.notify_waiters();
        }
    }
}

impl WriterActivity {
    /// Nothing more is to be committed for now.
    fn set_idle(&self) {
        self.busy.store(false, Ordering::Release);
        self.flushed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::task::{JoinSet, yield_now};

    use super::*;
    use crate::store::{Finish, StoreFuture};
    use crate::types::keys::MessageKey;

    /// Counts commits, which take a moment.
    #[derive(Debug, Default)]
    struct CountingStore(AtomicUsize);

    impl Commit for CountingStore {
        fn commit<'a>(&'a self, _: Fence, entries: &'a [Entry], _: bool) -> StoreFuture<'a, Vec<Verdict>> {
            Box::pin(async move {
                self.0.fetch_add(1, Ordering::Relaxed);
                for _ in 0..4 {
                    yield_now().await;
                }
                Ok(vec![Verdict::Stored; entries.len()])
            })
        }
    }

    /// The commits of callers that write so often each, one after the other, and how often another task of the same
    /// thread was polled meanwhile.
    async fn commits_of(callers: usize, writes: usize) -> (usize, usize) {
        let (writer, inbox) = Writer::new();
        let (writer, store) = (Arc::new(writer), Arc::<CountingStore>::default());
        let shared = Arc::clone(&store);
        let task = tokio::spawn(async move { run(inbox, &*shared, &ShutdownSignal::new()).await });
        let polls = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&polls);
        let other_task = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let mut running = JoinSet::new();
        for caller in 0..callers {
            // The second half begins while the first commit is under way.
            while caller > 0 && caller == callers / 2 && store.0.load(Ordering::Relaxed) == 0 {
                yield_now().await;
            }
            let writer = Arc::clone(&writer);
            running.spawn(async move {
                for _ in 0..writes {
                    let entry = Entry { received: vec![MessageKey::new(1)], ..Entry::default() };
                    let fence = Fence { executor: 1.into(), epoch: 1.into() };
                    let written = writer.write(fence, entry, |_| {}).await;
                    assert_eq!(written.expect("the store takes everything"), Verdict::Stored);
                }
            });
        }
        running.join_all().await;
        other_task.abort();
        writer.stop();
        task.await.expect("the writer ends");
        (store.0.load(Ordering::Relaxed), polls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn callers_that_were_just_completed_share_the_next_commit() {
        let (commits, _) = commits_of(16, 50).await;
        assert!(commits <= 60, "16 callers with 50 writes each made {commits} commits");
    }

    /// Answers only when two commits are there at once.
    #[derive(Debug)]
    struct PairedStore(tokio::sync::Barrier);

    impl Commit for PairedStore {
        fn commit<'a>(&'a self, _: Fence, entries: &'a [Entry], _: bool) -> StoreFuture<'a, Vec<Verdict>> {
            Box::pin(async move {
                self.0.wait().await;
                Ok(vec![Verdict::Stored; entries.len()])
            })
        }

        fn commits_at_once(&self) -> usize {
            2
        }
    }

    #[tokio::test]
    async fn parts_of_a_large_batch_are_committed_at_the_same_time() {
        let (writer, inbox) = Writer::new();
        let (sender, mut completed) = unbounded_channel();
        for run in 0..500 {
            let finish = Finish {
                workflow: run.into(),
                attempt: 1,
                status: crate::types::status::Status::Success,
                outcome: None,
                reason: None,
            };
            let entry = Entry { finish: Some(finish), ..Entry::default() };
            let sender = sender.clone();
            let fence = Fence { executor: 1.into(), epoch: 1.into() };
            let completion = Completion::new(move |verdict| {
                let _ = sender.send(verdict.expect("the store takes everything"));
            });
            writer.submit(fence, entry, completion);
        }
        writer.stop();
        drop(sender);
        let (store, shutdown) = (PairedStore(tokio::sync::Barrier::new(2)), ShutdownSignal::new());
        let ended = tokio::time::timeout(Duration::from_secs(10), run(inbox, &store, &shutdown)).await;
        ended.expect("a commit waits for another one that does not come");
        let mut many = 0;
        while completed.recv().await.is_some() {
            many += 1;
        }
        assert_eq!(many, 500);
    }

    #[tokio::test]
    async fn a_lone_caller_is_not_yielded_for() {
        let (commits, polls) = commits_of(1, 100).await;
        assert_eq!(commits, 100);
        // The commit itself yields four times, and the two tasks wake each other.
        assert!(polls < 100 * YIELDS_BEFORE_COMMIT, "another task was polled {polls} times");
    }
}
