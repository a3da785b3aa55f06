//! The dispatcher: takes workflows from queues as far as there is room for them here, and runs them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::run_claimed::{self, StillRunning};
use crate::queue_state::NextClaim;
use crate::runtime::Runtime;
use crate::store::{ClaimRequest, Fence, StoreError, StoreErrorKind};
use crate::types::backoff::Backoff;
use crate::types::keys::WorkflowKey;
use crate::wait::shutdown_phase::EnginePhase;

/// How often it is asked what waits although nobody has told of anything, where somebody would have.
const SAFETY_POLL: Duration = Duration::from_secs(10);
/// How often where nobody tells.
const POLL_WITHOUT_LISTEN: Duration = Duration::from_secs(1);
/// The pauses after a look that failed, or after a claim from one queue that did, from the first to
/// the longest.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));

/// How often in a row something lost a race before that is said aloud.
const MAX_RACES: u32 = 5;
/// After how many failures in a row it is said again.
const LOG_EVERY: u32 = 60;

/// How often other tasks get to run before a look: slots that become free together, because their
/// workflows ended with one commit, are filled together, and with one commit.
const YIELDS: usize = 8;
/// How long the end of an earlier run of the same workflow is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the dispatcher knows from one look to the next.
#[derive(Default)]
struct KnownQueues {
    /// When the next delayed workflow is due.
    next_due: Option<i64>,
    /// When it was last asked what waits on any of the queues.
    asked: Option<Instant>,
}

/// The dispatcher's task. It takes nothing from `Quiesced` on; a claim that is under way comes to
/// its end, and what it brings is given back.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut known = KnownQueues::default();
    let mut failed = 0_u32;
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        let rest = match look(&runtime, &mut known).await {
            Ok(true) => continue, // there is more at once
            Ok(false) => {
                failed = 0;
                rest(&runtime, &known)
            }
            Err(error) => {
                runtime.queues.notify_all();
                runtime.queues.notify_delayed();
                failed += 1;
                if should_log(&error, failed) {
                    tracing::warn!(target: "durable", %error, "looking at the queues failed and is tried again");
                } else {
                    tracing::debug!(target: "durable", %error, "looking at the queues failed");
                }
                DELAYS.delay(failed)
            }
        };
        let resting = async {
            if failed > 0 {
                tokio::time::sleep(rest).await; // a database that is away is not asked faster
            } else {
                runtime.queues.wakeup.wait_timeout(rest).await;
            }
        };
        tokio::select! {
            () = resting => {}
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => {}
        }
    }
}

/// Whether a failure, the so many-th in a row, is said aloud: the first one, and then now and then.
fn should_log(error: &StoreError, failed: u32) -> bool {
    let first = if error.is_temporary() { MAX_RACES } else { 1 };
    failed == first || failed.is_multiple_of(LOG_EVERY)
}

/// How often the queues are looked at although nobody has told of anything.
fn longest(runtime: &Runtime) -> Duration {
    if runtime.waiters.is_listening() { SAFETY_POLL } else { POLL_WITHOUT_LISTEN }
}

/// How long nothing is to be done, as far as is known.
fn rest(runtime: &Runtime, known: &KnownQueues) -> Duration {
    let for_safety = known.asked.map_or(Duration::ZERO, |at| longest(runtime).saturating_sub(at.elapsed()));
    let now = runtime.timers.clock.lower_bound();
    let next = known.next_due.into_iter().chain(runtime.queues.wakes_at()).min();
    next.map_or(for_safety, |at| Duration::from_micros(u64::try_from(at - now).unwrap_or_default()).min(for_safety))
}

/// Lets those who were told something before this go on first.
async fn yield_to_others() {
    for _ in 0..YIELDS {
        tokio::task::yield_now().await;
    }
}

