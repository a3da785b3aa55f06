//! Waits for a time: one task fires all of them, however many there are.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::types::sync::{Mutex, lock};
use crate::types::time::Timestamp;
use crate::wait::clock::Clock;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};

/// The longest sleep of the task, because clocks are set now and then.
const MAX_SLEEP: Duration = Duration::from_hours(1);
/// A number that sorts after those of all entries of the same time.
const AFTER_ALL: TimerNumber = TimerNumber::MAX;

/// All waits for a time, and the clock that they use.
///
/// A hundred thousand sleeping workflows are as many entries of a map: a time, a number and a waker
/// each. Only the first of them has a timer of the tokio runtime.
#[derive(Debug)]
pub(crate) struct Timers {
    pub(crate) clock: Clock,
    state: Mutex<TimerState>,
    /// Wakes the task: a new first entry was added, or the clock was set.
    changed: Notify,
    /// Whether a test moves the database's clock, and with it everything that takes time.
    is_virtual: bool,
}

#[derive(Debug, Default)]
struct TimerState {
    /// By time; the number distinguishes entries of the same time.
    entries: BTreeMap<(Timestamp, TimerNumber), Waker>,
    last_number: u64,
    /// Set during a shutdown: waits that would fire after this time are released.
    release_after: Option<Timestamp>,
}

/// The number of an entry. It is odd if a shutdown does not release the wait, so that the entry need not say so.
type TimerNumber = u64;

/// How a wait for a time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerOutcome {
    /// The time has come.
    Fired,
    /// The engine shuts down before that time.
    Released,
}

impl Timers {
    pub(crate) fn new(clock: Clock, is_virtual: bool) -> Self {
        Self { clock, state: Mutex::default(), changed: Notify::new(), is_virtual }
    }

    /// Waits for this long by the clock of this machine, which is never set. In a test whose time is virtual, by
    /// the clock that the test moves.
    pub(crate) async fn elapsed(&self, duration: Duration) {
        if self.is_virtual {
            self.at_always(self.clock.after(duration)).await;
        } else {
            tokio::time::sleep(duration).await;
        }
    }

    /// Waits for a time, if there is one, and otherwise for ever. A shutdown does not release the wait.
    pub(crate) async fn at_if_any(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => drop(self.at_always(at).await),
            None => std::future::pending().await,
        }
    }

    /// The first time that is waited for.
    #[cfg(feature = "testing")]
    pub(crate) fn first(&self) -> Option<Timestamp> {
        let first = lock(&self.state).entries.keys().next().map(|(at, _)| *at);
        first.filter(|at| *at < Timestamp::LATEST) // a wait without a limit
    }

    /// Waits for a time of the database's clock, or until a shutdown releases the wait.
    pub(crate) fn at(&self, at: Timestamp) -> Timer<'_> {
        Timer { timers: self, at, number: None, ignores_shutdown: false }
    }

    /// Waits for a time of the database's clock. A shutdown does not release the wait.
    pub(crate) fn at_always(&self, at: Timestamp) -> Timer<'_> {
        Timer { timers: self, at, number: None, ignores_shutdown: true }
    }

    /// Releases all waits that would fire after `time`, those of later callers included.
    pub(crate) fn release(&self, time: Timestamp) {
        let mut state = lock(&self.state);
        let time = state.release_after.map_or(time, |earlier| earlier.min(time));
        state.release_after = Some(time);
        let later = state.entries.extract_if((time, AFTER_ALL).., |(_, number), _| number % 2 == 0);
        let released: Vec<Waker> = later.map(|(_, waker)| waker).collect();
        drop(state);
        released.into_iter().for_each(Waker::wake);
    }

    /// Makes the task read the clock again, because it was set.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Fires all timers that are due. Returns how long the next one still has to wait.
    fn fire_due(&self) -> Option<Duration> {
        let now = self.clock.lower_bound();
        let mut state = lock(&self.state);
        let later = state.entries.split_off(&(now, AFTER_ALL));
        let due = std::mem::replace(&mut state.entries, later);
        let next = state.entries.keys().next().map(|(at, _)| at.saturating_duration_since(now));
        drop(state);
        due.into_values().for_each(Waker::wake);
        next
    }
}

