//! The one door for writing.
//!
//! Everything that executions write goes through one task: it takes whatever is waiting, commits it
//! together, and answers each caller. So a hundred workflows share one commit, every caller still
//! waits until its own record is durable, and a lone caller waits for nobody.

mod completion;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::store::{Entry, Fence, Store, StoreError, StoreErrorKind, Verdict};
use crate::types::backoff::Backoff;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::writer::completion::{Completion, engine_closed, unconfirmed};

/// How many rows one commit takes. Beyond about a thousand nothing is gained per row.
const MAX_ROWS: usize = 1024;
/// How many payload bytes one commit takes, so that small records do not wait for a large one.
const MAX_BYTES: usize = 1 << 20;
/// An entry above this size is committed alone.
const ALONE_BYTES: usize = 64 << 10;
/// How often the writer lets other tasks run before it flushes: callers that were answered a moment
/// ago get to bring their next record. Measured to double the throughput at 16 callers and to cost
/// one caller nothing; a timer would add to the latency of a lone caller.
const YIELDS: usize = 8;
/// The delays between attempts while the database cannot be reached.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(5));
/// The delay between attempts after any other temporary error.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// How long a database that was away has for the last try, once the abort has begun: enough to
/// connect and to commit where it is back, and not so long that anybody has to wait for one that is not.
const LAST_TRY: Duration = Duration::from_millis(150);

enum WriteRequest {
    Write { fence: Fence, entry: Box<Entry>, answer: Completion },
    Stop,
}

/// The callers' end.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: UnboundedSender<WriteRequest>,
    pulse: Arc<WriterPulse>,
}

/// The task's end, until the engine spawns it.
pub(crate) struct WriterInbox {
    jobs: UnboundedReceiver<WriteRequest>,
    pulse: Arc<WriterPulse>,
}

/// What the writer is about, for those who can wait for it.
#[derive(Debug, Default)]
struct WriterPulse {
    /// Whether something is being committed, or about to be.
    busy: AtomicBool,
    /// Told when a batch is answered.
    flushed: Notify,
}

impl Writer {
    pub(crate) fn new() -> (Self, WriterInbox) {
        let (sender, receiver) = unbounded_channel();
        let pulse = Arc::<WriterPulse>::default();
        (Self { jobs: sender, pulse: Arc::clone(&pulse) }, WriterInbox { jobs: receiver, pulse })
    }

    /// Hands over an entry; `answer` is called once it is durable, or cannot be.
    pub(crate) fn submit(
        &self,
        fence: Fence,
        entry: Box<Entry>,
        answer: impl FnOnce(Result<Verdict, StoreError>) + Send + 'static,
    ) {
        self.enqueue(fence, entry, Completion::new(answer));
    }

    fn enqueue(&self, fence: Fence, entry: Box<Entry>, answer: Completion) {
        // What is refused here is dropped, and says so by itself.
        let _ = self.jobs.send(WriteRequest::Write { fence, entry, answer });
    }

    /// Hands over an entry and waits for its verdict. `then` is called with the verdict even if the
    /// caller no longer waits, which is no reason not to write: on the writer's task, so it must not block.
    ///
    /// # Errors
    /// [`StoreErrorKind::Closed`]: the engine goes down, and nothing was written. [`StoreErrorKind::Unreachable`]: nobody
    /// knows whether it was. What is refused for what it is, as the store says.
    pub(crate) async fn write(
        &self,
        fence: Fence,
        entry: Entry,
        then: impl FnOnce(&Verdict) + Send + 'static,
    ) -> Result<Verdict, StoreError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let answer = Completion::new(move |verdict| {
            if let Ok(verdict) = &verdict {
                then(verdict);
            }
            drop(sender.send(verdict));
        });
        self.enqueue(fence, Box::new(entry), answer.for_external_caller());
        receiver.await.unwrap_or_else(|_| Err(unconfirmed())) // cannot be: it is answered however it ends
    }

    /// Returns when the batch that is under way is answered; at once when there is none.
    pub(crate) async fn flushed(&self) {
        let mut flushed = pin!(self.pulse.flushed.notified());
        flushed.as_mut().enable(); // before the look, so that an answer between the two is heard
        if self.pulse.busy.load(Ordering::Acquire) {
            flushed.await;
        }
    }

    /// Lets the task end once everything handed over before is answered.
    pub(crate) fn stop(&self) {
        let _ = self.jobs.send(WriteRequest::Stop); // an error says that it has ended already
    }
}