/// Takes what there is room for from each queue that is worth it, and then asks what nobody has told
/// of. Gives whether there is more to take at once.
async fn look(runtime: &Arc<Runtime>, known: &mut KnownQueues) -> Result<bool, StoreError> {
    yield_to_others().await;
    if runtime.queues.has_few_slots(runtime.timers.clock.lower_bound()) {
        // The commit that is under way may free more slots, which one claim then fills together.
        tokio::select! {
            () = runtime.writer.flushed() => yield_to_others().await,
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return Ok(false),
        }
    }
    let now = runtime.timers.clock.lower_bound();
    for turn in runtime.queues.next_claims(now) {
        if runtime.shutdown.phase() >= EnginePhase::Quiesced {
            return Ok(false);
        }
        match claim_and_run(runtime, &turn).await {
            Ok(()) => {
                let before = runtime.queues.succeeded(&turn.queue);
                if before > 0 {
                    tracing::info!(target: "durable", queue = %turn.queue, failures = before, "workflows can be claimed from a queue again");
                }
            }
            // The database is away, which it is for every queue.
            Err(error) if matches!(error.kind, StoreErrorKind::Unreachable | StoreErrorKind::Closed) => {
                // Nobody knows what was claimed, or what of it went back.
                runtime.queues.set_claim_unknown(&turn.queue, true);
                return Err(error);
            }
            Err(error) => backoff_queue(runtime, &turn.queue, &error),
        }
    }
    let for_safety = known.asked.is_none_or(|at| at.elapsed() >= longest(runtime));
    let told_of_any = runtime.queues.take_any_changed();
    let told_of_due = runtime.queues.take_delayed_changed();
    let due = known.next_due.is_some_and(|at| at <= now);
    if for_safety || told_of_due || due {
        let promoted = runtime.store.promote().await?;
        known.next_due = promoted.next_due;
        for queue in &promoted.queues {
            runtime.announce_queue(queue);
        }
    }
    if for_safety || told_of_any {
        known.asked = Some(Instant::now());
        runtime.queues.notify_waiting(&runtime.store.queues_with_work(&runtime.queues.names()).await?);
    }
    Ok(runtime.queues.any_ready(runtime.timers.clock.lower_bound()))
}

/// Leaves a queue alone for a while whose claim has failed. What is wrong is in its own rows, so the
/// others go on.
fn backoff_queue(runtime: &Runtime, queue: &str, error: &StoreError) {
    let failures = runtime.queues.failed(queue, runtime.timers.clock.lower_bound(), |failed| DELAYS.delay(failed));
    if should_log(error, failures) {
        tracing::warn!(target: "durable", %queue, failures, %error, "workflows cannot be claimed from a queue; nothing of it starts here until a claim succeeds, and it is tried again");
    } else {
        tracing::debug!(target: "durable", %queue, failures, %error, "workflows cannot be claimed from a queue");
    }
}

/// Takes what there is room for from one queue.
async fn claim_and_run(runtime: &Arc<Runtime>, turn: &NextClaim) -> Result<(), StoreError> {
    let fence = runtime.fence();
    let known = runtime.registry.names().into_iter().map(str::to_owned).collect();
    let request = ClaimRequest { fence, queue: turn.queue.to_string(), known, limit: turn.free };
    if turn.claim_unknown {
        let held: Vec<WorkflowKey> = runtime.running.all().iter().map(|it| it.key).collect();
        let lost = runtime.store.release_unknown_claims(fence, &turn.queue, &held).await?;
        runtime.queues.set_claim_unknown(&turn.queue, false);
        tracing::info!(target: "durable", queue = %turn.queue, lost, "gave back what a claim had taken whose answer was lost");
    }
    let claimed = runtime.store.claim(&request).await?;
    let taken = u32::try_from(claimed.runs.len()).unwrap_or(u32::MAX);
    runtime.queues.claimed(turn, taken, claimed.limits, claimed.next_at);
    // Nothing begins here once the shutdown has begun, and no more than the limits as they are now
    // let through: they may have been changed since they were last seen.
    let is_down = runtime.shutdown.phase() >= EnginePhase::Quiesced;
    let room = if is_down { 0 } else { runtime.queues.free_slots(&turn.queue) };
    let mut runs = claimed.runs;
    let too_many: Vec<WorkflowKey> = runs.drain(runs.len().min(room)..).map(|it| it.key).collect();
    if !too_many.is_empty() {
        runtime.store.return_claims(fence, &too_many).await?;
        if is_down {
            runtime.queues.count_returned(too_many.len());
        }
        runtime.announce_queue(&turn.queue);
    }
    let keys: Vec<WorkflowKey> = runs.iter().map(|it| it.key).collect();
    match run_claimed::run_all(runtime, runs, || Some(runtime.queues.slot(&turn.queue))).await {
        Ok(occupied) => wait_for_room(runtime, fence, &turn.queue, occupied).await,
        // They could not be begun without their records; somebody else may do better.
        Err(error) => runtime.store.return_claims(fence, &keys).await.and(Err(error)),
    }
}

/// Begins what had to wait for an earlier run of the same workflow in this process; what waits too
/// long goes back to its queue.
async fn wait_for_room(
    runtime: &Runtime,
    fence: Fence,
    queue: &str,
    occupied: Vec<StillRunning>,
) -> Result<(), StoreError> {
    let mut left = Vec::new();
    for (earlier, drive) in occupied {
        let _ = tokio::time::timeout(PATIENCE, earlier.finished()).await;
        if let Err((_, drive)) = drive.spawn() {
            left.push(drive.row.key);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    runtime.store.return_claims(fence, &left).await?;
    runtime.announce_queue(queue);
    Ok(())
}
