//! Who waits for a time: one task for all of them, however many there are.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::types::sync::lock;
use crate::wait::clock::Clock;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};

/// The longest rest of the task: clocks are set now and then.
const LONGEST: Duration = Duration::from_hours(1);

/// Who waits for a time, and the clock they go by.
///
/// A hundred thousand sleeping workflows are as many entries of this map: a moment, a number and a
/// waker each, and one timer of the runtime for the first of them.
#[derive(Debug)]
pub(crate) struct Timers {
    pub(crate) clock: Clock,
    state: Mutex<TimerState>,
    /// Pokes the task: an earlier moment than all others was added, or the clock was set.
    news: Notify,
}

#[derive(Debug, Default)]
struct TimerState {
    /// By moment; the number tells apart who waits for the same one.
    waiting: BTreeMap<(i64, u64), TimerEntry>,
    last_number: u64,
    /// Set while the engine goes down: who would wake later than this need not wait for it here.
    horizon: Option<i64>,
}

#[derive(Debug)]
struct TimerEntry {
    waker: Waker,
    patient: bool,
}

/// How a wait for a time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerOutcome {
    /// The time has come.
    Due,
    /// The engine goes down before.
    Released,
}

impl Timers {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), news: Notify::new() }
    }

    /// Waits for a moment of the database's clock, or until the engine goes down before it.
    pub(crate) fn at(&self, at: i64) -> Timer<'_> {
        Timer { timers: self, at, number: None, patient: false }
    }

    /// Waits for a moment, whatever the engine does.
    pub(crate) fn at_always(&self, at: i64) -> Timer<'_> {
        Timer { timers: self, at, number: None, patient: true }
    }

    /// Releases everybody who would wake after `horizon`, from now on.
    pub(crate) fn release(&self, horizon: i64) {
        let mut state = lock(&self.state);
        let horizon = state.horizon.map_or(horizon, |it| it.min(horizon));
        state.horizon = Some(horizon);
        let later = state.waiting.extract_if((horizon.saturating_add(1), 0).., |_, it| !it.patient);
        let released: Vec<Waker> = later.map(|(_, it)| it.waker).collect();
        drop(state);
        released.into_iter().for_each(Waker::wake);
    }

    /// Looks at the clock again: it was set.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    /// Wakes everybody whose time has come, and says how long the next one has to wait.
    fn fire_due(&self) -> Option<Duration> {
        let now = self.clock.lower_bound();
        let mut state = lock(&self.state);
        let later = state.waiting.split_off(&(now.saturating_add(1), 0));
        let due = std::mem::replace(&mut state.waiting, later);
        let next = state.waiting.keys().next().map(|(at, _)| u64::try_from(at - now).unwrap_or_default());
        drop(state);
        for waiter in due.into_values() {
            waiter.waker.wake();
        }
        next.map(Duration::from_micros)
    }
}

/// The task that wakes them.
pub(crate) async fn run(timers: &Timers, gate: &ShutdownSignal) {
    loop {
        let pause = timers.fire_due().map_or(LONGEST, |next| next.min(LONGEST));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = timers.news.notified() => {}
            () = gate.wait_for(EnginePhase::Stopping) => return,
        }
    }
}

/// A wait for a moment.
#[derive(Debug)]
#[must_use = "a timer does nothing until it is awaited"]
pub(crate) struct Timer<'a> {
    timers: &'a Timers,
    at: i64,
    /// The number in the map, once it is there.
    number: Option<u64>,
    patient: bool,
}

impl Future for Timer<'_> {
    type Output = TimerOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TimerOutcome> {
        let timers = self.timers;
        let due = timers.clock.lower_bound() >= self.at;
        let mut state = lock(&timers.state);
        let released = !self.patient && state.horizon.is_some_and(|horizon| self.at > horizon);
        if due || released {
            if let Some(number) = self.number.take() {
                state.waiting.remove(&(self.at, number));
            }
            return Poll::Ready(if due { TimerOutcome::Due } else { TimerOutcome::Released });
        }
        let number = *self.number.get_or_insert_with(|| {
            state.last_number += 1;
            state.last_number
        });
        let key = (self.at, number);
        let patient = self.patient;
        match state.waiting.get_mut(&key) {
            Some(waiter) => waiter.waker.clone_from(cx.waker()),
            None => drop(state.waiting.insert(key, TimerEntry { waker: cx.waker().clone(), patient })),
        }
        let first = state.waiting.keys().next() == Some(&key);
        drop(state);
        if first {
            timers.news.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            lock(&self.timers.state).waiting.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn timers() -> (Arc<Timers>, Arc<ShutdownSignal>, tokio::task::JoinHandle<()>) {
        let timers = Arc::new(Timers::new(Clock::new(1_000_000)));
        let gate = Arc::new(ShutdownSignal::new());
        let task = tokio::spawn({
            let (timers, gate) = (Arc::clone(&timers), Arc::clone(&gate));
            async move { run(&timers, &gate).await }
        });
        (timers, gate, task)
    }

    #[tokio::test]
    async fn everybody_is_woken_at_the_own_time_and_not_before() {
        let (timers, gate, task) = timers();
        let start = timers.clock.lower_bound();
        let wait = |after: i64| {
            let timers = Arc::clone(&timers);
            async move {
                assert_eq!(timers.at(start + after).await, TimerOutcome::Due);
                assert!(timers.clock.lower_bound() >= start + after);
                after
            }
        };
        let (a, b, c) = tokio::join!(wait(20_000), wait(1_000), wait(10_000));
        assert_eq!((a, b, c), (20_000, 1_000, 10_000));
        gate.advance_to(EnginePhase::Stopping);
        task.await.expect("it only waits");
        assert!(lock(&timers.state).waiting.is_empty());
    }

    #[tokio::test]
    async fn a_release_lets_go_of_those_who_would_wake_too_late() {
        let (timers, gate, task) = timers();
        let now = timers.clock.lower_bound();
        let (soon, late, patient) = (timers.at(now + 20_000), timers.at(now + HOUR), timers.at_always(now + 30_000));
        let release = async { timers.release(now + 25_000) };
        let (soon, late, patient, ()) = tokio::join!(soon, late, patient, release);
        assert_eq!((soon, late, patient), (TimerOutcome::Due, TimerOutcome::Released, TimerOutcome::Due));
        assert_eq!(timers.at(now + HOUR).await, TimerOutcome::Released, "who comes later is let go of, too");
        gate.advance_to(EnginePhase::Stopping);
        task.await.expect("it only waits");
    }

    #[tokio::test]
    async fn a_dropped_timer_leaves_nothing_behind() {
        let timers = Timers::new(Clock::new(0));
        let mut timer = Box::pin(timers.at(HOUR));
        assert!(std::future::poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_pending())).await);
        drop(timer);
        assert!(lock(&timers.state).waiting.is_empty());
    }
}
