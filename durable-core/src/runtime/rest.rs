//! Whether the tasks of an engine have anything to do, for tests with virtual time: such a test lets time pass only
//! while nothing can go on without it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot, watch};

use crate::types::sync::{Mutex, lock};

/// How long a test waits for something that does not get on, unless it sets something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What the tasks of an engine do.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Whether its tasks are watched, which takes a little of each poll.
    watched: AtomicBool,
    /// How many watched tasks are being polled, or about to be.
    busy: AtomicUsize,
    /// How often watched tasks were polled.
    polls: AtomicU64,
    /// How often those of workflows and calls were.
    progress: AtomicU64,
    /// How many callers outside of workflows wait for something of the engine.
    outside_waits: AtomicUsize,
    /// Notified when no watched task is busy any more.
    idle: Notify,
    /// How long a test waits for something that does not get on.
    patience: Mutex<Duration>,
    /// Where to ask for moves of the clock.
    pub(crate) moves: OnceLock<UnboundedSender<ClockMove>>,
    /// Why the test cannot go on, once that is so.
    pub(crate) standstill: watch::Sender<Option<String>>,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            watched: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            polls: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            outside_waits: AtomicUsize::new(0),
            idle: Notify::new(),
            patience: Mutex::new(PATIENCE),
            moves: OnceLock::new(),
            standstill: watch::Sender::new(None),
        }
    }
}

/// A request to move the clock.
#[derive(Debug)]
pub(crate) struct ClockMove {
    /// By how much; `None` moves it to the next due moment.
    pub(crate) by: Option<Duration>,
    /// Gets how far it was moved, and nothing if nothing was due; or why it cannot be moved.
    pub(crate) moved: oneshot::Sender<Result<Option<Duration>, String>>,
}

impl Rest {
    /// From now on tasks that are spawned are watched.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// A task of the engine itself.
    pub(crate) fn of_engine<F: Future>(self: &Arc<Self>, task: F) -> WatchedTask<F> {
        self.task(task, false)
    }

    /// A task of a workflow or of a call, whose polls are progress.
    pub(crate) fn of_work<F: Future>(self: &Arc<Self>, task: F) -> WatchedTask<F> {
        self.task(task, true)
    }

    fn task<F: Future>(self: &Arc<Self>, task: F, is_work: bool) -> WatchedTask<F> {
        let watch = self.watched.load(Ordering::Relaxed).then(|| {
            self.busy.fetch_add(1, Ordering::SeqCst);
            let state = Mutex::new((TaskState::Ready, Waker::noop().clone()));
            TaskEnd(Arc::new(TaskWatch { rest: Arc::clone(self), is_work, state }))
        });
        WatchedTask { task: Box::pin(task), watch }
    }

    /// Whether tasks are watched.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Whether a watched task is being polled, or about to be.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// A number that grows while workflows and calls go on.
    pub(crate) fn progress(&self) -> u64 {
        self.progress.load(Ordering::SeqCst)
    }

    /// A number that grows whenever a watched task does anything.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn patience(&self) -> Duration {
        *lock(&self.patience)
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        *lock(&self.patience) = patience;
    }

    /// Returns when no watched task is busy any more, from when this was called.
    pub(crate) async fn idle(&self) {
        self.idle.notified().await;
    }

    /// A caller outside of workflows waits until the guard is dropped.
    pub(crate) fn outside_wait(&self) -> OutsideWait<'_> {
        self.outside_waits.fetch_add(1, Ordering::SeqCst);
        OutsideWait(self)
    }

    /// Whether a caller outside of workflows waits.
    pub(crate) fn has_outside_waits(&self) -> bool {
        self.outside_waits.load(Ordering::SeqCst) > 0
    }

    fn becomes_idle(&self) {
        if self.busy.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_waiters();
        }
    }
}

/// A caller outside of workflows waits while this lives.
#[derive(Debug)]
pub(crate) struct OutsideWait<'a>(&'a Rest);

