//! The threads for steps that block: made when they are needed, bounded, and ended when they are idle.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::types::sync::{Condvar, Mutex, lock};

/// How long a thread waits for the next step before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A step, ready to run.
pub(crate) type StepJob = Box<dyn FnOnce() + Send>;

/// The threads for steps that block. They are not joined: a program that ends does not wait for a step that
/// does not. Idle ones end when this is dropped.
#[derive(Debug)]
pub(crate) struct StepThreads {
    shared: Arc<SharedThreads>,
}

#[derive(Debug)]
struct SharedThreads {
    most: usize,
    state: Mutex<ThreadsState>,
    /// There is a job, or the pool is closed.
    changed: Condvar,
}

#[derive(Default)]
struct ThreadsState {
    /// The jobs that wait for a thread.
    jobs: VecDeque<StepJob>,
    /// How many threads wait for a job.
    idle: usize,
    /// The numbers of the threads, from 1. The lowest free one is the next.
    numbers: BTreeSet<usize>,
    closed: bool,
}

impl StepThreads {
    /// At most `most` threads, of which none exists yet.
    pub(crate) fn new(most: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(SharedThreads { most: most.max(1), state, changed }) }
    }

    /// Runs a job on a thread: an idle one, a new one, or the first that becomes free.
    ///
    /// # Errors
    /// The system refuses to make a thread, and there is none that could run the job. It is dropped.
    pub(crate) fn run(&self, job: StepJob) -> io::Result<()> {
        let mut state = lock(&self.shared.state);
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.numbers.len() >= self.shared.most {
            self.shared.changed.notify_one();
            return Ok(());
        }
        let number = (1..=self.shared.most).find(|it| !state.numbers.contains(it)).unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        // The new thread waits for the lock, which is held here.
        match std::thread::Builder::new().name(format!("durable-step-{number}")).spawn(move || shared.work(number)) {
            Ok(_) => state.numbers.insert(number),
            Err(_) if !state.numbers.is_empty() => false, // the others are there, and run it later
            Err(error) => {
                state.jobs.pop_back();
                return Err(error);
            }
        };
        Ok(())
    }
}

impl Drop for StepThreads {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
    }
}

impl SharedThreads {
    /// What a thread does until it has been idle for too long. A job catches its own panics.
    fn work(&self, number: usize) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = lock(&self.state);
                continue;
            }
            let mut timed_out = false;
            if !state.closed {
                state.idle += 1;
                let (woken, timeout) =
                    self.changed.wait_timeout(state, KEEP_ALIVE).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                state.idle -= 1;
                timed_out = timeout.timed_out();
            }
            if state.jobs.is_empty() && (timed_out || state.closed) {
                state.numbers.remove(&number);
                return;
            }
        }
    }
}

impl std::fmt::Debug for ThreadsState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (jobs, threads) = (self.jobs.len(), self.numbers.len());
        write!(f, "{jobs} jobs wait, {threads} threads of which {} are idle", self.idle)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Runs a job that waits for a signal, and gives its thread's name, and then the way to signal it.
    fn blocked(threads: &StepThreads) -> (Receiver<String>, std::sync::mpsc::Sender<()>) {
        let ((started, name), (release, wait)) = (channel(), channel());
        let job = move || {
            started.send(std::thread::current().name().unwrap_or_default().to_owned()).expect("the test waits");
            wait.recv().expect("the test signals");
        };
        threads.run(Box::new(job)).expect("a thread can be made");
        (name, release)
    }

    #[test]
    fn threads_are_made_when_they_are_needed_and_bounded() {
        let threads = StepThreads::new(2);
        assert!(lock(&threads.shared.state).numbers.is_empty());
        let (first, release_first) = blocked(&threads);
        assert_eq!(first.recv().expect("it runs"), "durable-step-1");
        let (second, release_second) = blocked(&threads);
        assert_eq!(second.recv().expect("it runs"), "durable-step-2");
        let (third, release_third) = blocked(&threads);
        assert_eq!(lock(&threads.shared.state).jobs.len(), 1, "the third waits for one of the two threads");
        release_second.send(()).expect("it waits");
        assert_eq!(third.recv().expect("it runs"), "durable-step-2");
        for release in [release_first, release_third] {
            release.send(()).expect("it waits");
        }
    }

    #[test]
    fn an_idle_thread_is_used_again_and_ends_with_the_pool() {
        let threads = StepThreads::new(512);
        for _ in 0..3 {
            let (name, release) = blocked(&threads);
            assert_eq!(name.recv().expect("it runs"), "durable-step-1");
            release.send(()).expect("it waits");
            while lock(&threads.shared.state).idle == 0 {
                std::thread::yield_now();
            }
        }
        let shared = Arc::clone(&threads.shared);
        drop(threads);
        while !lock(&shared.state).numbers.is_empty() {
            std::thread::yield_now();
        }
    }
}
