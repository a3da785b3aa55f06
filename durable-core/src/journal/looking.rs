//! The tasks behind the waits: one asks the database, one listens to other processes, one tells them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::execution::Signal;
use super::level::Level;
use super::runtime::Runtime;
use crate::store::{Fault, Heard, Hint, StoreError};
use crate::words::sync::lock;
use crate::words::time::micros;

/// The name under which processes tell each other that the schedules have changed.
pub(crate) const SCHEDULES: &str = "durable:schedules";
/// The name under which processes tell each other that they have let go of workflows.
pub(crate) const RELEASED: &str = "durable:released";
/// How often the database is asked although nobody has told of news, where somebody would have.
const FOR_SAFETY: Duration = Duration::from_secs(10);
/// How often where nobody tells, from the first time after somebody began to wait to the longest.
const BY_THE_CLOCK: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(800)];
/// Asking by the clock takes at most this part of the time, however many wait.
const SHARE: u32 = 20;
/// How far a look for cancelled workflows reaches back behind the last one: a cancellation shows up
/// when it is committed, and bears the time from before.
const REACH: Duration = Duration::from_secs(10);
/// The least time between two notifications: what happens within it goes with the next one.
const COALESCE: Duration = Duration::from_millis(5);

/// The task that asks.
pub(crate) async fn look(runtime: &Runtime) {
    let mut cancelled = Cancelled { since: runtime.timers.clock.at_least() - micros(REACH), known: HashSet::new() };
    let mut pause = BY_THE_CLOCK[0];
    let mut rest = Duration::ZERO;
    let mut failed = 0_u32;
    loop {
        let longest = match failed {
            0 => if runtime.waits.is_told() { FOR_SAFETY } else { pause }.max(rest),
            _ => back_off(failed),
        };
        let poked = tokio::select! {
            poked = runtime.waits.news.rest(longest) => poked,
            () = runtime.gate.reached(Level::Killed) => return,
        };
        if poked {
            pause = BY_THE_CLOCK[0];
        } else if failed == 0 {
            pause = (pause * 2).min(BY_THE_CLOCK[1]);
            if runtime.waits.is_empty() && (runtime.waits.is_told() || runtime.live.is_empty()) {
                continue; // nobody would hear the answer
            }
            runtime.waits.tell_all();
        }
        let begun = Instant::now();
        tokio::select! {
            looked = look_once(runtime, &mut cancelled) => match looked {
                Ok(()) => failed = 0,
                Err(error) => {
                    failed += 1;
                    tracing::debug!(target: "durable", %error, "asking the database for news failed");
                }
            },
            () = runtime.gate.reached(Level::Killed) => return,
        }
        rest = begun.elapsed().saturating_mul(SHARE);
    }
}

/// What is known of cancelled workflows.
struct Cancelled {
    /// Since when they are asked for.
    since: i64,
    /// Those of the last answer, whose bodies were told.
    known: HashSet<i64>,
}

async fn look_once(runtime: &Runtime, cancelled: &mut Cancelled) -> Result<(), StoreError> {
    let mut question = runtime.waits.question();
    if !runtime.live.is_empty() {
        question.wanted.cancelled = Some((runtime.fence().executor, cancelled.since));
    }
    let asked = Instant::now();
    let mut found = match runtime.store.look(&question.wanted).await {
        Ok(found) => found,
        Err(error) => {
            runtime.waits.put_back(&question);
            return Err(error);
        }
    };
    runtime.timers.clock.read(found.now, asked);
    cancelled.since = found.now - micros(REACH);
    let now_cancelled: HashSet<i64> = std::mem::take(&mut found.cancelled).into_iter().collect();
    if !now_cancelled.is_subset(&cancelled.known) {
        for run in runtime.live.all().iter().filter(|run| now_cancelled.contains(&run.key)) {
            run.signal(Signal::Cancelled);
        }
    }
    cancelled.known = now_cancelled;
    runtime.waits.answer(&question, found);
    Ok(())
}

fn back_off(failed: u32) -> Duration {
    Duration::from_millis(50).saturating_mul(1 << failed.min(7))
}

/// The task that listens to what other processes tell.
pub(crate) async fn listen(runtime: &Runtime) {
    let anything = || {
        runtime.waits.tell_all();
        runtime.lines.tell_all();
        runtime.lines.tell_delayed();
        runtime.schedules.poke();
        if !runtime.live.is_empty() {
            runtime.waits.news.poke(); // something that runs here may have been cancelled
        }
    };
    let heard = |heard: Heard| match heard {
        Heard::Listening => {
            anything();
            runtime.waits.told.store(true, Ordering::Relaxed);
        }
        Heard::Something => {
            anything();
            runtime.released.notify_one();
        }
        Heard::Hints(hints) => {
            for hint in hints {
                match hint {
                    Hint::Workflow(_) => runtime.waits.tell(hint),
                    Hint::Executor(executor) if executor == runtime.fence().executor => {
                        runtime.waits.news.poke();
                    }
                    Hint::Executor(_) => {}
                    // The schedules have a name among the queues, and nobody enqueues there.
                    Hint::Queue(_) if hint == Hint::of_queue(SCHEDULES) => runtime.schedules.poke(),
                    Hint::Queue(_) if hint == Hint::of_queue(RELEASED) => runtime.released.notify_one(),
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
            () = runtime.gate.reached(Level::Killed) => return,
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
                error.fault == Fault::Refused
            }
        };
        let pause = if hopeless { Duration::from_mins(1) } else { back_off(failed) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = runtime.gate.reached(Level::Killed) => return,
        }
    }
}

/// What is to be told to other processes.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    hints: Mutex<BTreeSet<Hint>>,
    news: Notify,
}

impl Notices {
    pub(crate) fn add(&self, hint: Hint) {
        let mut hints = lock(&self.hints);
        let first = hints.is_empty();
        hints.insert(hint);
        drop(hints);
        if first {
            self.news.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Vec<Hint> {
        std::mem::take(&mut *lock(&self.hints)).into_iter().collect()
    }
}

/// The task that tells. A notification takes a lock over the whole server while it is committed, so
/// it never rides in a commit that anybody waits for, and one goes for many.
pub(crate) async fn tell(runtime: &Runtime) {
    loop {
        let down = tokio::select! {
            () = runtime.notices.news.notified() => false,
            () = runtime.gate.reached(Level::Closing) => true,
        };
        let hints = runtime.notices.take();
        // Who does not hear of it asks by the clock, a little later.
        if !hints.is_empty()
            && let Err(error) = runtime.store.notify(&hints).await
        {
            tracing::debug!(target: "durable", %error, "telling other processes failed");
        }
        if down {
            return;
        }
        tokio::time::sleep(COALESCE).await;
    }
}
