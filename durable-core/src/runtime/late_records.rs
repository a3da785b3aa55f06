//! Records of bodies that compute: sent by a thread, because the task of such a body, and with it whatever the
//! task has woken last, does not get on.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::types::sync::{Condvar, Mutex, lock};

/// How long a record may wait for the end of the body's turn. Most bodies wait or return long before, and their
/// record goes with the commit of what comes next.
pub(crate) const RECORD_DELAY: Duration = Duration::from_millis(5);

/// A run with records that are not sent yet.
pub(crate) trait UnsentRecords: Send + Sync {
    /// Hands the batch with this number to the writer, if it is not sent yet. Returns whether it has to wait.
    fn send_late(self: Arc<Self>, batch: u64) -> bool;
}

/// The runs with records that are not sent yet, and the thread that sends those that have waited for too long.
#[derive(Debug)]
pub(crate) struct LateRecords {
    delay: Duration,
    shared: Arc<SharedRecords>,
}

#[derive(Default)]
struct SharedRecords {
    state: Mutex<WaitingRecords>,
    /// There is a batch, or this is closed.
    changed: Condvar,
}

#[derive(Default)]
struct WaitingRecords {
    /// The batches in the order in which they are due.
    batches: VecDeque<WaitingBatch>,
    has_thread: bool,
    /// Whether the thread waits for a batch.
    idle: bool,
    closed: bool,
}

struct WaitingBatch {
    due: Instant,
    run: Weak<dyn UnsentRecords>,
    number: u64,
}

impl LateRecords {
    /// Without a thread, until there is a record.
    pub(crate) fn new(delay: Duration) -> Self {
        Self { delay, shared: Arc::default() }
    }

    /// A run has begun a batch.
    pub(crate) fn note(&self, run: Weak<dyn UnsentRecords>, number: u64) {
        let mut state = lock(&self.shared.state);
        state.batches.push_back(WaitingBatch { due: Instant::now() + self.delay, run, number });
        if !state.has_thread {
            let (name, shared, delay) = ("durable-records".to_owned(), Arc::clone(&self.shared), self.delay);
            let thread = std::thread::Builder::new().name(name).spawn(move || shared.work(delay));
            // Without a thread the records go when the body waits or returns, and the next one tries again.
            state.has_thread = thread.is_ok();
        } else if state.idle {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for LateRecords {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_one();
    }
}

impl SharedRecords {
    fn work(&self, delay: Duration) {
        let mut state = lock(&self.state);
        while !state.closed {
            let now = Instant::now();
            match state.batches.front() {
                None => {
                    state.idle = true;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle = false;
                }
                Some(batch) if batch.due > now => {
                    let wait = batch.due - now;
                    state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(_) => {
                    let Some(mut batch) = state.batches.pop_front() else { continue };
                    drop(state);
                    // The run may be dropped here, and everything that it holds.
                    let has_to_wait = batch.run.upgrade().is_some_and(|run| run.send_late(batch.number));
                    state = lock(&self.state);
                    if has_to_wait {
                        batch.due = Instant::now() + delay;
                        state.batches.push_back(batch);
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for SharedRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} batches wait", lock(&self.state).batches.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Run(Mutex<u32>, Sender<u64>);

    impl UnsentRecords for Run {
        fn send_late(self: Arc<Self>, batch: u64) -> bool {
            let mut waits = lock(&self.0);
            self.1.send(batch).expect("the test waits");
            *waits = waits.saturating_sub(1);
            *waits > 0
        }
    }

    #[test]
    fn batches_are_sent_in_order_and_again_while_they_have_to_wait() {
        let (sent, batches) = channel();
        let late = LateRecords::new(Duration::from_millis(1));
        let patient: Arc<dyn UnsentRecords> = Arc::new(Run(Mutex::new(0), sent.clone()));
        let busy: Arc<dyn UnsentRecords> = Arc::new(Run(Mutex::new(3), sent));
        late.note(Arc::downgrade(&patient), 7);
        assert_eq!(batches.recv(), Ok(7));
        late.note(Arc::downgrade(&busy), 8);
        assert_eq!([(); 3].map(|()| batches.recv()), [Ok(8); 3]);
        drop(patient);
        drop(busy);
        assert!(batches.recv().is_err(), "nothing holds the runs");
    }

    #[test]
    fn the_thread_ends_with_the_engine() {
        let late = LateRecords::new(Duration::from_millis(1));
        let (sent, batches) = channel();
        let run: Arc<dyn UnsentRecords> = Arc::new(Run(Mutex::new(0), sent));
        late.note(Arc::downgrade(&run), 1);
        assert_eq!(batches.recv(), Ok(1));
        let shared = Arc::downgrade(&late.shared);
        drop(late);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
