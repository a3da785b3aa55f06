//! The writer: the one task that writes the records of executions.
//!
//! It takes whatever is waiting, commits it together, and completes each caller. So a hundred workflows
//! share one commit (a group commit), every caller still waits until its own record is durable, and a
//! lone caller does not wait for others.

mod completion;
mod set_aside;
mod write_batch;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::store::{Commit, Entry, Fence, StoreError, StoreErrorKind, Verdict};
use crate::types::backoff::WHILE_DATABASE_IS_AWAY;
use crate::types::metrics::{self, Stopwatch};
use crate::types::sync::atomic::{AtomicBool, Ordering};
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::writer::completion::{Completion, engine_closed, unconfirmed};
use crate::writer::set_aside::{SetAside, untried_first};
use crate::writer::write_batch::{MAX_ROWS, WriteBatch, WriteRequest, next_batch};

/// How often the writer yields at most before it commits: callers that were completed a moment ago can submit
/// their next record. Measured to double the throughput at 16 callers. It stops when all of them are back, so a lone
/// caller is not yielded for; a timer would add to its latency.
const YIELDS_BEFORE_COMMIT: usize = 8;
/// The delay between attempts after any other temporary error.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// How long an unreachable database has for the last attempt, once the abort has begun: enough to
/// connect and to commit where it is back, and short where it is not.
const LAST_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(150);

/// After how many entries that fail alone the rest of a batch is not tried, where nothing of it succeeds: the reason
/// is probably not in the entries. Where the database cannot be reached each attempt takes long.
const MOST_FAILED: u32 = 16;
const MOST_UNREACHABLE: u32 = 2;

