//! The commit of a batch: attempts while the database is away, the search for the entry at fault, and the answers to the
//! callers.

use std::time::Duration;

use crate::store::{Commit, Entry, Fence, StoreError, StoreErrorKind, Verdict};
use crate::types::backoff::WHILE_DATABASE_IS_AWAY;
use crate::types::metrics::{self, Stopwatch};
use crate::types::sync::atomic::{AtomicBool, Ordering};
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::writer::completion::{Completion, engine_closed, unconfirmed};
use crate::writer::set_aside::untried_first;
use crate::writer::write_batch::{WriteBatch, WriteRequest};

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

/// What came of a batch.
pub(super) struct Flushed {
    /// The entries that the database cannot take now, with the reason.
    pub(super) failed: Option<(Vec<WriteRequest>, StoreError)>,
    /// How many requests were waiting when the first caller was completed.
    pub(super) came_meanwhile: usize,
}

/// Commits a batch and completes each caller, however long the database cannot be reached. `waiting` counts the
/// requests that wait for the next batch.
pub(super) async fn flush(
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
                completion.complete(verdict, entry);
                continue;
            }
            Some(None) => &mut failed,
            None => &mut untried,
        };
        aside.push(WriteRequest::Write { fence, entry, completion, uncertain });
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
/// As [`Writer::write`](super::Writer::write); and the error of a database that cannot do it now. In the abort that is an error as
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
