//! Recovery: who is dead, and what they left goes on here.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::{lock_file, run_claimed};
use crate::runtime::Runtime;
use crate::store::{ExecutorInfo, RunRow, StoreError, TakeoverRequest, WorkQuery};
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// How many workflows are taken over at a time: one statement and one reading of records for each batch.
const MAX_PER_TAKEOVER: u32 = 500;

/// After how long it is tried again when it is not known what the last try has taken over.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The least time between two looks for what others have let go of: where processes are told of every
/// write and not of what was written, they are told often.
const MAX_JITTER: Duration = Duration::from_millis(500);

/// What the heartbeat has found for the recovery to do.
#[derive(Debug, Default)]
pub(super) struct ExpiredExecutors {
    /// `None` as long as there is nothing to do.
    dead: Mutex<Option<Vec<ExecutorInfo>>>,
    news: Notify,
}

impl ExpiredExecutors {
    /// Adds dead executors, or none of them and only what nobody runs.
    pub(super) fn add(&self, dead: Vec<ExecutorInfo>) {
        *lock(&self.dead) = Some(dead);
        self.news.notify_one();
    }
}

/// The recovery's task. It takes nothing over from `Quiesced` on; what it has begun to take over
/// comes to its end, so that the hand-over of the shutdown misses nothing.
pub(super) async fn run(runtime: Arc<Runtime>, findings: Arc<ExpiredExecutors>) {
    // Whether this executor may own workflows that it does not run, because the connection broke
    // while it took them over.
    let mut unsure = false;
    let mut looked = Instant::now();
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        let told = tokio::select! {
            () = findings.news.notified() => false,
            () = runtime.released.notified() => true,
            () = tokio::time::sleep(RETRY_AFTER), if unsure => false,
            () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
        };
        if told && !unsure {
            tokio::select! {
                () = tokio::time::sleep_until(looked + MAX_JITTER) => looked = Instant::now(),
                () = runtime.shutdown.wait_for(EnginePhase::Quiesced) => return,
            }
        }
        let dead = lock(&findings.dead).take();
        if told && !unsure && dead.is_none() && !is_anything_released(&runtime).await {
            continue;
        }
        let was_unsure = std::mem::replace(&mut unsure, true);
        match take_over_and_run(&runtime, &dead.unwrap_or_default(), was_unsure).await {
            Ok(all_run) => unsure = !all_run,
            Err(error) => tracing::warn!(target: "durable", %error, "taking over workflows failed and is tried again"),
        }
    }
}

/// Whether there is something that its executor has let go of. If nobody can say, there is not: the
/// next heartbeat sees it.
async fn is_anything_released(runtime: &Runtime) -> bool {
    let asked = WorkQuery { executor: runtime.fence().executor, queues: Vec::new(), known: runtime.registry.known() };
    runtime.store.work_left(&asked).await.is_ok_and(|it| it.released)
}

/// At the launch: who was here before and is dead for certain is deposed at once, without waiting
/// for a lease.
pub(super) async fn recover_at_launch(runtime: &Arc<Runtime>, earlier: &[ExecutorInfo]) -> Result<(), StoreError> {
    let host = lock_file::host();
    let dead: Vec<_> = earlier.iter().filter(|it| is_dead(runtime, &host, it)).cloned().collect();
    take_over_and_run(runtime, &dead, false).await?;
    let unknown = runtime.store.count_unknown(&runtime.registry.known()).await?;
    if unknown > 0 {
        tracing::warn!(target: "durable", count = unknown, "workflows wait for a function that this program does not have; if it should have it: is the crate linked? mention it with `use that_crate as _;`");
    }
    Ok(())
}

fn is_dead(runtime: &Runtime, host: &str, executor: &ExecutorInfo) -> bool {
    let lock_says_so = || {
        executor.host == *host
            && executor.lock_file.as_deref().is_some_and(|it| lock_file::is_holder_dead(Path::new(it)))
    };
    // A process that said that it leaves is still finishing what it runs, whatever its name is.
    let same_name = !executor.leaving && executor.name == runtime.settings.executor;
    executor.expired || same_name || lock_says_so()
}

/// Deposes the dead, and takes over everything that nobody runs. Gives whether all of it has a body now.
///
/// After an error it is not known what was taken over: then, and when something has no body, it is
/// to be called again and told that it is `unsure`.
pub(super) async fn take_over_and_run(
    runtime: &Arc<Runtime>,
    dead: &[ExecutorInfo],
    unsure: bool,
) -> Result<bool, StoreError> {
    let mut all_run = true;
    for executor in dead {
        if runtime.store.fence_out(executor.key, executor.epoch).await? {
            tracing::info!(target: "durable", executor = %executor.name, "took a dead executor's place");
            if let Some(path) = &executor.lock_file {
                lock_file::remove(Path::new(path));
            }
        }
    }
    while runtime.shutdown.phase() < EnginePhase::Quiesced {
        let fence = runtime.fence();
        let running = unsure.then(|| runtime.running.all().iter().map(|it| it.key).collect());
        let adopt = TakeoverRequest { fence, known: runtime.registry.known(), limit: MAX_PER_TAKEOVER, running };
        let adopted = runtime.store.take_over(&adopt).await?;
        for id in &adopted.parked {
            tracing::error!(target: "durable", %id, "a workflow was recovered too often and is parked");
        }
        for queue in &adopted.requeued {
            runtime.announce_queue(queue);
        }
        // What went back to its queue counts for the batch too, and is told of once for each queue.
        let full =
            adopted.runs.len() + adopted.parked.len() >= MAX_PER_TAKEOVER as usize || !adopted.requeued.is_empty();
        if !adopted.runs.is_empty() {
            all_run &= run_all(runtime, adopted.runs).await?;
        }
        if !full {
            break;
        }
    }
    Ok(all_run)
}

/// Gives whether all of them have a body now.
async fn run_all(runtime: &Arc<Runtime>, rows: Vec<RunRow>) -> Result<bool, StoreError> {
    tracing::info!(target: "durable", count = rows.len(), "recovering workflows");
    // The body of an earlier run may still be here, on its way out.
    let mut all_run = true;
    for (earlier, drive) in run_claimed::run_all(runtime, rows, || None).await? {
        earlier.finished().await;
        if drive.spawn().is_err() {
            all_run = false;
            tracing::warn!(target: "durable", id = %earlier.id, "an earlier run does not leave; the workflow waits for the next recovery");
        }
    }
    Ok(all_run)
}