/// The writer's task.
pub(crate) async fn run(mut inbox: WriterInbox, store: &dyn Store, gate: &ShutdownSignal) {
    let mut waiting: Vec<WriteRequest> = Vec::new();
    let mut away = false;
    loop {
        if waiting.is_empty() && inbox.jobs.recv_many(&mut waiting, MAX_ROWS).await == 0 {
            return; // every sender is gone
        }
        inbox.pulse.busy.store(true, Ordering::Release);
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
            while waiting.len() < MAX_ROWS
                && let Ok(job) = inbox.jobs.try_recv()
            {
                waiting.push(job);
            }
        }
        if let Some(batch) = next_batch(&mut waiting) {
            flush(batch, store, gate, &mut away).await;
        } else {
            inbox.pulse.rest();
            return; // the job at the front says stop
        }
        if waiting.is_empty() {
            inbox.pulse.rest();
        } else {
            inbox.pulse.flushed.notify_waiters();
        }
    }
}

impl WriterPulse {
    /// There is nothing more to commit for now.
    fn rest(&self) {
        self.busy.store(false, Ordering::Release);
        self.flushed.notify_waiters();
    }
}

/// Jobs of one fence that go into one commit, in the order in which they came.
struct Batch {
    fence: Fence,
    entries: Vec<Entry>,
    answers: Vec<Completion>,
}

/// Takes a batch from the front of the line; `None` when the front is a stop.
fn next_batch(waiting: &mut Vec<WriteRequest>) -> Option<Batch> {
    let Some(WriteRequest::Write { fence, .. }) = waiting.first() else { return None };
    let fence = *fence;
    let (mut rows, mut bytes, mut taken) = (0, 0, 0);
    for job in waiting.iter() {
        let WriteRequest::Write { fence: of_job, entry, .. } = job else { break };
        let (more_rows, more_bytes) = (entry.rows(), entry.bytes());
        let too_much = rows + more_rows > MAX_ROWS || bytes + more_bytes > MAX_BYTES || more_bytes > ALONE_BYTES;
        if taken > 0 && (too_much || *of_job != fence) {
            break;
        }
        (rows, bytes, taken) = (rows + more_rows, bytes + more_bytes, taken + 1);
        if more_bytes > ALONE_BYTES {
            break;
        }
    }
    let mut batch = Batch { fence, entries: Vec::with_capacity(taken), answers: Vec::with_capacity(taken) };
    for job in waiting.drain(..taken) {
        if let WriteRequest::Write { entry, answer, .. } = job {
            batch.entries.push(*entry);
            batch.answers.push(answer);
        }
    }
    Some(batch)
}

/// Commits a batch and answers everybody in it, however long the database is away.
async fn flush(batch: Batch, store: &dyn Store, gate: &ShutdownSignal, away: &mut bool) {
    let Batch { fence, entries, mut answers } = batch;
    answers.iter_mut().for_each(Completion::mark_sent);
    let mut verdicts = Vec::with_capacity(entries.len());
    // Halving is a stack and no recursion, so that the future has a size.
    let mut ranges = vec![(0, entries.len())];
    while let Some((from, to)) = ranges.pop() {
        match commit(fence, &entries[from..to], store, gate, away).await {
            Ok(CommitOutcome { verdicts: of_range, doubted }) => {
                verdicts.extend(of_range.into_iter().zip(&answers[from..to]).map(|(verdict, answer)| {
                    // It may have been stored before another executor took over, by the try without an answer.
                    let lost = doubted && answer.is_from_caller() && verdict == Verdict::Fenced;
                    if lost { Err(unconfirmed()) } else { Ok(verdict) }
                }));
            }
            Err(error) if to - from > 1 && matches!(error.kind, StoreErrorKind::Refused | StoreErrorKind::Foreign) => {
                // One entry is at fault and the others must not suffer for it.
                let middle = usize::midpoint(from, to);
                ranges.push((middle, to));
                ranges.push((from, middle));
            }
            Err(error) => verdicts.extend((from..to).map(|_| Err(error.clone()))),
        }
    }
    for (answer, verdict) in answers.into_iter().zip(verdicts) {
        answer.complete(verdict);
    }
}

