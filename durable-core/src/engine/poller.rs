//! The task that asks the database for everything that is waited for, in one statement.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::StoreError;
use crate::types::backoff::Backoff;
use crate::types::keys::WorkflowKey;
use crate::types::time::micros;
use crate::wait::shutdown_phase::EnginePhase;

/// How often the database is asked although nobody has told of news, where somebody would have.
const SAFETY_POLL: Duration = Duration::from_secs(10);
/// How often where nobody tells, from the first time after somebody began to wait to the longest.
const POLL_WITHOUT_LISTEN: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(800)];
/// The delays after polls, or listeners, that failed.
pub(super) const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(6));
/// Asking by the clock takes at most this part of the time, however many wait.
const MAX_SHARE: u32 = 20;
/// How far a look for cancelled workflows reaches back behind the last one: a cancellation shows up
/// when it is committed, and bears the time from before.
const CANCELLED_OVERLAP: Duration = Duration::from_secs(10);
/// The task that asks.
pub(super) async fn run(runtime: &Runtime) {
    let mut cancelled = CancellationPoll {
        since: runtime.timers.clock.lower_bound() - micros(CANCELLED_OVERLAP),
        known: HashSet::new(),
    };
    let mut pause = POLL_WITHOUT_LISTEN[0];
    let mut rest = Duration::ZERO;
    let mut failed = 0_u32;
    loop {
        let longest = match failed {
            0 => if runtime.waiters.is_listening() { SAFETY_POLL } else { pause }.max(rest),
            _ => DELAYS.delay(failed),
        };
        let poked = tokio::select! {
            poked = runtime.waiters.wakeup.wait_timeout(longest) => poked,
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        };
        if poked {
            pause = POLL_WITHOUT_LISTEN[0];
        } else if failed == 0 {
            pause = (pause * 2).min(POLL_WITHOUT_LISTEN[1]);
            if runtime.waiters.is_empty() && (runtime.waiters.is_listening() || runtime.running.is_empty()) {
                continue; // nobody would hear the answer
            }
            runtime.waiters.notify_all();
        }
        let begun = Instant::now();
        tokio::select! {
            looked = poll_once(runtime, &mut cancelled) => match looked {
                Ok(()) => failed = 0,
                Err(error) => {
                    failed += 1;
                    tracing::debug!(target: "durable", %error, "asking the database for news failed");
                }
            },
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        }
        rest = begun.elapsed().saturating_mul(MAX_SHARE);
    }
}

/// What is known of cancelled workflows.
struct CancellationPoll {
    /// Since when they are asked for.
    since: i64,
    /// Those of the last answer, whose bodies were told.
    known: HashSet<WorkflowKey>,
}

async fn poll_once(runtime: &Runtime, cancelled: &mut CancellationPoll) -> Result<(), StoreError> {
    let mut question = runtime.waiters.next_batch();
    if !runtime.running.is_empty() {
        question.request.cancelled = Some((runtime.fence().executor, cancelled.since));
    }
    let asked = Instant::now();
    let mut found = match runtime.store.poll(&question.request).await {
        Ok(found) => found,
        Err(error) => {
            runtime.waiters.retry(&question);
            return Err(error);
        }
    };
    runtime.timers.clock.observe(found.now, asked);
    cancelled.since = found.now - micros(CANCELLED_OVERLAP);
    let now_cancelled: HashSet<WorkflowKey> = std::mem::take(&mut found.cancelled).into_iter().collect();
    if !now_cancelled.is_subset(&cancelled.known) {
        for run in runtime.running.all().iter().filter(|run| now_cancelled.contains(&run.key)) {
            run.request_stop(StopReason::Cancelled);
        }
    }
    cancelled.known = now_cancelled;
    runtime.waiters.resolve(&question, found);
    Ok(())
}
