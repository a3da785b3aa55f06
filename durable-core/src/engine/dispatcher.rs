//! The dispatcher: claims workflows from queues, as far as there are free slots in this process, and runs them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::run_claimed::{self, StillRunning};
use crate::queue_state::NextClaim;
use crate::runtime::Runtime;
use crate::store::{ClaimRequest, Fence, StoreError, StoreErrorKind};
use crate::types::backoff::{Backoff, WHILE_DATABASE_IS_AWAY};
use crate::types::keys::WorkflowKey;
use crate::types::metrics;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;

/// How often all queues are checked for work if notifications work, in case one was lost.
const SAFETY_POLL: Duration = Duration::from_secs(10);
/// How often without notifications.
const POLL_WITHOUT_LISTEN: Duration = Duration::from_secs(1);
/// The delays after failures in a row of the claims from one queue.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));

/// The temporary failure in a row that is logged at WARN: one or two lost races are normal.
const FIRST_LOGGED_RACE: u32 = 5;
/// A failure that lasts is logged at WARN again after every so many attempts.
const LOG_EVERY: u32 = 60;

/// How often the dispatcher yields to other tasks before a round, so that slots that are freed by one commit
/// are filled by one claim.
const YIELDS: usize = 8;

/// What the dispatcher remembers from one round to the next.
#[derive(Default)]
struct DispatchState {
    /// When the next delayed workflow is due.
    next_due: Option<Timestamp>,
    /// When all queues were last checked for work.
    polled_at: Option<Instant>,
}

/// The dispatcher's task. It claims nothing from [`EnginePhase::Quiesced`] on; what a claim under way
/// brings is returned to its queue.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut state = DispatchState::default();
    let mut failed = 0_u32;
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        let timeout = match dispatch_round(&runtime, &mut state).await {
            Ok(true) => continue, // there is more to claim
            Ok(false) => {
                failed = 0;
                time_until_poll(&runtime, &state)
            }
            Err(error) => {
                runtime.queues.notify_all();
                runtime.queues.notify_delayed();
                failed += 1;
                if should_log(&error, failed) {
                    tracing::warn!(target: "durable", attempts = failed, %error, "looking for queued workflows failed; trying again");
                } else {
                    tracing::debug!(target: "durable", attempts = failed, %error, "looking for queued workflows failed");
                }
                WHILE_DATABASE_IS_AWAY.delay(failed)
            }
        };
        let wait = async {
            if failed > 0 {
                tokio::time::sleep(timeout).await; // a notification does not shorten the delay
            } else {
                let next = state.next_due.into_iter().chain(runtime.queues.wakes_at()).min();
                tokio::select! {
                    _ = runtime.queues.wakeup.wait_timeout(timeout) => {}
                    () = runtime.timers.at_if_any(next) => {}
                }
            }
        };
        tokio::select! {
            () = wait => {}
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => {}
        }
    }
}

/// Whether the given failure in a row is logged at WARN: the first one, or the fifth if it is
/// temporary, and then one in [`LOG_EVERY`].
fn should_log(error: &StoreError, failed: u32) -> bool {
    let is_race = matches!(error.kind, StoreErrorKind::Contended | StoreErrorKind::Unreachable);
    let first = if is_race { FIRST_LOGGED_RACE } else { 1 };
    failed == first || failed.is_multiple_of(LOG_EVERY)
}

/// How often all queues are checked for work.
fn poll_interval(runtime: &Runtime) -> Duration {
    if runtime.waiters.is_listening() { SAFETY_POLL } else { POLL_WITHOUT_LISTEN }
}

/// How long it is until all queues are checked for work.
fn time_until_poll(runtime: &Runtime, state: &DispatchState) -> Duration {
    state.polled_at.map_or(Duration::ZERO, |at| poll_interval(runtime).saturating_sub(at.elapsed()))
}

/// Lets the tasks run first that were woken before this one.
async fn yield_to_others() {
    for _ in 0..YIELDS {
        tokio::task::yield_now().await;
    }
}

/// Claims from each queue that may have work and has free slots, and then checks all queues if that is due.
/// Returns whether there is more to claim at once.
async fn dispatch_round(runtime: &Arc<Runtime>, state: &mut DispatchState) -> Result<bool, StoreError> {
    yield_to_others().await;
    if runtime.queues.has_few_slots(runtime.timers.clock.lower_bound()) {
        // The commit under way may free more slots, which one claim then fills together.
        tokio::select! {
            () = runtime.writer.flushed() => yield_to_others().await,
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return Ok(false),
        }
    }
    let now = runtime.timers.clock.lower_bound();
    for claim in runtime.queues.next_claims(now) {
        if runtime.shutdown.phase() >= EnginePhase::Quiesced {
            return Ok(false);
        }
        match claim_and_run(runtime, &claim).await {
            Ok(()) => {
                let failed_before = runtime.queues.succeeded(&claim.queue);
                if failed_before > 0 {
                    tracing::info!(target: "durable", queue = %claim.queue, attempts = failed_before + 1, "claiming from a queue works again");
                }
            }
            // The database is unreachable, for every queue.
            Err(error) if matches!(error.kind, StoreErrorKind::Unreachable | StoreErrorKind::Closed) => {
                // It is unknown what was claimed, and what of it was returned.
                runtime.queues.set_claim_unknown(&claim.queue, true);
                return Err(error);
            }
            Err(error) => back_off_queue(runtime, &claim.queue, &error),
        }
    }
    let poll_due = state.polled_at.is_none_or(|at| at.elapsed() >= poll_interval(runtime));
    let notified = runtime.queues.take_any_changed();
    let notified_of_delayed = runtime.queues.take_delayed_changed();
    let delayed_due = state.next_due.is_some_and(|at| at <= now);
    if poll_due || notified_of_delayed || delayed_due {
        let sent = Instant::now();
        let promoted = runtime.store.promote().await?;
        let clock = &runtime.timers.clock;
        clock.observe(promoted.now, sent);
        // Time that a test has skipped has not passed for the database.
        state.next_due = promoted.next_due.map(|at| at.saturating_add(clock.skipped()));
        for queue in &promoted.queues {
            runtime.announce_queue(queue);
        }
    }
    if poll_due || notified {
        state.polled_at = Some(Instant::now());
        runtime.queues.notify_waiting(&runtime.store.queues_with_work(&runtime.queues.names()).await?);
    }
    Ok(runtime.queues.any_ready(runtime.timers.clock.lower_bound()))
}

