//! Shutdown on SIGTERM and SIGINT, for programs that ask for it.
//!
//! A library should not handle signals by itself. So nothing here happens until [`install`] is called: by
//! the program, by [`Durable::run_until_signal`](crate::Durable::run_until_signal), or by
//! `durable::axum::serve`.
//!
//! From then on it applies to the whole process until its end: the default action of the signals, which
//! is to kill the process, does not come back.
//!
//! | signal | what happens |
//! |---|---|
//! | the first | the engine takes no new work, its readiness goes off, and the shutdown starts |
//! | SIGTERM again within 1 s | nothing: process managers and wrappers often send it twice |
//! | the second | waits are skipped, and what still runs is aborted: 1 s for steps, 1 s to drop the rest |
//! | the third | the process exits at once with 128 + the signal's number, which is as safe as a crash |
//!
//! A thread with its own runtime receives the signals, so they work even if all workers of the program's
//! runtime are blocked.

mod signal_guard;
mod signal_thread;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use self::signal_guard::GuardedEngine;
pub use self::signal_guard::SignalGuard;
use crate::types::error::Result;
use crate::types::sync::{Mutex, lock};

/// A SIGTERM within this time after the first one is a duplicate: a process manager that signals every
/// process of a group, and a wrapper that forwards it, send it twice.
const FIRST_TERM_DUPLICATES: Duration = Duration::from_secs(1);
/// The same for all other signals: long enough for a wrapper that forwards one, too short for a person.
const DUPLICATES: Duration = Duration::from_millis(50);

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM, from a process manager.
    Terminate,
    /// SIGINT, from Ctrl-C in a terminal.
    Interrupt,
}

impl Signal {
    /// The signal's number, as in `kill -15`.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// The signals that this process has received since [`install`]. Clones share them.
///
/// # Example: a program with a main loop of its own
///
/// ```no_run
/// # async fn example() -> durable_core::Result<()> {
/// # use durable_core as durable;
/// # async fn one_round() {}
/// let signals = durable::signals::install()?;
/// let app = durable::Durable::launch("my-app").await?;
/// while signals.count() == 0 {
///     one_round().await;
/// }
/// let report = app.shutdown().await;
/// std::process::exit(report.exit_code());
/// # }
/// ```
#[derive(Clone)]
pub struct Signals {
    state: Arc<SignalState>,
}

/// What the signal thread and the handles share.
struct SignalState {
    received: watch::Sender<ReceivedSignals>,
    /// The engines that the thread shuts down.
    engines: Mutex<Vec<Arc<GuardedEngine>>>,
    /// Wakes the thread when there is another engine.
    changed: Notify,
}

/// The signals so far.
#[derive(Debug, Clone, Copy, Default)]
struct ReceivedSignals {
    count: u32,
    first: Option<Signal>,
    last: Option<(Signal, Instant)>,
}

impl ReceivedSignals {
    /// Adds a signal, unless it is a duplicate of the last one. Returns whether it counts.
    fn add(&mut self, signal: Signal, at: Instant) -> bool {
        if let Some((last, before)) = self.last
            && last == signal
        {
            let window =
                if self.count == 1 && signal == Signal::Terminate { FIRST_TERM_DUPLICATES } else { DUPLICATES };
            if at.saturating_duration_since(before) < window {
                return false;
            }
        }
        self.count += 1;
        self.first.get_or_insert(signal);
        self.last = Some((signal, at));
        true
    }
}

/// Handles SIGTERM and SIGINT for the whole process until its end. See [the module](self).
///
/// Call it at the start of `main`, before the launch, if a signal should also stop a launch: process 1 of a
/// container can be stopped in no other way then. A second call returns the same signals.
///
/// On systems other than Unix it handles only Ctrl-C.
///
/// # Errors
/// The thread cannot be started, or the operating system refuses the signals.
pub fn install() -> Result<Signals> {
    static INSTALLED: Mutex<Option<Signals>> = Mutex::new(None);
    let mut installed = lock(&INSTALLED);
    if let Some(signals) = &*installed {
        return Ok(signals.clone());
    }
    let state = SignalState { received: watch::Sender::default(), engines: Mutex::default(), changed: Notify::new() };
    let signals = Signals { state: Arc::new(state) };
    signal_thread::start(&signals.state)?;
    tracing::info!(target: "durable::shutdown", "SIGTERM and SIGINT shut this process down from now on");
    *installed = Some(signals.clone());
    Ok(signals)
}

impl Signals {
    /// Waits for the first signal and returns it: at once if it has already arrived.
    pub async fn first(&self) -> Signal {
        self.wait_for_count(1).await.first.unwrap_or(Signal::Terminate) // there is one if the count is 1
    }

    /// Waits for the second signal and returns it: what remains should be cut short.
    pub async fn second(&self) -> Signal {
        self.wait_for_count(2).await.last.map_or(Signal::Terminate, |(signal, _)| signal)
    }

    /// The number of signals so far, without duplicates.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.state.received.borrow().count
    }

    /// The first signal, if one has arrived.
    #[must_use]
    pub fn which(&self) -> Option<Signal> {
        self.state.received.borrow().first
    }

    async fn wait_for_count(&self, count: u32) -> ReceivedSignals {
        let mut received = self.state.received.subscribe();
        // The sender lives as long as `self`, so the wait cannot fail.
        received.wait_for(|it| it.count >= count).await.map_or_else(|_| ReceivedSignals::default(), |it| *it)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signals({} received)", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_term_counts_once_and_a_repeated_interrupt_twice() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut received = ReceivedSignals::default();
        assert!(received.add(Signal::Terminate, at(0)));
        assert!(!received.add(Signal::Terminate, at(50)), "a duplicate");
        assert!(!received.add(Signal::Terminate, at(999)), "the time counts from the first one");
        assert!(received.add(Signal::Terminate, at(1_001)), "the second");
        assert!(!received.add(Signal::Terminate, at(1_002)), "a duplicate of the second");
        assert!(received.add(Signal::Terminate, at(1_100)), "the third");
        assert_eq!(received.count, 3);

        let mut received = ReceivedSignals::default();
        assert!(received.add(Signal::Interrupt, at(0)));
        assert!(received.add(Signal::Interrupt, at(200)), "Ctrl-C is pressed again");
        assert!(received.add(Signal::Terminate, at(201)), "another signal is never a duplicate");
        assert_eq!((received.first, received.count), (Some(Signal::Interrupt), 3));
    }
}
