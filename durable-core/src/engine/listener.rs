//! The task that receives the notifications of other processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::runtime::pending_notifications::{RELEASED, SCHEDULES};
use crate::store::{Hint, Notification, StoreErrorKind};
use crate::types::backoff::WHILE_DATABASE_IS_AWAY;
use crate::wait::shutdown_phase::EnginePhase;

/// The pause after the database has refused to listen at all.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// The listener's task. While it does not listen, waits are polled for.
pub(super) async fn run(runtime: &Runtime) {
    let on_notification = |notification: Notification| dispatch(runtime, notification);
    let mut failed = 0_u32;
    loop {
        let ended = tokio::select! {
            ended = runtime.store.listen(&on_notification) => ended,
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        };
        let was_listening = runtime.waiters.listening.swap(false, Ordering::Relaxed);
        runtime.waiters.notify_all();
        failed = if was_listening { 1 } else { failed + 1 };
        let refused = match ended {
            Ok(()) => false,
            Err(error) => {
                if failed == 1 {
                    tracing::warn!(target: "durable", %error, "LISTEN failed; falling back to polling");
                }
                error.kind == StoreErrorKind::Refused
            }
        };
        let delay = if refused { REFUSED_PAUSE } else { WHILE_DATABASE_IS_AWAY.delay(failed) };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        }
    }
}

/// Wakes what may depend on the change that a notification announces.
fn dispatch(runtime: &Runtime, notification: Notification) {
    match notification {
        Notification::Listening => {
            wake_everything(runtime);
            runtime.waiters.listening.store(true, Ordering::Relaxed);
        }
        Notification::Something => {
            wake_everything(runtime);
            runtime.released.wake();
        }
        Notification::Hints(hints) => {
            for hint in hints {
                match hint {
                    Hint::Workflow(hash) => runtime.waiters.notify(hash),
                    Hint::Executor(executor) if executor == runtime.fence().executor => {
                        runtime.waiters.wakeup.wake();
                    }
                    Hint::Executor(_) => {}
                    // These two names belong to no queue.
                    Hint::Queue(_) if hint == Hint::for_queue(SCHEDULES) => runtime.schedules.wake(),
                    Hint::Queue(_) if hint == Hint::for_queue(RELEASED) => runtime.released.wake(),
                    Hint::Queue(_) => {
                        runtime.queues.notify(hint);
                        runtime.queues.notify_delayed();
                    }
                }
            }
        }
    }
}

/// Anything may have changed.
pub(super) fn wake_everything(runtime: &Runtime) {
    runtime.waiters.notify_all();
    runtime.queues.notify_all();
    runtime.queues.notify_delayed();
    runtime.schedules.wake();
    if !runtime.running.is_empty() {
        runtime.waiters.wakeup.wake(); // a running workflow may have been cancelled
    }
}
