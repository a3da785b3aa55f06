//! One run of one workflow: its records, its pending writes, and its reason to stop. Writing is in
//! `writes.rs`.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, Pending, pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::journal::branch::Branch;
use crate::journal::pending_writes::PendingWrites;
use crate::journal::replay_check::ReplayCheck;
use crate::journal::watermark::Watermark;
use crate::registry::Workflow;
use crate::runtime::Runtime;
#[cfg(feature = "testing")]
use crate::runtime::activity::RunActivity;
use crate::runtime::activity::{Activity, ActivityGuard, ActivityList, WaitsFor};
use crate::runtime::running_workflows::RunControl;
use crate::runtime::stop_reason::StopReason;
use crate::store::{BoxFuture, Fence, Record, RunRow};
use crate::types::keys::MessageKey;
use crate::types::listing::CurrentActivity;
use crate::types::position::Position;
use crate::types::sync::{Mutex, lock};
use crate::wait::cancellation::{AbortReason, CancellationFlag};

/// One run of one workflow.
pub(crate) struct Execution {
    /// The engine it runs in.
    pub(crate) runtime: Arc<Runtime>,
    /// The function.
    pub(crate) workflow: &'static Workflow,
    /// The row it runs.
    pub(crate) row: Arc<RunRow>,
    /// The fence that the run began with. With another fence there is another run.
    pub(crate) fence: Fence,
    /// The branch of the body itself.
    pub(crate) root: Arc<Branch>,
    /// The records of earlier runs, ordered by position. A first run has none and never reads. They
    /// stay in memory while the workflow waits, so there is nothing else in this list.
    recorded: Box<[Record]>,
    /// The pending writes.
    pub(super) pending: Mutex<PendingWrites>,
    /// Up to which batch everything sent is durable.
    pub(super) watermark: Watermark,
    /// The reason to stop, if there is one.
    stop_state: Mutex<StopState>,
    /// While the body replays: one more than the number of records that it has not asked for. 0 once it does something
    /// new, or waits for it.
    unreplayed: AtomicU32,
    /// Whether the poll under way began as a replay, so that it logs nothing.
    muted: AtomicBool,
    /// How many operations are recorded, or about to be.
    operations: AtomicU32,
    /// How many calls of the body were made and have not ended.
    pub(super) open_calls: AtomicU32,
    /// Its current activities. With several branches it has several.
    activities: ActivityList,
    /// State that most executions never need, so that a waiting one does not hold it.
    cold: OnceLock<Box<ColdState>>,
}

#[derive(Default)]
pub(super) struct ColdState {
    /// Asks long steps to stop.
    cancellation: Arc<CancellationFlag>,
    /// Spawned branches that the driver does not poll yet.
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// The keys of the messages that this run has received: the database may still show the last of
    /// them as waiting.
    pub(super) received: Mutex<BTreeSet<MessageKey>>,
    /// The names of the streams that were closed.
    closed_streams: Mutex<BTreeSet<String>>,
    /// In a verification, what the body has asked for.
    replay_check: OnceLock<ReplayCheck>,
}

#[derive(Debug, Default)]
struct StopState {
    /// Boxed, because a waiting workflow has none.
    stop: Option<Box<StopRequest>>,
    driver: Option<Waker>,
}

#[derive(Debug)]
struct StopRequest {
    reason: StopReason,
    /// The run's activity when it was asked to stop.
    at: Option<String>,
}