/// Claims nothing from a queue for some time after a claim from it has failed. The fault is in its own rows,
/// so the other queues are not affected.
fn back_off_queue(runtime: &Runtime, queue: &str, error: &StoreError) {
    let failed = runtime.queues.failed(queue, runtime.timers.clock.lower_bound(), |failed| DELAYS.delay(failed));
    if should_log(error, failed) {
        tracing::warn!(target: "durable", %queue, attempts = failed, %error, "claiming from a queue failed; trying again, and nothing from this queue starts in this process until a claim succeeds");
    } else {
        tracing::debug!(target: "durable", %queue, attempts = failed, %error, "claiming from a queue failed");
    }
}

/// Claims from one queue as many workflows as have a free slot, and runs them.
async fn claim_and_run(runtime: &Arc<Runtime>, claim: &NextClaim) -> Result<(), StoreError> {
    let _claiming = runtime.claims.read().await;
    let fence = runtime.fence();
    let known = runtime.known().into_iter().map(|it| it.name).collect();
    let request = ClaimRequest { fence, queue: claim.queue.to_string(), known, limit: claim.free };
    if claim.claim_unknown {
        let held: Vec<WorkflowKey> = runtime.running.all().iter().map(|it| it.key).collect();
        let returned = runtime.store.release_unknown_claims(fence, &claim.queue, &held).await?;
        runtime.queues.set_claim_unknown(&claim.queue, false);
        tracing::info!(target: "durable", queue = %claim.queue, workflows = returned, "returned the workflows of a claim that got no reply");
    }
    let claimed = runtime.store.claim(&request).await?;
    let count = u32::try_from(claimed.runs.len()).unwrap_or(u32::MAX);
    runtime.queues.claimed(claim, count, claimed.limits, claimed.next_at);
    // Nothing starts once the shutdown has begun, and no more than the limits allow as the claim has just read
    // them: they may have been changed since they were last read.
    let shutting_down = runtime.shutdown.phase() >= EnginePhase::Quiesced;
    let free = if shutting_down { 0 } else { runtime.queues.free_slots(&claim.queue) };
    let mut runs = claimed.runs;
    let excess: Vec<WorkflowKey> = runs.drain(runs.len().min(free)..).map(|it| it.key).collect();
    if !excess.is_empty() {
        runtime.store.return_claims(fence, &excess).await?;
        if shutting_down {
            runtime.queues.count_returned(excess.len());
        }
        runtime.announce_queue(&claim.queue);
    }
    metrics::claimed(|| runtime.registry.queue_label(&claim.queue), runs.len());
    let keys: Vec<WorkflowKey> = runs.iter().map(|it| it.key).collect();
    match run_claimed::run_all(runtime, runs, |row| Some(runtime.queues.slot(&claim.queue, row.keyed))).await {
        Ok(still_running) => run_after_earlier(runtime, fence, &claim.queue, still_running).await,
        // Their records could not be read; another process may be able to.
        Err(error) => runtime.store.return_claims(fence, &keys).await.and(Err(error)),
    }
}

/// Runs claimed workflows once their earlier runs have left this process. Those that would wait too long are
/// returned to their queue.
async fn run_after_earlier(
    runtime: &Runtime,
    fence: Fence,
    queue: &str,
    still_running: Vec<StillRunning>,
) -> Result<(), StoreError> {
    let mut not_started = Vec::new();
    for waiting in still_running {
        if let Err(run_task) = run_claimed::run_after_earlier(waiting).await {
            not_started.push(run_task.row.key);
        }
    }
    if not_started.is_empty() {
        return Ok(());
    }
    runtime.store.return_claims(fence, &not_started).await?;
    runtime.announce_queue(queue);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_at_first_and_then_at_intervals() {
        let logged = |kind| {
            let error = StoreError::new(kind, "no");
            (1..=120).filter(|failed| should_log(&error, *failed)).collect::<Vec<_>>()
        };
        assert_eq!(logged(StoreErrorKind::Refused), [1, 60, 120]);
        assert_eq!(logged(StoreErrorKind::Contended), [5, 60, 120], "lost races are normal");
    }
}
