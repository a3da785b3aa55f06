//! Calls in tasks that a body spawned: they belong to no workflow, and are not recorded.
//!
//! A task does not know which one spawned it. But the ids of tasks grow, and a body that waits while none of its calls is
//! under way waits for something else, which the task it spawned may be. A call outside any workflow is taken for a call of
//! that body if its task is younger than the task of the body and not younger than the wait. So a handler of requests or a
//! test that calls the same function is not taken for one; nor is a task that its body does not wait for.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::task::{Id, LocalSet};

use crate::types::sync::{Mutex, lock};

/// How many bodies are polled in this process. Without any there is nothing to find.
static BODIES: AtomicUsize = AtomicUsize::new(0);
/// Whether a body waits for something else, so that the end of a poll can be the end of such a wait.
static IS_ANY_WAITING: AtomicBool = AtomicBool::new(false);
/// How many calls outside any workflow were noted.
static CALLS: AtomicU64 = AtomicU64::new(0);
static KNOWN: Mutex<KnownTasks> = Mutex::new(KnownTasks { waiting: Vec::new(), calls: VecDeque::new(), logged: None });
/// A call can come before the poll that spawned its task has ended. So many are kept for the end of such polls.
const KEPT_CALLS: usize = 64;

struct KnownTasks {
    waiting: Vec<WaitingBody>,
    calls: VecDeque<OutsideCall>,
    /// What was logged, by function, workflow and engine: once is enough.
    logged: Option<HashSet<(&'static str, &'static str, EngineKey)>>,
}

/// Which engine a body runs in, as an address.
type EngineKey = usize;

/// A body that waits for something that is not one of its calls.
#[derive(Clone)]
struct WaitingBody {
    engine: EngineKey,
    workflow: &'static str,
    id: String,
    /// The body's own task.
    task: u64,
    /// The youngest task when the wait began.
    youngest: u64,
}

/// A call outside any workflow.
#[derive(Clone, Copy)]
struct OutsideCall {
    number: u64,
    function: &'static str,
    task: u64,
}

impl WaitingBody {
    fn may_have_spawned(&self, task: u64) -> bool {
        self.task < task && task <= self.youngest
    }
}

impl KnownTasks {
    fn log(&mut self, function: &'static str, body: &WaitingBody) {
        let WaitingBody { engine, workflow, id, .. } = body;
        if self.logged.get_or_insert_default().insert((function, workflow, *engine)) {
            tracing::warn!(target: "durable", function, workflow, id, "a function was called in a task that the body of this workflow spawned: the call belongs to no workflow, is not recorded, and is repeated at every replay; use `durable::spawn(..)`, or spawn the task in a #[step]");
        }
    }
}

/// Notes a call outside any workflow, and warns if the body of one seems to have spawned its task.
pub(crate) fn note_outside_call(function: &'static str) {
    if BODIES.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some(task) = tokio::task::try_id().and_then(number) else { return };
    let mut known = lock(&KNOWN);
    let number = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    if known.calls.len() == KEPT_CALLS {
        known.calls.pop_front();
    }
    known.calls.push_back(OutsideCall { number, function, task });
    if let Some(body) = known.waiting.iter().find(|it| it.may_have_spawned(task)).cloned() {
        known.log(function, &body);
    }
}

/// How many calls were noted.
pub(crate) fn outside_calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// The number in the id of a task, which it shows and nothing else gives.
fn number(id: Id) -> Option<u64> {
    id.to_string().parse().ok()
}

/// The id of a task that is made for it, and never runs.
fn youngest_task() -> Option<u64> {
    number(LocalSet::new().spawn_local(async {}).id())
}

/// Observes one body. It is as small as possible, because each waiting workflow has one.
#[derive(Debug)]
pub(crate) struct BodyTask {
    /// The task that polls it; 0 if that is unknown.
    task: u64,
}

impl BodyTask {
    /// For the body that this task is about to poll.
    pub(crate) fn here() -> Self {
        BODIES.fetch_add(1, Ordering::Relaxed);
        Self { task: tokio::task::try_id().and_then(number).unwrap_or(0) }
    }

    /// The body waits while none of its calls is under way.
    pub(crate) fn waits(&self, calls_before: u64, engine: EngineKey, workflow: &'static str, id: &str) {
        let Some(youngest) = youngest_task().filter(|_| self.task != 0) else { return };
        let body = WaitingBody { engine, workflow, id: id.to_owned(), task: self.task, youngest };
        let mut known = lock(&KNOWN);
        let is_its_own = |it: &&OutsideCall| it.number > calls_before && body.may_have_spawned(it.task);
        let calls: Vec<_> = known.calls.iter().filter(is_its_own).map(|it| it.function).collect();
        for function in calls {
            known.log(function, &body);
        }
        known.waiting.retain(|it| it.task != self.task);
        known.waiting.push(body);
        IS_ANY_WAITING.store(true, Ordering::Relaxed);
    }

    /// The body was polled, or is dropped, and does not wait so.
    pub(crate) fn waits_no_more(&self) {
        if IS_ANY_WAITING.load(Ordering::Relaxed) {
            let mut known = lock(&KNOWN);
            known.waiting.retain(|it| it.task != self.task);
            IS_ANY_WAITING.store(!known.waiting.is_empty(), Ordering::Relaxed);
        }
    }
}

impl Drop for BodyTask {
    fn drop(&mut self) {
        self.waits_no_more();
        BODIES.fetch_sub(1, Ordering::Relaxed);
    }
}
