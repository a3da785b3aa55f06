//! Presence: the heartbeat, and what is learned with each beat.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::lock_file::LockFile;
use crate::engine::recovery::ExpiredExecutors;
use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::{Location, StoreError};
use crate::types::keys::WorkflowKey;
use crate::types::status::Status;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// How this executor signs on.
#[derive(Debug)]
pub(super) struct ExecutorIdentity {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) version: String,
    pub(super) lease: Duration,
    pub(super) location: Location,
}

/// What is launched again at a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Application {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) schema: String,
}

/// The locks of executors of this process that are closed and have kept their work for a restart.
static KEPT_LOCK_FILES: Mutex<Vec<(Application, LockFile)>> = Mutex::new(Vec::new());

/// The application is launched again: it may take what its executors in this process have kept.
pub(super) fn restarts(application: &Application) {
    for (_, lock_file) in lock(&KEPT_LOCK_FILES).extract_if(.., |(of, _)| of == application) {
        lock_file.keep_file();
    }
}

/// This executor's presence.
#[derive(Debug)]
pub(super) struct LockFileKeeper {
    signing: ExecutorIdentity,
    /// Held while the executor's row is there.
    lock_file: Mutex<Option<LockFile>>,
}

impl LockFileKeeper {
    pub(super) fn new(signing: ExecutorIdentity, lock_file: Option<LockFile>) -> Self {
        Self { signing, lock_file: Mutex::new(lock_file) }
    }

    /// Lets go of the lock and leaves the file: the executor's row is still there, and nobody beats.
    pub(super) fn keep_file(&self) {
        if let Some(lock_file) = lock(&self.lock_file).take() {
            lock_file.keep_file();
        }
    }

    /// Holds on to the lock until the process ends: something of this executor may still be doing
    /// something, and whoever got the lock would take it for dead before its lease has run out.
    pub(super) fn keep_until_exit(&self) {
        std::mem::forget(lock(&self.lock_file).take());
    }

    /// Holds on to the lock until the process ends or launches the application again: what was not
    /// handed over is for nobody else.
    pub(super) fn keep_for_restart(&self, of: &Application) {
        if let Some(lock_file) = lock(&self.lock_file).take() {
            lock(&KEPT_LOCK_FILES).push((of.clone(), lock_file));
        }
    }

    /// Removes the lock file: after the executor's row is gone, or with the process.
    pub(super) fn release_lock_file(&self) {
        lock(&self.lock_file).take();
    }
}

/// Beats until the engine has handed over its work: others must not take a draining executor for
/// a dead one, nor take what they cannot know to be dropped.
pub(super) async fn run(runtime: Arc<Runtime>, presence: Arc<LockFileKeeper>, findings: Arc<ExpiredExecutors>) {
    loop {
        let pause = runtime.settings.lease / 3;
        // Some jitter, so that a fleet that was started together does not beat together.
        let lot = f64::from(uuid::Uuid::new_v4().as_fields().1) / f64::from(u16::MAX);
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(0.9 + 0.2 * lot)) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Closing) => return,
        }
        tokio::select! {
            beaten = beat(&runtime, &presence, &findings) => {
                if let Err(error) = beaten {
                    tracing::warn!(target: "durable", %error, "a heartbeat failed");
                }
            }
            () = runtime.shutdown.wait_for(EnginePhase::Closing) => return,
        }
    }
}

async fn beat(
    runtime: &Arc<Runtime>,
    presence: &LockFileKeeper,
    findings: &ExpiredExecutors,
) -> Result<(), StoreError> {
    let fence = runtime.fence();
    let runs = runtime.running.all();
    let running: Vec<WorkflowKey> = runs.iter().map(|it| it.key).collect();
    let asked = Instant::now();
    let seen = runtime.store.heartbeat(fence, runtime.settings.lease, &running).await?;
    runtime.timers.clock.observe(seen.now, asked);
    runtime.timers.wake();
    if !seen.fence_holds {
        return deposed(runtime, presence).await;
    }
    for (key, status) in seen.no_longer_owned {
        if let Some(run) = runs.iter().find(|it| it.key == key) {
            let signal = if status == Status::Cancelled { StopReason::Cancelled } else { StopReason::Lost };
            run.request_stop(signal);
        }
    }
    if runtime.shutdown.phase() < EnginePhase::Quiesced && (seen.orphans || !seen.expired.is_empty()) {
        findings.add(seen.expired);
    }
    Ok(())
}

/// Another executor has taken over: this one was paused or cut off for longer than its lease. Its
/// bodies are dropped, since nothing they do can be recorded; then it signs on again, as a new one.
async fn deposed(runtime: &Arc<Runtime>, presence: &LockFileKeeper) -> Result<(), StoreError> {
    let runs = runtime.running.all();
    tracing::error!(target: "durable", executor = %runtime.settings.executor, workflows = runs.len(), "another executor took this one for dead and took over; dropping what runs here and signing on anew");
    for run in &runs {
        run.request_stop(StopReason::Lost);
    }
    if runtime.shutdown.phase() >= EnginePhase::Draining {
        return Ok(());
    }
    let (executor, lock_file) = presence.signing.executor(runtime.keys.next());
    let fence = runtime.store.register_executor(&executor).await?;
    *lock(&presence.lock_file) = lock_file;
    *lock(&runtime.fence) = fence;
    Ok(())
}