/// What came of a commit.
struct CommitOutcome {
    verdicts: Vec<Verdict>,
    /// Whether a try before the last one may have been carried out.
    doubted: bool,
}

/// Commits some entries, again and again while the fault is one that passes. `away` is whether the
/// database could not be reached when it was tried last: such a one is not waited for in the abort.
///
/// # Errors
/// As [`Writer::write`].
async fn commit(
    fence: Fence,
    entries: &[Entry],
    store: &dyn Store,
    gate: &ShutdownSignal,
    away: &mut bool,
) -> Result<CommitOutcome, StoreError> {
    let (mut failed, mut doubted) = (0_u32, false);
    loop {
        // From then on a database that is away is not waited for, and this is the last try.
        let is_last = gate.is_aborting();
        let tried = tokio::select! {
            biased;
            tried = store.commit(fence, entries, failed > 0) => tried,
            () = last_attempt_deadline(gate), if *away => return Err(unconfirmed()),
        };
        *away = matches!(&tried, Err(error) if error.kind == StoreErrorKind::Unreachable);
        match tried {
            Ok(verdicts) => {
                if failed > 0 {
                    tracing::info!(target: "durable", attempts = failed + 1, "the database answers again");
                }
                return Ok(CommitOutcome { verdicts, doubted });
            }
            Err(error) if *away && is_last => return Err(error),
            Err(error) if error.is_temporary() => {
                if failed == 0 {
                    tracing::warn!(target: "durable", %error, "a write failed and is tried again until it succeeds");
                }
                doubted |= *away;
                failed += 1;
                let pause = if *away { DELAYS.delay(failed) } else { RETRY_DELAY };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = gate.wait_for(EnginePhase::Aborting), if *away => {}
                    () = gate.wait_for(EnginePhase::Stopping) => return Err(if doubted { unconfirmed() } else { engine_closed() }),
                }
            }
            Err(error) if error.kind == StoreErrorKind::Closed && doubted => return Err(unconfirmed()),
            Err(error) => return Err(error),
        }
    }
}

/// Returns when a database that was away is no longer waited for.
async fn last_attempt_deadline(gate: &ShutdownSignal) {
    gate.wait_for(EnginePhase::Aborting).await;
    tokio::time::sleep(LAST_TRY).await;
}

impl fmt::Debug for WriterInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NewWorkflow;

    fn job(bytes: usize, epoch: i64) -> WriteRequest {
        let begin = NewWorkflow {
            key: 1.into(),
            id: "w".into(),
            name: "w".into(),
            input: "x".repeat(bytes),
            instance: None,
            parent: None,
            version: String::new(),
            fingerprint: 0,
            timeout: None,
            deadline: None,
            placement: None,
        };
        let entry = Box::new(Entry { start: Some(begin), ..Entry::default() });
        WriteRequest::Write { fence: Fence { executor: 1.into(), epoch }, entry, answer: Completion::new(drop) }
    }

    fn sizes(mut waiting: Vec<WriteRequest>) -> Vec<usize> {
        std::iter::from_fn(|| next_batch(&mut waiting).map(|it| it.entries.len())).collect()
    }

    #[test]
    fn a_batch_is_bounded_and_a_large_payload_goes_alone() {
        let small = || job(10, 1);
        assert_eq!(sizes((0..2000).map(|_| small()).collect()), [1024, 976]);
        assert_eq!(sizes(vec![small(), job(100 << 10, 1), small(), small()]), [1, 1, 2]);
        assert_eq!(sizes((0..40).map(|_| job(60 << 10, 1)).collect()), [17, 17, 6]);
    }

    #[test]
    fn a_batch_has_one_fence() {
        assert_eq!(sizes(vec![job(1, 1), job(1, 1), job(1, 2)]), [2, 1]);
    }

    #[test]
    fn nothing_behind_a_stop_is_taken() {
        let mut waiting = vec![job(1, 1), WriteRequest::Stop, job(1, 1)];
        assert_eq!(next_batch(&mut waiting).expect("one is before it").entries.len(), 1);
        assert!(next_batch(&mut waiting).is_none());
    }
}
