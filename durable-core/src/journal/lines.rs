//! What this process knows of the queues it takes work from: how much of it runs here, and which of
//! them are worth a look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::store::{Hint, QueueLimits};
use crate::words::sync::lock;

/// The queues that this process takes work from.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_name: Mutex<HashMap<Arc<str>, Line>>,
    /// Whether something may be due that was not known to be: another process has told of the queue.
    due_news: AtomicBool,
    /// How many were given back that were taken when the engine began to go down.
    returned: AtomicU64,
    /// Pokes the dispatcher.
    pub(crate) news: Notify,
}

#[derive(Debug, Default)]
struct Line {
    /// How many of its workflows run here, or are about to.
    running: u32,
    /// Whether there may be something to take.
    worth_a_look: bool,
    /// Whether the answer to a claim was lost: nobody knows what it took.
    unsure: bool,
    /// When a rate limit lets the next one start.
    next_at: Option<i64>,
    limits: QueueLimits,
}

/// How many workflows of one queue run in one process, if the queue does not say: there is a limit
/// for each process's memory.
const MOST_RUNNING: u32 = 1_000;
/// How many are taken at a time.
const MOST_AT_ONCE: u32 = 100;

/// A queue whose turn it is, and how many of it there is room for.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) queue: Arc<str>,
    pub(crate) free: u32,
    /// Whether an earlier claim may have taken something that nobody here knows of.
    pub(crate) unsure: bool,
}

impl Lines {
    /// Takes work from this queue from now on.
    pub(crate) fn open(&self, queue: &str, limits: QueueLimits) {
        let line = Line { worth_a_look: true, limits, ..Line::default() };
        lock(&self.by_name).insert(queue.into(), line);
        self.news.notify_one();
    }

    /// There may be something to take from this queue.
    pub(crate) fn tell(&self, hint: Hint) {
        let mut told = false;
        for (name, line) in lock(&self.by_name).iter_mut() {
            if Hint::of_queue(name) == hint {
                line.worth_a_look = true;
                told = true;
            }
        }
        if told {
            self.news.notify_one();
        }
    }

    /// There may be something to take from any.
    pub(crate) fn tell_all(&self) {
        for line in lock(&self.by_name).values_mut() {
            line.worth_a_look = true;
        }
        self.news.notify_one();
    }

    /// Something is delayed, and when it is due has to be asked for.
    pub(crate) fn tell_delayed(&self) {
        self.due_news.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }

    /// Whether when something is due has to be asked for; asked once, it is told of anew.
    pub(crate) fn take_due_news(&self) -> bool {
        self.due_news.swap(false, Ordering::Relaxed)
    }

    /// The queues that are worth a look now and have room here; asked once, they are told of anew.
    pub(crate) fn turns(&self, now: i64) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (name, line) in lock(&self.by_name).iter_mut() {
            if line.next_at.is_some_and(|at| at <= now) {
                (line.next_at, line.worth_a_look) = (None, true);
            }
            let most = line.limits.worker_concurrency.unwrap_or(MOST_RUNNING);
            let free = most.saturating_sub(line.running).min(MOST_AT_ONCE);
            if line.worth_a_look && free > 0 {
                line.worth_a_look = false;
                turns.push(Turn { queue: Arc::clone(name), free, unsure: line.unsure });
            }
        }
        turns
    }

    /// When the next rate limit lets something start.
    pub(crate) fn next_at(&self) -> Option<i64> {
        lock(&self.by_name).values().filter_map(|line| line.next_at).min()
    }

    /// What a claim has shown: the limits as they are, how many of `turn` came, and whether there may be more.
    pub(crate) fn claimed(&self, turn: &Turn, taken: u32, limits: QueueLimits, next_at: Option<i64>) {
        if let Some(line) = lock(&self.by_name).get_mut(&turn.queue) {
            line.limits = limits;
            line.next_at = next_at;
            line.worth_a_look |= taken >= turn.free;
        }
    }

    /// Whether nobody knows what a claim took.
    pub(crate) fn set_unsure(&self, queue: &str, unsure: bool) {
        if let Some(line) = lock(&self.by_name).get_mut(queue) {
            line.unsure = unsure;
        }
    }

    /// So many were given back that were taken when the engine began to go down.
    pub(crate) fn count_returned(&self, many: usize) {
        self.returned.fetch_add(many as u64, Ordering::Relaxed);
    }

    /// How many those are.
    pub(crate) fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// The queues that this process takes work from.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.by_name).keys().map(ToString::to_string).collect()
    }

    /// A slot for a workflow that runs here, until the guard is dropped.
    pub(crate) fn slot(self: &Arc<Self>, queue: &str) -> Slot {
        let name = match lock(&self.by_name).get_key_value(queue) {
            Some((name, _)) => Arc::clone(name),
            None => queue.into(),
        };
        if let Some(line) = lock(&self.by_name).get_mut(queue) {
            line.running += 1;
        }
        Slot { lines: Arc::clone(self), queue: name }
    }
}

/// A place in which a workflow of a queue runs.
#[derive(Debug)]
pub(crate) struct Slot {
    lines: Arc<Lines>,
    queue: Arc<str>,
}

impl Slot {
    /// The queue, if others wait for this slot too.
    pub(crate) fn shared(&self) -> Option<Hint> {
        let lines = lock(&self.lines.by_name);
        let limits = lines.get(&self.queue)?.limits;
        let shared = limits.concurrency.is_some() || limits.partitioned || limits.partition_concurrency.is_some();
        shared.then(|| Hint::of_queue(&self.queue))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(line) = lock(&self.lines.by_name).get_mut(&self.queue) {
            line.running = line.running.saturating_sub(1);
            line.worth_a_look = true;
        }
        self.lines.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_asked_for_no_more_than_there_is_room_for() {
        let lines = Arc::new(Lines::default());
        lines.open("q", QueueLimits { worker_concurrency: Some(2), ..QueueLimits::default() });
        assert_eq!(lines.turns(0)[0].free, 2);
        assert!(lines.turns(0).is_empty(), "nobody has told of anything since");
        let (first, _second) = (lines.slot("q"), lines.slot("q"));
        lines.tell(Hint::of_queue("q"));
        assert!(lines.turns(0).is_empty(), "there is no room");
        drop(first);
        assert_eq!(lines.turns(0)[0].free, 1);
    }

    #[test]
    fn a_rate_limit_is_waited_for() {
        let lines = Arc::new(Lines::default());
        lines.open("q", QueueLimits::default());
        let turn = lines.turns(0).remove(0);
        lines.claimed(&turn, 0, QueueLimits::default(), Some(50));
        assert_eq!(lines.next_at(), Some(50));
        assert!(lines.turns(49).is_empty());
        assert_eq!(lines.turns(50).len(), 1);
    }
}
