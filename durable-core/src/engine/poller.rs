//! The task that polls the database for everything that workflows and callers wait for, with one statement.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::StoreError;
use crate::types::backoff::WHILE_DATABASE_IS_AWAY;
use crate::types::keys::WorkflowKey;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;

/// How often it polls if notifications work, in case one was lost.
const SAFETY_POLL: Duration = Duration::from_secs(10);
/// How often it polls without notifications, from the first poll of a new wait to the longest interval.
const POLL_WITHOUT_LISTEN: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(800)];
/// Polling takes at most 1 / `MAX_SHARE` of the time, however many waits there are.
const MAX_SHARE: u32 = 20;
/// How far each search for cancelled workflows reaches back behind the one before: a cancellation has the
/// time of its statement, and becomes visible later, with its commit.
const CANCELLED_OVERLAP: Duration = Duration::from_secs(10);

/// The poller's task.
pub(super) async fn run(runtime: &Runtime) {
    let mut cancelled = CancellationPoll {
        since: runtime.timers.clock.lower_bound().saturating_sub(CANCELLED_OVERLAP),
        known: HashSet::new(),
    };
    let mut interval = POLL_WITHOUT_LISTEN[0];
    let mut min_interval = Duration::ZERO;
    let mut polled_all_at = Instant::now();
    let mut failed = 0_u32;
    loop {
        let timeout = match failed {
            0 => if runtime.waiters.is_listening() { SAFETY_POLL } else { interval }.max(min_interval),
            _ => WHILE_DATABASE_IS_AWAY.delay(failed),
        };
        let woken = tokio::select! {
            woken = runtime.waiters.wakeup.wait_timeout(timeout) => woken,
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        };
        let max_interval = if runtime.waiters.is_listening() { SAFETY_POLL } else { POLL_WITHOUT_LISTEN[1] };
        if woken {
            interval = POLL_WITHOUT_LISTEN[0];
        } else if failed == 0 {
            interval = (interval * 2).min(POLL_WITHOUT_LISTEN[1]);
            if runtime.waiters.is_empty() && (runtime.waiters.is_listening() || runtime.running.is_empty()) {
                continue; // there is nothing to poll for
            }
        }
        // Calls that begin to wait wake the poller too: however many they are, the others get their turn.
        if failed == 0 && (!woken || polled_all_at.elapsed() >= max_interval.max(min_interval)) {
            polled_all_at = Instant::now();
            runtime.waiters.notify_all();
        }
        let started = Instant::now();
        tokio::select! {
            polled = poll_once(runtime, &mut cancelled) => match polled {
                Ok(()) => failed = 0,
                Err(error) => {
                    failed += 1;
                    tracing::debug!(target: "durable", attempts = failed, %error, "polling failed");
                }
            },
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        }
        min_interval = started.elapsed().saturating_mul(MAX_SHARE);
    }
}

/// The state of the search for cancelled workflows.
struct CancellationPoll {
    /// The next poll asks for cancellations from this time on.
    since: Timestamp,
    /// The keys of the last answer: their runs were already asked to stop.
    known: HashSet<WorkflowKey>,
}

async fn poll_once(runtime: &Runtime, cancelled: &mut CancellationPoll) -> Result<(), StoreError> {
    let mut batch = runtime.waiters.next_batch();
    if !runtime.running.is_empty() {
        batch.request.cancelled = Some((runtime.fence().executor, cancelled.since));
    }
    let sent = Instant::now();
    let mut found = match runtime.store.poll(&batch.request).await {
        Ok(found) => found,
        Err(error) => {
            runtime.waiters.retry(&batch);
            return Err(error);
        }
    };
    runtime.timers.clock.observe(found.now, sent);
    cancelled.since = found.now.saturating_sub(CANCELLED_OVERLAP);
    let now_cancelled: HashSet<WorkflowKey> = std::mem::take(&mut found.cancelled).into_iter().collect();
    let mut known: HashSet<WorkflowKey> = cancelled.known.intersection(&now_cancelled).copied().collect();
    if known.len() < now_cancelled.len() {
        for run in runtime.running.all().iter().filter(|run| now_cancelled.contains(&run.key)) {
            run.request_stop(StopReason::Cancelled);
            known.insert(run.key); // one whose run has not begun yet is looked for again
        }
    }
    cancelled.known = known;
    runtime.waiters.resolve(&batch, found);
    Ok(())
}