impl Drop for OutsideWait<'_> {
    fn drop(&mut self) {
        self.0.outside_waits.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A task that counts as busy from when it is woken until it waits again.
pub(crate) struct WatchedTask<F> {
    task: Pin<Box<F>>,
    /// Dropped after the task, whose destructors may wake others.
    watch: Option<TaskEnd>,
}

/// The task has ended when this is dropped.
struct TaskEnd(Arc<TaskWatch>);

impl Drop for TaskEnd {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The waker of a watched task.
struct TaskWatch {
    rest: Arc<Rest>,
    is_work: bool,
    /// The second is the waker of the tokio task.
    state: Mutex<(TaskState, Waker)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    /// Nothing has woken it since it was polled.
    Waits,
    /// It was woken, and is polled next.
    Ready,
    Polled,
    /// It was woken while it was polled.
    PolledAndWoken,
    Ended,
}

impl TaskWatch {
    fn begin_poll(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        if state.0 == TaskState::Waits {
            self.rest.busy.fetch_add(1, Ordering::SeqCst);
        }
        state.0 = TaskState::Polled;
        state.1.clone_from(waker);
        drop(state);
        self.rest.polls.fetch_add(1, Ordering::SeqCst);
        if self.is_work {
            self.rest.progress.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The poll is over; with `again` the task is polled once more in any case.
    fn end_poll(&self, again: bool) {
        let mut state = lock(&self.state);
        if state.0 == TaskState::PolledAndWoken || again {
            state.0 = TaskState::Ready;
        } else {
            state.0 = TaskState::Waits;
            drop(state);
            self.rest.becomes_idle();
        }
    }

    fn end(&self) {
        let mut state = lock(&self.state);
        let before = std::mem::replace(&mut state.0, TaskState::Ended);
        drop(state);
        if !matches!(before, TaskState::Waits | TaskState::Ended) {
            self.rest.becomes_idle();
        }
    }
}

impl Wake for TaskWatch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        match state.0 {
            TaskState::Waits => {
                self.rest.busy.fetch_add(1, Ordering::SeqCst);
                state.0 = TaskState::Ready;
            }
            TaskState::Polled => state.0 = TaskState::PolledAndWoken,
            TaskState::Ready | TaskState::PolledAndWoken | TaskState::Ended => {}
        }
        let waker = state.1.clone();
        drop(state);
        waker.wake();
    }
}

impl<F: Future> Future for WatchedTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(TaskEnd(watch)) = &self.watch else { return self.task.as_mut().poll(cx) };
        let watch = Arc::clone(watch);
        watch.begin_poll(cx.waker());
        let polled = self.task.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&watch))));
        if polled.is_pending() {
            // A task that has used up its budget is woken by tokio a moment later.
            let again = !tokio::task::coop::has_budget_remaining();
            watch.end_poll(again);
            if again {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }
}

impl<F> fmt::Debug for WatchedTask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedTask").field("is_watched", &self.watch.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_is_busy_until_it_waits_and_again_when_it_is_woken() {
        let (rest, signal) = (Arc::new(Rest::default()), Arc::new(Notify::new()));
        rest.watch();
        let waits = Arc::clone(&signal);
        let task = tokio::spawn(rest.of_work(async move { waits.notified().await }));
        assert!(rest.is_busy(), "it was spawned and not polled yet");
        while rest.is_busy() {
            tokio::task::yield_now().await;
        }
        let before = rest.progress();
        signal.notify_one();
        assert!(rest.is_busy(), "it was woken");
        task.await.expect("it ends");
        assert!(!rest.is_busy() && rest.progress() > before);
    }

    #[tokio::test]
    async fn a_task_that_is_aborted_or_out_of_budget_is_not_counted_for_ever() {
        let rest = Arc::new(Rest::default());
        rest.watch();
        let aborted = tokio::spawn(rest.of_work(std::future::pending::<()>()));
        aborted.abort();
        aborted.await.expect_err("it was aborted");
        let greedy = tokio::spawn(rest.of_engine(async {
            while tokio::task::coop::has_budget_remaining() {
                tokio::task::coop::consume_budget().await;
            }
            std::future::pending::<()>().await;
        }));
        while rest.is_busy() {
            tokio::task::yield_now().await;
        }
        greedy.abort();
        assert!(!rest.is_busy());
    }
}