/// How often entries are tried again at once before they are divided or set aside, so that others continue.
fn most_retries(kind: StoreErrorKind) -> u32 {
    match kind {
        StoreErrorKind::Contended => 20,
        StoreErrorKind::Unreachable => 2,
        StoreErrorKind::Unavailable | StoreErrorKind::Closed | StoreErrorKind::Refused | StoreErrorKind::Foreign => 0,
    }
}

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
    pub(crate) fn submit(
        &self,
        fence: Fence,
        entry: Box<Entry>,
        completion: impl FnOnce(Result<Verdict, StoreError>) + Send + 'static,
    ) {
        self.enqueue(fence, entry, Completion::new(completion));
    }

    fn enqueue(&self, fence: Fence, entry: Box<Entry>, completion: Completion) {
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
        self.enqueue(fence, Box::new(entry), completion.for_external_caller());
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

/// What came of a batch.
struct Flushed {
    /// The entries that the database cannot take now, with the reason.
    failed: Option<(Vec<WriteRequest>, StoreError)>,
    /// How many requests were waiting when the first caller was completed.
    came_meanwhile: usize,
}

/// Commits a batch and completes each caller, however long the database cannot be reached. `waiting` counts the
/// requests that wait for the next batch.
async fn flush(
    batch: WriteBatch,
    store: &dyn Commit,
    shutdown: &ShutdownSignal,
    unreachable: &AtomicBool,
    waiting: &(impl Fn() -> usize + Sync),
) -> Flushed {
    let WriteBatch { fence, entries, mut completions, mut uncertain } = batch;
    completions.iter_mut().for_each(Completion::mark_sent);
    let mut verdicts = Vec::with_capacity(entries.len());
    let mut cannot: Option<CommitFailure> = None;
    let (mut any_stored, mut failed_alone, mut unreachable_alone) = (false, 0, 0);
    // Halving is a stack and no recursion, so that the future has a size.
    let mut ranges = vec![(0, entries.len())];
    while let Some((from, to)) = ranges.pop() {
        if !any_stored && (failed_alone >= MOST_FAILED || unreachable_alone >= MOST_UNREACHABLE) {
            break; // what is left was not tried
        }
        let committed = commit(fence, &entries[from..to], uncertain, store, shutdown, unreachable).await;
        if let Err(failure) = &committed {
            // An attempt without an answer may have stored them: whatever becomes of them, they are compared with what
            // is there. A value of an event or an item of a stream would be there twice otherwise.
            uncertain |= failure.uncertain || failure.error.kind == StoreErrorKind::Unreachable;
        }
        match committed {
            Ok(CommitOutcome { verdicts: range_verdicts, uncertain }) => {
                any_stored = true;
                verdicts.extend(range_verdicts.into_iter().zip(&completions[from..to]).map(|(verdict, completion)| {
                    // An attempt without an answer may have stored it before another executor took over.
                    let unknown = uncertain && completion.is_from_caller() && verdict == Verdict::Fenced;
                    Some(if unknown { Err(unconfirmed()) } else { Ok(verdict) })
                }));
            }
            // Where an abort does not reach the database, the reason is not in the entries.
            Err(CommitFailure { error, .. })
                if to - from > 1
                    && error.kind != StoreErrorKind::Closed
                    && !(error.kind == StoreErrorKind::Unreachable && shutdown.is_aborting()) =>
            {
                // One entry is at fault, or meets something that the others do not; these must be stored.
                let middle = usize::midpoint(from, to);
                ranges.push((middle, to));
                ranges.push((from, middle));
            }
            Err(failure) if failure.error.is_temporary() && !shutdown.is_aborting() => {
                failed_alone += 1;
                unreachable_alone += u32::from(failure.error.kind == StoreErrorKind::Unreachable);
                verdicts.push(None);
                cannot = Some(failure);
            }
            Err(CommitFailure { error, .. }) => verdicts.extend((from..to).map(|_| Some(Err(error.clone())))),
        }
    }
    let came_meanwhile = waiting();
    let (mut failed, mut untried) = (Vec::new(), Vec::new());
    let mut verdicts = verdicts.into_iter();
    for (entry, completion) in entries.into_iter().zip(completions) {
        let aside = match verdicts.next() {
            Some(Some(verdict)) => {
                completion.complete(verdict);
                continue;
            }
            Some(None) => &mut failed,
            None => &mut untried,
        };
        aside.push(WriteRequest::Write { fence, entry: Box::new(entry), completion, uncertain });
    }
    let failed = cannot.map(|failure| (untried_first(failed, untried, WriteRequest::run), failure.error));
    Flushed { failed, came_meanwhile }
}

/// The outcome of a commit.
struct CommitOutcome {
    verdicts: Vec<Verdict>,
    /// Whether an attempt before the last one may have been carried out.
    uncertain: bool,
}

/// A commit that failed.
struct CommitFailure {
    error: StoreError,
    /// Whether an attempt before the last one may have been carried out.
    uncertain: bool,
}

/// Commits some entries, and retries while the database cannot be reached. `unreachable` is whether the last
/// attempt did not reach the database: an abort does not wait for such a one.
///
/// # Errors
/// As [`Writer::write`]; and the error of a database that cannot do it now. In the abort that is an error as
/// of a database that cannot be reached.
async fn commit(
    fence: Fence,
    entries: &[Entry],
    uncertain: bool,
    store: &dyn Commit,
    shutdown: &ShutdownSignal,
    unreachable: &AtomicBool,
) -> Result<CommitOutcome, CommitFailure> {
    let (mut failed, mut uncertain) = (0_u32, uncertain);
    let fail = |error, uncertain| Err(CommitFailure { error, uncertain });
    loop {
        // In the abort an unreachable database is not waited for, so this is the last attempt.
        let is_last = shutdown.is_aborting();
        let watch = Stopwatch::start();
        let committed = tokio::select! {
            biased;
            committed = store.commit(fence, entries, uncertain || failed > 0) => committed,
            () = last_attempt_deadline(shutdown), if unreachable.load(Ordering::Relaxed) => return fail(unconfirmed(), true),
        };
        if committed.is_err() {
            metrics::commit_failed();
        }
        let is_unreachable = matches!(&committed, Err(error) if error.kind == StoreErrorKind::Unreachable);
        let unreachable_before = unreachable.swap(is_unreachable, Ordering::Relaxed);
        match committed {
            Ok(verdicts) => {
                let fenced = || verdicts.iter().filter(|it| **it == Verdict::Fenced).count();
                metrics::committed(entries.len(), fenced, watch);
                if failed > 0 {
                    tracing::info!(target: "durable", attempts = failed + 1, "the database answers again");
                }
                return Ok(CommitOutcome { verdicts, uncertain });
            }
            Err(error) if is_unreachable && is_last => return fail(error, uncertain),
            Err(error) if failed < most_retries(error.kind) => {
                // An outage that lasts is logged where the writes are set aside.
                if failed == 0 && !unreachable_before {
                    tracing::warn!(target: "durable", %error, "a write failed and is tried again until it succeeds");
                }
                uncertain |= is_unreachable;
                failed += 1;
                let delay = if is_unreachable { WHILE_DATABASE_IS_AWAY.delay(failed) } else { RETRY_DELAY };
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = shutdown.wait_for(EnginePhase::Aborting), if is_unreachable => {}
                    () = shutdown.wait_for(EnginePhase::Stopping) => return fail(if uncertain { unconfirmed() } else { engine_closed() }, uncertain),
                }
            }
            Err(error) if uncertain && (error.kind == StoreErrorKind::Closed || is_last && error.is_temporary()) => {
                return fail(unconfirmed(), uncertain);
            }
            Err(error) if is_last && error.is_temporary() => return fail(engine_closed(), uncertain),
            Err(error) => return fail(error, uncertain),
        }
    }
}

/// Returns when an unreachable database is no longer waited for.
async fn last_attempt_deadline(shutdown: &ShutdownSignal) {
    shutdown.wait_for(EnginePhase::Aborting).await;
    tokio::time::sleep(LAST_ATTEMPT_TIMEOUT).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

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
            writer.submit(fence, Box::new(entry), move |verdict| {
                let _ = sender.send(verdict.expect("the store takes everything"));
            });
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