impl Execution {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        workflow: &'static Workflow,
        row: Arc<RunRow>,
        fence: Fence,
        records: Vec<Record>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            workflow,
            row,
            fence,
            root: Arc::new(Branch::root()),
            unreplayed: AtomicU32::new(one_more(records.len())),
            muted: AtomicBool::new(false),
            operations: AtomicU32::new(u32::try_from(records.len()).unwrap_or(u32::MAX)),
            recorded: sorted_by_position(records),
            pending: Mutex::default(),
            watermark: Watermark::default(),
            stop_state: Mutex::default(),
            open_calls: AtomicU32::new(0),
            activities: ActivityList::default(),
            cold: OnceLock::new(),
        })
    }

    /// A run that only compares what the body asks for with the records: it runs and writes nothing, and is in no list.
    pub(crate) fn for_verification(
        runtime: Arc<Runtime>,
        workflow: &'static Workflow,
        row: Arc<RunRow>,
        records: Vec<Record>,
    ) -> Arc<Self> {
        let fence = runtime.fence();
        let execution = Self::new(runtime, workflow, row, fence, records);
        execution.cold().replay_check.get_or_init(ReplayCheck::default);
        execution.unreplayed.store(u32::MAX, Ordering::Relaxed); // it does nothing new
        execution
    }

    /// What the body has asked for, in a verification.
    pub(crate) fn replay_check(&self) -> Option<&ReplayCheck> {
        self.cold.get()?.replay_check.get()
    }

    /// Whether nothing is recorded at a position, and nothing will be because this is a verification.
    pub(crate) fn is_unrecorded_for_good(&self, position: &Position) -> bool {
        self.replay_check().is_some() && self.recorded(position).is_none()
    }

    pub(super) fn cold(&self) -> &ColdState {
        self.cold.get_or_init(Box::default)
    }

    /// Whether the body still does what an earlier run has done.
    pub(crate) fn is_replaying(&self) -> bool {
        self.unreplayed.load(Ordering::Relaxed) > 0
    }

    /// The body was given a record. Returns whether it was the last one.
    pub(super) fn count_replayed(&self) -> bool {
        let less = |left: u32| left.checked_sub(1).filter(|left| *left > 0); // 1 stays until it waits
        self.unreplayed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) == Ok(2)
    }

    /// The body waits. With all of its records it waits for something new. The records of arms that lost a `select!`, and of
    /// calls that were dropped, are never asked for: a call of the body that waits for something waits for something new, too.
    pub(crate) fn end_replay_if_it_waits(&self) {
        if self.activities.is_empty() {
            let _ = self.unreplayed.compare_exchange(1, 0, Ordering::Relaxed, Ordering::Relaxed);
        } else {
            self.end_replay();
        }
    }

    /// The body does something new.
    pub(super) fn end_replay(&self) {
        self.unreplayed.store(0, Ordering::Relaxed);
    }

    /// Polls the body, or a part of it, which logs nothing.
    pub(crate) fn muted<T>(&self, poll: impl FnOnce() -> T) -> T {
        struct Unmute<'a>(&'a AtomicBool);

        impl Drop for Unmute<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }

        self.muted.store(true, Ordering::Relaxed);
        let _unmute = Unmute(&self.muted);
        poll()
    }

    /// Lets the driver poll the body again if the poll under way logs nothing: it began as a replay. Each branch that does
    /// something new in it waits for the next one.
    pub(super) fn leave_muted_poll(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut is_muted = self.muted.load(Ordering::Relaxed);
        poll_fn(move |cx| {
            if !std::mem::replace(&mut is_muted, false) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// The records of earlier runs.
    pub(crate) fn records(&self) -> &[Record] {
        &self.recorded
    }

    /// The record of an earlier run at a position.
    pub(crate) fn recorded(&self, position: &Position) -> Option<&Record> {
        let index = self.recorded.binary_search_by(|it| it.position.cmp(position)).ok()?;
        self.recorded.get(index)
    }

    /// Whether earlier runs have recorded anything in the branch of this position behind it, or in branches that were
    /// made there or behind it.
    pub(crate) fn has_records_behind(&self, position: &Position) -> bool {
        let next = self.recorded.partition_point(|it| it.position <= *position);
        if self.recorded.get(next).is_some_and(|it| it.position.branch == position.branch) {
            return true;
        }
        self.recorded.iter().any(|it| it.position.is_made_at_or_behind(position))
    }

    pub(super) fn count_operations(&self, more: usize) {
        self.operations.fetch_add(u32::try_from(more).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Asks the driver to stop the body. The first reason counts, except that a suspension gives way
    /// to any other reason.
    pub(crate) fn request_stop(&self, reason: StopReason) {
        let at = self.activity();
        let abort_reason = self.abort_reason_for(&reason);
        let driver = {
            let mut state = lock(&self.stop_state);
            match &mut state.stop {
                None => state.stop = Some(Box::new(StopRequest { reason, at })),
                Some(stop) if matches!(stop.reason, StopReason::Suspend) => stop.reason = reason,
                Some(_) => {}
            }
            state.driver.take()
        };
        if let Some(abort_reason) = abort_reason {
            self.cancellation().cancel(abort_reason);
        }
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The shutdown aborts: running steps are asked to stop, and the driver checks whether the body
    /// is to be suspended, which it is not while a step runs.
    pub(crate) fn begin_abort(&self) {
        let driver = lock(&self.stop_state).driver.take();
        self.cancellation().cancel(AbortReason::Shutdown);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Why running steps are asked to stop, if they are. A wait that the drain releases suspends the
    /// run, and a step beside it has the whole drain to finish.
    fn abort_reason_for(&self, reason: &StopReason) -> Option<AbortReason> {
        match reason {
            StopReason::Suspend => self.runtime.shutdown.is_aborting().then_some(AbortReason::Shutdown),
            StopReason::Cancelled | StopReason::CancelItself { .. } => Some(AbortReason::Cancelled),
            StopReason::TimedOut => Some(AbortReason::Deadline),
            StopReason::Replay | StopReason::Lost | StopReason::Fail(_) | StopReason::Park(_) => {
                Some(AbortReason::Lost)
            }
        }
    }

    /// Asks long steps to stop.
    pub(crate) fn cancellation(&self) -> &Arc<CancellationFlag> {
        &self.cold().cancellation
    }

    /// Why the body is to be stopped, if it is; otherwise `driver` is woken when that changes.
    pub(crate) fn poll_stop(&self, driver: &Waker) -> Option<StopReason> {
        let mut state = lock(&self.stop_state);
        if state.stop.is_none() {
            state.driver = Some(driver.clone());
        }
        state.stop.as_ref().map(|it| it.reason.clone())
    }

    /// Stops the body at this call: the returned future never completes. It holds nothing, because the
    /// futures of all operations contain it.
    pub(crate) fn stop_here<T>(&self, reason: StopReason) -> Pending<T> {
        self.request_stop(reason);
        pending()
    }

    /// Notes what the run is doing until the guard is dropped.
    pub(crate) fn begin_activity(&self, activity: Activity) -> ActivityGuard<'_> {
        self.activities.begin(activity)
    }

    /// Whether the body of a step is running. It may finish before the run is suspended.
    pub(crate) fn in_step(&self) -> bool {
        self.activities.has_step()
    }

    /// Whether no call of the body is under way, so that a body that waits does so for something else.
    pub(crate) fn has_no_open_call(&self) -> bool {
        self.open_calls.load(Ordering::Relaxed) == 0
    }

    /// Whether branches run beside the body.
    pub(super) fn has_branches(&self) -> bool {
        self.root.has_forks()
    }

    /// Notes that a stream was closed, by this run or by an earlier one.
    pub(crate) fn close_stream(&self, name: &str) {
        lock(&self.cold().closed_streams).insert(name.to_owned());
    }

    /// Whether a stream was closed.
    pub(crate) fn is_stream_closed(&self, name: &str) -> bool {
        self.cold.get().is_some_and(|it| lock(&it.closed_streams).contains(name))
    }

    /// Adds a branch that the driver polls beside the body from now on.
    pub(crate) fn add_branch(&self, branch: BoxFuture<'static, ()>) {
        lock(&self.cold().spawned).push(branch);
    }

    /// Takes the branches that were added since the last call.
    pub(crate) fn take_spawned(&self) -> Vec<BoxFuture<'static, ()>> {
        self.cold.get().map_or_else(Vec::new, |it| std::mem::take(&mut lock(&it.spawned)))
    }

    /// The run's activity, or its last one if it was asked to stop.
    pub(crate) fn activity(&self) -> Option<String> {
        self.activities.describe().or_else(|| lock(&self.stop_state).stop.as_ref()?.at.clone())
    }
}

impl RunControl for Execution {
    fn request_stop(&self, reason: StopReason) {
        Self::request_stop(self, reason);
    }

    fn begin_abort(&self) {
        Self::begin_abort(self);
    }

    fn activity(&self) -> Option<String> {
        Self::activity(self)
    }

    fn current_activity(&self) -> Option<String> {
        self.activities.describe()
    }

    fn current_activities(&self) -> Vec<CurrentActivity> {
        self.activities.current()
    }

    fn waits_for(&self) -> Option<Vec<WaitsFor>> {
        self.activities.waits_for()
    }

    fn step_running_for(&self) -> Option<Duration> {
        self.activities.step_running_for()
    }

    #[cfg(feature = "testing")]
    fn activities(&self) -> Vec<RunActivity> {
        self.activities.list()
    }

    fn steps_done(&self) -> u32 {
        self.operations.load(Ordering::Relaxed)
    }
}

/// One more than a number of records; 0 for none.
fn one_more(records: usize) -> u32 {
    if records == 0 { 0 } else { u32::try_from(records).unwrap_or(u32::MAX).saturating_add(1) }
}

fn sorted_by_position(mut records: Vec<Record>) -> Box<[Record]> {
    records.sort_unstable_by(|left, right| left.position.cmp(&right.position));
    records.into_boxed_slice()
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Execution({} {:?} attempt {})", self.workflow.name, self.row.id, self.row.attempt)
    }
}