/// The task that fires the timers.
pub(crate) async fn run(timers: &Timers, shutdown: &ShutdownSignal) {
    loop {
        let sleep = timers.fire_due().map_or(MAX_SLEEP, |next| next.min(MAX_SLEEP));
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = timers.changed.notified() => {}
            () = shutdown.wait_for(EnginePhase::Stopping) => return,
        }
    }
}

/// A wait for a time.
#[derive(Debug)]
#[must_use = "a timer does nothing until it is awaited"]
pub(crate) struct Timer<'a> {
    timers: &'a Timers,
    at: Timestamp,
    /// The number of its entry in the map, once there is one.
    number: Option<TimerNumber>,
    ignores_shutdown: bool,
}

impl Future for Timer<'_> {
    type Output = TimerOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TimerOutcome> {
        let timers = self.timers;
        let due = timers.clock.lower_bound() >= self.at;
        let mut state = lock(&timers.state);
        let released = !self.ignores_shutdown && state.release_after.is_some_and(|time| self.at > time);
        if due || released {
            if let Some(number) = self.number.take() {
                state.entries.remove(&(self.at, number));
            }
            return Poll::Ready(if due { TimerOutcome::Fired } else { TimerOutcome::Released });
        }
        let ignores_shutdown = self.ignores_shutdown;
        let number = *self.number.get_or_insert_with(|| {
            state.last_number += 2;
            state.last_number + TimerNumber::from(ignores_shutdown)
        });
        let key = (self.at, number);
        match state.entries.get_mut(&key) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => drop(state.entries.insert(key, cx.waker().clone())),
        }
        let first = state.entries.keys().next() == Some(&key);
        drop(state);
        if first {
            timers.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            lock(&self.timers.state).entries.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn timers() -> (Arc<Timers>, Arc<ShutdownSignal>, tokio::task::JoinHandle<()>) {
        let timers = Arc::new(Timers::new(Clock::new(Timestamp::from_micros(1_000_000)), false));
        let shutdown = Arc::new(ShutdownSignal::new());
        let task = tokio::spawn({
            let (timers, shutdown) = (Arc::clone(&timers), Arc::clone(&shutdown));
            async move { run(&timers, &shutdown).await }
        });
        (timers, shutdown, task)
    }

    #[tokio::test]
    async fn every_timer_fires_at_its_time_and_not_before() {
        let (timers, shutdown, task) = timers();
        let start = timers.clock.lower_bound();
        let wait = |millis: u64| {
            let timers = Arc::clone(&timers);
            let time = start.saturating_add(Duration::from_millis(millis));
            async move {
                assert_eq!(timers.at(time).await, TimerOutcome::Fired);
                assert!(timers.clock.lower_bound() >= time);
                millis
            }
        };
        let (a, b, c) = tokio::join!(wait(20), wait(1), wait(10));
        assert_eq!((a, b, c), (20, 1, 10));
        shutdown.advance_to(EnginePhase::Stopping);
        task.await.expect("the task does not panic");
        assert!(lock(&timers.state).entries.is_empty());
    }

    #[tokio::test]
    async fn a_release_ends_later_waits_and_keeps_earlier_ones_and_those_that_ignore_the_shutdown() {
        let (timers, shutdown, task) = timers();
        let now = timers.clock.lower_bound();
        let after = |millis| now.saturating_add(Duration::from_millis(millis));
        let hour = now.saturating_add(HOUR);
        let (soon, late, always) = (timers.at(after(20)), timers.at(hour), timers.at_always(after(30)));
        let release = async { timers.release(after(25)) };
        let (soon, late, always, ()) = tokio::join!(soon, late, always, release);
        assert_eq!((soon, late, always), (TimerOutcome::Fired, TimerOutcome::Released, TimerOutcome::Fired));
        assert_eq!(timers.at(hour).await, TimerOutcome::Released, "a wait that starts later is released, too");
        shutdown.advance_to(EnginePhase::Stopping);
        task.await.expect("the task does not panic");
    }

    #[tokio::test]
    async fn a_dropped_timer_leaves_nothing_behind() {
        let timers = Timers::new(Clock::new(Timestamp::UNIX_EPOCH), false);
        let mut timer = Box::pin(timers.at(Timestamp::UNIX_EPOCH.saturating_add(HOUR)));
        assert!(std::future::poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_pending())).await);
        drop(timer);
        assert!(lock(&timers.state).entries.is_empty());
    }
}
