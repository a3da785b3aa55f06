//! The task that listens to notifications of other processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::poller::DELAYS;
use crate::runtime::Runtime;
use crate::runtime::pending_notifications::{RELEASED, SCHEDULES};
use crate::store::{Hint, Notification, StoreErrorKind};
use crate::wait::shutdown_phase::EnginePhase;

/// The task that listens to what other processes tell.
pub(super) async fn run(runtime: &Runtime) {
    let anything = || {
        runtime.waiters.notify_all();
        runtime.queues.notify_all();
        runtime.queues.notify_delayed();
        runtime.schedules.wake();
        if !runtime.running.is_empty() {
            runtime.waiters.wakeup.wake(); // something that runs here may have been cancelled
        }
    };
    let heard = |heard: Notification| match heard {
        Notification::Listening => {
            anything();
            runtime.waiters.listening.store(true, Ordering::Relaxed);
        }
        Notification::Something => {
            anything();
            runtime.released.notify_one();
        }
        Notification::Hints(hints) => {
            for hint in hints {
                match hint {
                    Hint::Workflow(_) => runtime.waiters.notify(hint),
                    Hint::Executor(executor) if executor == runtime.fence().executor => {
                        runtime.waiters.wakeup.wake();
                    }
                    Hint::Executor(_) => {}
                    // The schedules have a name among the queues, and nobody enqueues there.
                    Hint::Queue(_) if hint == Hint::for_queue(SCHEDULES) => runtime.schedules.wake(),
                    Hint::Queue(_) if hint == Hint::for_queue(RELEASED) => runtime.released.notify_one(),
                    Hint::Queue(_) => {
                        runtime.queues.notify(hint);
                        runtime.queues.notify_delayed();
                    }
                }
            }
        }
    };
    let mut failed = 0_u32;
    loop {
        let listened = tokio::select! {
            listened = runtime.store.listen(&heard) => listened,
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        };
        // Whoever waits is now asked for by the clock.
        let was_told = runtime.waiters.listening.swap(false, Ordering::Relaxed);
        runtime.waiters.notify_all();
        failed = if was_told { 1 } else { failed + 1 };
        let hopeless = match listened {
            Ok(()) => false,
            Err(error) => {
                if failed == 1 {
                    tracing::warn!(target: "durable", %error, "cannot hear of what other processes write, and asks the database by the clock");
                }
                error.kind == StoreErrorKind::Refused
            }
        };
        let pause = if hopeless { Duration::from_mins(1) } else { DELAYS.delay(failed) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = runtime.shutdown.wait_for(EnginePhase::Stopping) => return,
        }
    }
}
