//! Signals that end the process, for programs that ask for it: SIGTERM and SIGINT.
//!
//! A library inside somebody's process does not take over its signals. So nothing here happens
//! before [`install`] is called, by the program itself or by what it calls for that purpose:
//! [`Durable::run_until_signal`](crate::Durable::run_until_signal) and `durable::axum::serve`.
//!
//! From then on it holds for the whole process, until its end: the signals' default action, to kill
//! it, does not come back.
//!
//! | signal | what happens |
//! |---|---|
//! | the first | the engine takes no new work, readiness goes off, and the shutdown takes its course |
//! | SIGTERM again within 1 s | nothing: process managers and wrappers send it twice |
//! | the second | waits are skipped, and what still runs is aborted: 1 s for steps, 1 s to drop bodies |
//! | the third | the process exits at once with 128 + the signal's number; for the data it is a crash |
//!
//! A thread of its own receives them, with a runtime of its own, so that they are heard although
//! every worker of the program's runtime is blocked.

mod run_until_signal;
mod signal_thread;
mod watchdog;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

pub use self::watchdog::SignalGuard;
use self::watchdog::WatchedShutdown;
use crate::types::error::Result;
use crate::types::sync::lock;

/// After the first SIGTERM, another one within this time is the same one: a process manager that
/// signals every process of a group, and a wrapper that passes on what it got, send it twice.
const DUPLICATES: Duration = Duration::from_secs(1);
/// For all other signals: long enough for a wrapper that passes one on, too short for a person.
const ECHO: Duration = Duration::from_millis(50);

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM: of a process manager.
    Terminate,
    /// SIGINT: Ctrl-C in a terminal.
    Interrupt,
}

impl Signal {
    /// Its number, as in `kill -15`.
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

/// The signals that this process has received since [`install`]. Clones are the same.
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
    shared: Arc<Shared>,
}

/// What the thread and the handles share.
struct Shared {
    seen: watch::Sender<Seen>,
    /// The engines that the thread itself leads through their shutdown.
    attended: Mutex<Vec<Arc<WatchedShutdown>>>,
    /// Pokes the thread: there is one more of them.
    changed: Notify,
}

/// What has come so far.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    count: u32,
    first: Option<Signal>,
    last: Option<(Signal, Instant)>,
}

impl Seen {
    /// Adds a signal, unless it is an echo of the last one. Gives whether it counts.
    fn add(&mut self, signal: Signal, at: Instant) -> bool {
        if let Some((last, before)) = self.last
            && last == signal
        {
            let same = if self.count == 1 && signal == Signal::Terminate { DUPLICATES } else { ECHO };
            if at.saturating_duration_since(before) < same {
                return false;
            }
        }
        self.count += 1;
        self.first.get_or_insert(signal);
        self.last = Some((signal, at));
        true
    }
}

/// Takes over SIGTERM and SIGINT for the whole process, until its end. See [the module](self).
///
/// Call it first thing in `main`, before the launch, where a signal during the launch shall be
/// heard; as process 1 of a container that is the only way to be stopped then. A second call gives
/// the same signals.
///
/// On systems other than Unix it hears Ctrl-C alone.
///
/// # Errors
/// The thread cannot be started, or the system does not let it listen.
pub fn install() -> Result<Signals> {
    static INSTALLED: Mutex<Option<Signals>> = Mutex::new(None);
    let mut installed = lock(&INSTALLED);
    if let Some(signals) = &*installed {
        return Ok(signals.clone());
    }
    let shared = Shared { seen: watch::Sender::default(), attended: Mutex::default(), changed: Notify::new() };
    let signals = Signals { shared: Arc::new(shared) };
    signal_thread::start(&signals.shared)?;
    tracing::info!(target: "durable::shutdown", "SIGTERM and SIGINT end this process in order from now on");
    *installed = Some(signals.clone());
    Ok(signals)
}

impl Signals {
    /// Returns once the first signal has come, and gives it; at once if it has come already.
    pub async fn first(&self) -> Signal {
        self.reached(1).await.first.unwrap_or(Signal::Terminate) // one that was counted is kept
    }

    /// Returns once the second signal has come: whoever sent it does not want to wait.
    pub async fn second(&self) -> Signal {
        self.reached(2).await.last.map_or(Signal::Terminate, |(signal, _)| signal)
    }

    /// How many have come, without duplicates.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.shared.seen.borrow().count
    }

    /// The first one, if one has come.
    #[must_use]
    pub fn which(&self) -> Option<Signal> {
        self.shared.seen.borrow().first
    }

    async fn reached(&self, count: u32) -> Seen {
        let mut seen = self.shared.seen.subscribe();
        // The sender lives as long as `self`, so the wait cannot fail.
        seen.wait_for(|it| it.count >= count).await.map_or_else(|_| Seen::default(), |it| *it)
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
    fn a_term_that_is_sent_twice_counts_once_and_an_impatient_person_twice() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut seen = Seen::default();
        assert!(seen.add(Signal::Terminate, at(0)));
        assert!(!seen.add(Signal::Terminate, at(50)), "a duplicate");
        assert!(!seen.add(Signal::Terminate, at(999)), "counted from the first one, whatever came between");
        assert!(seen.add(Signal::Terminate, at(1_001)), "the second");
        assert!(!seen.add(Signal::Terminate, at(1_002)), "an echo of the second");
        assert!(seen.add(Signal::Terminate, at(1_100)), "the third");
        assert_eq!(seen.count, 3);

        let mut seen = Seen::default();
        assert!(seen.add(Signal::Interrupt, at(0)));
        assert!(seen.add(Signal::Interrupt, at(200)), "somebody presses Ctrl-C again");
        assert!(seen.add(Signal::Terminate, at(201)), "another signal is never a duplicate");
        assert_eq!((seen.first, seen.count), (Some(Signal::Interrupt), 3));
    }
}
