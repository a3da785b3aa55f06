//! The heartbeat: extends this executor's lease, and acts on what each answer reports.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::executor_identity::ExecutorIdentity;
use crate::engine::lock_file::LockFileKeeper;
use crate::engine::recovery::RecoveryRequests;
use crate::engine::suspects::Suspects;
use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::{RunningPart, StoreError};
use crate::types::boot_time::boot_time;
use crate::types::keys::WorkflowKey;
use crate::types::metrics;
use crate::types::status::Status;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// The longest pause after a failed heartbeat.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many running workflows one heartbeat compares with the database. It must not take long, however many wait.
const COMPARED_AT_ONCE: usize = 20_000;

/// The heartbeat's task.
pub(super) struct Heartbeat {
    pub(super) runtime: Arc<Runtime>,
    pub(super) identity: Arc<ExecutorIdentity>,
    pub(super) lock_file: Arc<LockFileKeeper>,
    pub(super) recovery: Arc<RecoveryRequests>,
}

impl Heartbeat {
    /// Sends heartbeats until the shutdown has released the unfinished workflows: without them other
    /// executors would take a draining one for dead.
    pub(super) async fn run(self) {
        let runtime = &self.runtime;
        let mut failed = false;
        let (mut suspects, mut rotation) = (Suspects::new(runtime.settings.lease), Rotation::default());
        loop {
            let interval = runtime.settings.lease / if failed { 10 } else { 3 };
            // Jitter of 10 %, so that the processes of a fleet do not send their heartbeats together.
            let random = f64::from(uuid::Uuid::new_v4().as_fields().1) / f64::from(u16::MAX);
            let pause = if failed { interval.min(RETRY_AFTER) } else { interval };
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(0.9 + 0.2 * random)) => {}
                // After a pause of the whole process or machine an operation finds the lease expired first.
                () = runtime.lease.needed(), if !failed => {}
                () = runtime.shutdown.wait_for(EnginePhase::Closing) => return,
            }
            tokio::select! {
                sent = self.send(&mut suspects, &mut rotation) => {
                    failed = sent.is_err();
                    metrics::heartbeat(!failed);
                    if let Err(error) = sent {
                        tracing::warn!(target: "durable", executor_id = %runtime.settings.executor, %error, "heartbeat failed");
                    }
                }
                () = runtime.shutdown.wait_for(EnginePhase::Closing) => return,
            }
        }
    }

    async fn send(&self, suspects: &mut Suspects, rotation: &mut Rotation) -> Result<(), StoreError> {
        let runtime = &self.runtime;
        let fence = runtime.fence();
        // A workflow can be given up and begun anew before the answer comes: that is about these runs.
        let runs = runtime.running.all();
        let mut running = runs.iter().map(|it| it.key).collect();
        let before = *rotation;
        let part = rotation.next(&mut running);
        let (sent, sent_at) = (Instant::now(), boot_time());
        let answer = runtime.store.heartbeat(fence, runtime.settings.lease, part).await;
        let answer = answer.inspect_err(|_| *rotation = before)?; // the next one compares the same part
        runtime.timers.clock.observe(answer.now, sent);
        runtime.timers.wake();
        if !answer.fence_holds {
            return self.register_again().await;
        }
        let was_away = !runtime.lease.holds(fence);
        runtime.lease.confirm(fence.executor, sent_at);
        let folder = self.identity.lock_folder();
        let dead = suspects.certainly_dead(answer.expired, boot_time(), was_away, |it| folder.state(it));
        if !answer.no_longer_owned.is_empty() {
            let gone: HashMap<WorkflowKey, Status> = answer.no_longer_owned.into_iter().collect();
            for run in &runs {
                let Some(status) = gone.get(&run.key) else { continue };
                run.request_stop(if *status == Status::Cancelled { StopReason::Cancelled } else { StopReason::Lost });
            }
        }
        if runtime.shutdown.phase() < EnginePhase::Quiesced {
            if !answer.not_running.is_empty() {
                self.recovery.request_release(answer.not_running);
            }
            if answer.orphans || !dead.is_empty() {
                self.recovery.request(dead);
            }
        }
        Ok(())
    }

    /// Another executor has taken over, because this one was paused or cut off for longer than its lease.
    /// Drops the running workflows, since nothing they do can be recorded, and registers as a new executor.
    async fn register_again(&self) -> Result<(), StoreError> {
        let runtime = &self.runtime;
        let is_news = runtime.lease.give_up(); // it is not, where registering again has failed
        let runs = runtime.running.all();
        if is_news {
            metrics::lease_lost();
            tracing::error!(target: "durable", executor_id = %runtime.settings.executor, workflows = runs.len(), "lease lost: another executor took over; dropping the running workflows and registering again");
        }
        for run in &runs {
            run.request_stop(StopReason::Lost);
        }
        if runtime.shutdown.phase() >= EnginePhase::Draining {
            return Ok(());
        }
        // This process was never away for good, so taking over its workflows is no recovery from a crash.
        runtime.store.note_alive(runtime.fence().executor).await?;
        let (executor, lock_file) = self.identity.executor(runtime.keys.next());
        let sent_at = boot_time();
        let fence = runtime.store.register_executor(&executor).await?;
        self.lock_file.replace(lock_file);
        *lock(&runtime.fence) = fence;
        runtime.lease.confirm(fence.executor, sent_at);
        Ok(())
    }
}

/// Which of the running workflows the next heartbeat compares: in the order of their keys one part after the other, and
/// then again from the beginning.
#[derive(Debug, Default, Clone, Copy)]
struct Rotation {
    /// The last key of the part before; `None` at the beginning.
    after: Option<WorkflowKey>,
}

impl Rotation {
    /// The next part. The others are removed from the running keys.
    fn next<'k>(&mut self, running: &'k mut Vec<WorkflowKey>) -> RunningPart<'k> {
        let after = self.after.take();
        if let Some(after) = after {
            running.retain(|key| *key > after);
        }
        if running.len() > COMPARED_AT_ONCE {
            let (_, last, _) = running.select_nth_unstable(COMPARED_AT_ONCE - 1);
            self.after = Some(*last);
            running.truncate(COMPARED_AT_ONCE);
        }
        let all = RunningPart::all(running);
        RunningPart { after: after.unwrap_or(all.after), through: self.after.unwrap_or(all.through), ..all }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn heartbeats_compare_all_running_workflows_in_parts_without_a_gap() {
        for many in [0, 1, 20_000, 20_001, 70_000] {
            // In no order, with negative ones.
            let keys: Vec<_> = (0..many).map(|it: i64| WorkflowKey::new(it * 48_271 % 99_991 - 50_000)).collect();
            let mut rotation = Rotation::default();
            for _ in 0..2 {
                let (mut compared, mut reached) = (BTreeSet::new(), WorkflowKey::new(i64::MIN));
                loop {
                    let mut running = keys.clone();
                    let part = rotation.next(&mut running);
                    assert_eq!(part.after, reached, "a gap between two parts");
                    assert!(part.keys.len() <= COMPARED_AT_ONCE);
                    assert!(part.keys.iter().all(|it| *it > part.after && *it <= part.through));
                    compared.extend(part.keys.iter().map(|it| it.get()));
                    reached = part.through;
                    if reached == WorkflowKey::new(i64::MAX) {
                        break;
                    }
                }
                assert_eq!(compared.len(), keys.len());
            }
        }
    }
}
