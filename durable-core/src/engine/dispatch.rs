//! The dispatcher: takes workflows from queues as far as there is room for them here, and runs them.

use std::sync::Arc;
use std::time::Duration;

use super::resume::{self, Occupied};
use crate::journal::level::Level;
use crate::journal::lines::Turn;
use crate::journal::runtime::Runtime;
use crate::store::{ClaimRequest, Fault, Fence, StoreError};

/// How often the queues are looked at although nobody has told of anything, where somebody would have.
const FOR_SAFETY: Duration = Duration::from_secs(10);
/// How often where nobody tells.
const BY_THE_CLOCK: Duration = Duration::from_secs(1);
/// The pauses after a look that failed, from the first to the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

/// How long the end of an earlier run of the same workflow is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The dispatcher's task. It takes nothing from `Quiesced` on; a claim that is under way comes to
/// its end, and what it brings is given back.
pub(super) async fn run(runtime: Arc<Runtime>) {
    let mut next_due = None;
    let mut ask_due = true;
    let mut failed = 0_u32;
    while runtime.gate.level() < Level::Quiesced {
        let looked = look(&runtime, &mut next_due, ask_due).await;
        ask_due = false;
        let rest = match looked {
            Ok(()) => {
                failed = 0;
                rest(&runtime, next_due)
            }
            Err(error) => {
                tracing::debug!(target: "durable", %error, "looking at the queues failed");
                runtime.lines.tell_all();
                ask_due = true;
                failed += 1;
                PAUSES[0].saturating_mul(1 << failed.min(7)).min(PAUSES[1])
            }
        };
        let resting = async {
            if failed > 0 {
                tokio::time::sleep(rest).await; // a database that is away is not asked faster
                return false;
            }
            runtime.lines.news.rest(rest).await
        };
        let poked = tokio::select! {
            poked = resting => poked,
            () = runtime.gate.reached(Level::Quiesced) => return,
        };
        if !poked {
            let due = next_due.is_some_and(|at| at <= runtime.timers.clock.at_least());
            let safety = !due && runtime.lines.next_at().is_none();
            if safety {
                runtime.lines.tell_all();
            }
            ask_due |= due || safety;
        }
        ask_due |= runtime.lines.take_due_news();
    }
}

/// How long nothing is to be done, as far as is known.
fn rest(runtime: &Runtime, next_due: Option<i64>) -> Duration {
    let longest = if runtime.waits.is_told() { FOR_SAFETY } else { BY_THE_CLOCK };
    let now = runtime.timers.clock.at_least();
    let next = next_due.into_iter().chain(runtime.lines.next_at()).min();
    next.map_or(longest, |at| Duration::from_micros(u64::try_from(at - now).unwrap_or_default()).min(longest))
}

async fn look(runtime: &Arc<Runtime>, next_due: &mut Option<i64>, ask_due: bool) -> Result<(), StoreError> {
    if ask_due {
        let promoted = runtime.store.promote().await?;
        *next_due = promoted.next_due;
        for queue in &promoted.queues {
            runtime.tell_queue(queue);
        }
    }
    loop {
        let turns = runtime.lines.turns(runtime.timers.clock.at_least());
        if turns.is_empty() || runtime.gate.level() >= Level::Quiesced {
            return Ok(());
        }
        for turn in turns {
            take(runtime, &turn).await?;
        }
    }
}

/// Takes what there is room for from one queue.
async fn take(runtime: &Arc<Runtime>, turn: &Turn) -> Result<(), StoreError> {
    let fence = runtime.fence();
    let known = runtime.registry.names().into_iter().map(str::to_owned).collect();
    let request = ClaimRequest { fence, queue: turn.queue.to_string(), known, most: turn.free };
    if turn.unsure {
        let held: Vec<i64> = runtime.live.all().iter().map(|it| it.key).collect();
        let lost = runtime.store.give_back_lost(fence, &turn.queue, &held).await?;
        runtime.lines.set_unsure(&turn.queue, false);
        tracing::info!(target: "durable", queue = %turn.queue, lost, "gave back what a claim had taken whose answer was lost");
    }
    let claimed = runtime.store.claim(&request).await.inspect_err(|error| {
        if error.fault == Fault::Unreachable {
            runtime.lines.set_unsure(&turn.queue, true);
        }
    })?;
    let taken = u32::try_from(claimed.runs.len()).unwrap_or(u32::MAX);
    runtime.lines.claimed(turn, taken, claimed.limits, claimed.next_at);
    if claimed.runs.is_empty() {
        return Ok(());
    }
    let keys: Vec<i64> = claimed.runs.iter().map(|it| it.key).collect();
    if runtime.gate.level() >= Level::Quiesced {
        // The shutdown began while the claim was under way: nothing of it begins here.
        runtime.store.give_back(fence, &keys).await?;
        runtime.lines.count_returned(keys.len());
        return Ok(());
    }
    match resume::run_all(runtime, claimed.runs, || Some(runtime.lines.slot(&turn.queue))).await {
        Ok(occupied) => wait_for_room(runtime, fence, occupied).await,
        // They could not be begun without their records; somebody else may do better.
        Err(error) => runtime.store.give_back(fence, &keys).await.and(Err(error)),
    }
}

/// Begins what had to wait for an earlier run of the same workflow in this process; what waits too
/// long goes back to its queue.
async fn wait_for_room(runtime: &Runtime, fence: Fence, occupied: Vec<Occupied>) -> Result<(), StoreError> {
    let mut left = Vec::new();
    for (earlier, drive) in occupied {
        let _ = tokio::time::timeout(PATIENCE, earlier.over()).await;
        if let Err((_, drive)) = drive.spawn() {
            left.push(drive.row.key);
        }
    }
    if left.is_empty() { Ok(()) } else { runtime.store.give_back(fence, &left).await }
}
