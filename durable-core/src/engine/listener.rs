//! The task that listens to notifications of other processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::poller::back_off;
use crate::runtime::Runtime;
use crate::runtime::pending_notifications::{RELEASED, SCHEDULES};
use crate::store::{Hint, Notification, StoreErrorKind};
use crate::wait::shutdown_phase::EnginePhase;

/// The task that listens to what other processes tell.
pub(super) async fn run(runtime: &Runtime) {
    let anything = || {
        runtime.waits.tell_all();
        runtime.lines.tell_all();
        runtime.lines.tell_delayed();
        runtime.schedules.poke();
        if !runtime.live.is_empty() {
            runtime.waits.news.poke(); // something that runs here may have been cancelled
        }
    };
    let heard = |heard: Notification| match heard {
        Notification::Listening => {
            anything();
            runtime.waits.told.store(true, Ordering::Relaxed);
        }
        Notification::Something => {
            anything();
            runtime.released.notify_one();
        }
        Notification::Hints(hints) => {
            for hint in hints {
                match hint {
                    Hint::Workflow(_) => runtime.waits.tell(hint),
                    Hint::Executor(executor) if executor == runtime.fence().executor => {
                        runtime.waits.news.poke();
                    }
                    Hint::Executor(_) => {}
                    // The schedules have a name among the queues, and nobody enqueues there.
                    Hint::Queue(_) if hint == Hint::for_queue(SCHEDULES) => runtime.schedules.poke(),
                    Hint::Queue(_) if hint == Hint::for_queue(RELEASED) => runtime.released.notify_one(),
                    Hint::Queue(_) => {
                        runtime.lines.tell(hint);
                        runtime.lines.tell_delayed();
                    }
                }
            }
        }
    };
    let mut failed = 0_u32;
    loop {
        let listened = tokio::select! {
            listened = runtime.store.listen(&heard) => listened,
            () = runtime.gate.reached(EnginePhase::Killed) => return,
        };
        // Whoever waits is now asked for by the clock.
        let was_told = runtime.waits.told.swap(false, Ordering::Relaxed);
        runtime.waits.tell_all();
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
        let pause = if hopeless { Duration::from_mins(1) } else { back_off(failed) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = runtime.gate.reached(EnginePhase::Killed) => return,
        }
    }
}
