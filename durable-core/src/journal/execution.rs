//! One run of one workflow: what it knows from the journal, what it has yet to write, and the
//! signals that stop it.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Pending, pending, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::time::Duration;

use crate::journal::branch::Branch;
use crate::journal::piggyback::PiggybackedRecords;
use crate::journal::watermark::Watermark;
use crate::registry::Workflow;
use crate::runtime::Runtime;
use crate::runtime::activity::{Activity, ActivityGuard, ActivityList};
use crate::runtime::changes::Change;
use crate::runtime::running_workflows::RunControl;
use crate::runtime::stop_reason::StopReason;
use crate::store::{
    BoxFuture, Entry, Fence, NewRecord, Publication, Record, RunRow, StoreError, StoreErrorKind, Verdict,
};
use crate::types::position::Position;
use crate::types::sync::lock;
use crate::wait::cancellation::{AbortReason, CancellationFlag};

/// One run of one workflow.
pub(crate) struct Execution {
    /// The engine it runs in.
    pub(crate) runtime: Arc<Runtime>,
    /// The function.
    pub(crate) workflow: &'static Workflow,
    /// The row it runs.
    pub(crate) row: Arc<RunRow>,
    /// The right to write that the run began with. A new one is a new run.
    pub(crate) fence: Fence,
    /// The branch of the body itself.
    pub(crate) root: Arc<Branch>,
    /// The records of earlier runs by position. Fresh runs know that there are none, so a fresh
    /// run never reads.
    ///
    /// In the order of their positions, and nothing but them: a parked workflow keeps them.
    recorded: Box<[Record]>,
    /// What has yet to be written.
    pending: Mutex<PendingWrites>,
    /// How far the sent parcels have come.
    watermark: Watermark,
    /// What stops it.
    stop_state: Mutex<StopState>,
    /// How many operations are recorded, or about to be.
    operations: AtomicU32,
    /// What it does just now, the latest last: with several branches it does several things at once.
    doing: ActivityList,
    /// What most executions never need, and a parked one should not have to hold.
    cold: OnceLock<Box<ColdState>>,
}

#[derive(Default)]
struct ColdState {
    /// Tells long steps that they shall stop.
    cancellation: Arc<CancellationFlag>,
    /// Branches that were spawned, until the driver polls them beside the body.
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// The keys of the messages that this run has received: the database may still show the last of
    /// them as waiting.
    received: Mutex<BTreeSet<i64>>,
}

/// Records that the body has moved past and nobody depends on yet.
///
/// A step's value is handed to the body before its record is durable. What depends on the record,
/// that is the next side effect and the workflow's end, waits for it; so the record of the last
/// step travels with the end, in one commit.
#[derive(Debug, Default)]
struct PendingWrites {
    /// Boxed, because a parked workflow has nothing unsent.
    unsent: Option<Box<Entry>>,
    /// The number of the last parcel that was handed to the writer, or rides with a transaction.
    sent: u64,
    /// Whether the last parcel rides with a transaction, which may yet be undone. Nothing is sent
    /// meanwhile, because what was recorded later must not be durable earlier.
    in_transaction: bool,
}

impl PendingWrites {
    /// What is not sent yet, to add something.
    fn unsent(&mut self) -> &mut Entry {
        self.unsent.get_or_insert_default()
    }
}

#[derive(Debug, Default)]
struct StopState {
    /// Boxed, because a parked workflow has none.
    stop: Option<Box<StopRequest>>,
    driver: Option<Waker>,
}

#[derive(Debug)]
struct StopRequest {
    reason: StopReason,
    /// What the run did when it was told to stop.
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
            operations: AtomicU32::new(u32::try_from(records.len()).unwrap_or(u32::MAX)),
            recorded: sorted_by_position(records),
            pending: Mutex::default(),
            watermark: Watermark::default(),
            stop_state: Mutex::default(),
            doing: ActivityList::default(),
            cold: OnceLock::new(),
        })
    }

    fn cold(&self) -> &ColdState {
        self.cold.get_or_init(Box::default)
    }

    /// The record of an earlier run at a position.
    pub(crate) fn recorded(&self, position: &Position) -> Option<&Record> {
        let place = self.recorded.binary_search_by(|it| it.position.cmp(position)).ok()?;
        self.recorded.get(place)
    }

    /// Adds a record to what is yet to be written.
    pub(crate) fn record(&self, record: NewRecord) {
        lock(&self.pending).unsent().records.push(record);
        self.count(1);
    }

    fn count(&self, records: usize) {
        self.operations.fetch_add(u32::try_from(records).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// How many of its operations are recorded, or about to be.
    pub(crate) fn steps_done(&self) -> u32 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Adds something that the workflow shows, with the record of it.
    pub(crate) fn publish(&self, record: NewRecord, emission: Publication) {
        let mut tail = lock(&self.pending);
        let unsent = tail.unsent();
        unsent.records.push(record);
        unsent.publications.push(emission);
        self.count(1);
    }

    /// Takes a message, unless another call of this run was faster: the record holds what is in it.
    pub(crate) fn receive(&self, message: i64, record: impl FnOnce() -> NewRecord) -> bool {
        let first = lock(&self.cold().received).insert(message);
        if first {
            let mut tail = lock(&self.pending);
            let unsent = tail.unsent();
            unsent.records.push(record());
            unsent.received.push(message);
            self.count(1);
        }
        first
    }

    /// Hands what is yet unsent to the writer, without waiting.
    pub(crate) fn send_pending(self: &Arc<Self>) {
        let mut tail = lock(&self.pending);
        if tail.in_transaction {
            return;
        }
        if let Some(unsent) = tail.unsent.take() {
            self.send(&mut tail, unsent, drop);
        }
    }

    /// Sends an entry as the next parcel. The lock is held meanwhile, so that parcels reach the
    /// writer in the order of their numbers.
    fn send(
        self: &Arc<Self>,
        pending: &mut PendingWrites,
        entry: Box<Entry>,
        then: impl FnOnce(Result<Verdict, StopReason>) + Send + 'static,
    ) {
        pending.sent += 1;
        let number = pending.sent;
        let execution = Arc::clone(self);
        let news = Change::of(&entry, Some(&self.row.id));
        self.runtime.writer.submit(self.fence, entry, move |verdict| {
            then(execution.on_verdict(number, &news, verdict));
        });
    }

    fn on_verdict(
        &self,
        number: u64,
        news: &[Change],
        verdict: Result<Verdict, StoreError>,
    ) -> Result<Verdict, StopReason> {
        let signal = match verdict {
            Ok(stored @ (Verdict::Stored | Verdict::Existing(_) | Verdict::Debounced(_))) => {
                self.runtime.announce(news);
                self.watermark.advance_to(number);
                return Ok(stored);
            }
            Ok(refused @ (Verdict::NoReceiver { .. } | Verdict::Duplicate(_))) => {
                self.watermark.advance_to(number); // it was alone in its parcel
                return Ok(refused);
            }
            Ok(Verdict::Superseded) => StopReason::Replay,
            Ok(Verdict::Fenced) => StopReason::Lost,
            Err(error) => stop_reason_for(&error),
        };
        self.watermark.fail(signal.clone());
        self.request_stop(signal.clone());
        Err(signal)
    }

    /// Returns once everything recorded so far is durable. If that cannot be, it never returns:
    /// the signal that says why is on its way to the driver.
    pub(crate) async fn flush(self: &Arc<Self>) {
        if self.try_flush().await.is_err() {
            pending::<()>().await;
        }
    }

    /// The same for the driver, who needs to know.
    pub(crate) async fn try_flush(self: &Arc<Self>) -> Result<(), StopReason> {
        let until = {
            let tail = lock(&self.pending);
            // What is not sent yet will be the next parcel, also if what rides now comes back before.
            tail.sent + u64::from(tail.unsent.is_some())
        };
        poll_fn(|cx| {
            let settled = self.watermark.poll_durable(until, cx);
            if settled.is_pending() {
                self.send_pending(); // what rides may have come back since it was tried last
            }
            settled
        })
        .await
    }

    /// Takes what is not yet sent, once everything that was sent is durable: it rides with the commit
    /// of a transaction. With branches beside nothing rides, because they would have to wait for the
    /// whole transaction; and only records ride. What does not is durable before then.
    ///
    /// # Errors
    /// The signal that the execution stops by.
    pub(crate) async fn take_piggyback(self: &Arc<Self>) -> Result<PiggybackedRecords, StopReason> {
        if self.has_branches() || lock(&self.pending).unsent.as_ref().is_some_and(|it| !it.has_only_records()) {
            self.try_flush().await?;
            return Ok(PiggybackedRecords::empty(self));
        }
        poll_fn(|cx| {
            let mut tail = lock(&self.pending);
            self.watermark.poll_durable(tail.sent, cx).map_ok(|()| {
                let Some(unsent) = tail.unsent.take() else { return PiggybackedRecords::empty(self) };
                tail.in_transaction = true;
                tail.sent += 1;
                PiggybackedRecords::new(self, unsent.records)
            })
        })
        .await
    }

    /// What rode with a transaction is durable.
    pub(crate) fn piggyback_committed(&self) {
        let sent = {
            let mut tail = lock(&self.pending);
            tail.in_transaction = false;
            tail.sent
        };
        self.watermark.advance_to(sent);
        self.count(1); // the transaction's own record; those that rode with it are counted
    }

    /// Takes back what rode with a transaction that was undone: it is as if it had never been taken.
    pub(crate) fn restore_piggyback(&self, mut records: Vec<NewRecord>) {
        let mut tail = lock(&self.pending);
        let unsent = tail.unsent();
        records.append(&mut unsent.records);
        unsent.records = records;
        tail.in_transaction = false;
        tail.sent -= 1;
        drop(tail);
        self.watermark.wake_all();
    }

    /// Writes an entry together with everything not yet sent, and gives its verdict.
    ///
    /// Other branches wait for it as for every parcel: their records may be among those that go with it.
    ///
    /// # Errors
    /// The signal that the execution stops by, when the entry or something before it cannot be stored.
    pub(crate) async fn write(self: &Arc<Self>, mut entry: Entry) -> Result<Verdict, StopReason> {
        let sent = lock(&self.pending).sent;
        poll_fn(|cx| {
            let tail = lock(&self.pending);
            let until = if tail.in_transaction { tail.sent } else { sent.min(tail.sent) };
            self.watermark.poll_durable(until, cx)
        })
        .await?;
        let records = entry.records.len();
        let answer = {
            let (sender, answer) = tokio::sync::oneshot::channel();
            let mut tail = lock(&self.pending);
            match tail.unsent.take() {
                None => {}
                Some(unsent) if !entry.can_be_refused() => entry.prepend(*unsent),
                // What is refused takes its entry with it, and not what came before.
                Some(unsent) => self.send(&mut tail, unsent, drop),
            }
            // A caller who no longer waits is no reason not to write.
            self.send(&mut tail, Box::new(entry), move |verdict| drop(sender.send(verdict)));
            answer
        };
        let verdict = answer.await.unwrap_or(Err(StopReason::Suspend)); // the writer answers always, but for the end of the process
        if verdict.is_ok() {
            self.count(records);
        }
        verdict
    }

    /// Writes an entry by itself, where what came before it can never be stored.
    ///
    /// # Errors
    /// The signal that the execution stops by.
    pub(crate) async fn write_alone(&self, entry: Entry) -> Result<Verdict, StopReason> {
        match self.runtime.write(self.fence, entry, Some(&self.row.id)).await {
            Ok(Verdict::Superseded) => Err(StopReason::Replay),
            Ok(Verdict::Fenced) => Err(StopReason::Lost),
            Ok(stored) => Ok(stored),
            Err(error) => Err(stop_reason_for(&error)),
        }
    }

    /// Tells the driver to stop the body. The first signal counts; only a suspension gives way to
    /// what is stronger.
    pub(crate) fn request_stop(&self, signal: StopReason) {
        let doing = self.activity();
        let told = self.abort_reason_for(&signal);
        let driver = {
            let mut control = lock(&self.stop_state);
            match &mut control.stop {
                None => control.stop = Some(Box::new(StopRequest { reason: signal, at: doing })),
                Some(stop) if matches!(stop.reason, StopReason::Suspend) => stop.reason = signal,
                Some(_) => {}
            }
            control.driver.take()
        };
        if let Some(why) = told {
            self.cancellation().cancel(why);
        }
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Steps are told that the engine goes down. The driver looks whether the body has to be suspended:
    /// as long as a step runs it has not.
    pub(crate) fn begin_abort(&self) {
        let driver = lock(&self.stop_state).driver.take();
        self.cancellation().cancel(AbortReason::Shutdown);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// What steps are told by a signal. A wait that is let go of in the drain suspends the run, and a
    /// step beside it has all of the drain to come to its end.
    fn abort_reason_for(&self, signal: &StopReason) -> Option<AbortReason> {
        match signal {
            StopReason::Suspend => self.runtime.shutdown.is_aborting().then_some(AbortReason::Shutdown),
            StopReason::Cancelled => Some(AbortReason::Cancelled),
            StopReason::TimedOut => Some(AbortReason::Deadline),
            StopReason::Replay | StopReason::Lost | StopReason::Fail(_) | StopReason::Park(_) => {
                Some(AbortReason::Lost)
            }
        }
    }

    /// What tells long steps that they shall stop.
    pub(crate) fn cancellation(&self) -> &Arc<CancellationFlag> {
        &self.cold().cancellation
    }

    /// The signal, if there is one; else `driver` is woken when one comes.
    pub(crate) fn poll_stop(&self, driver: &Waker) -> Option<StopReason> {
        let mut control = lock(&self.stop_state);
        if control.stop.is_none() {
            control.driver = Some(driver.clone());
        }
        control.stop.as_ref().map(|it| it.reason.clone())
    }

    /// Stops the body at this call: awaited, it never returns. It holds nothing, because every
    /// operation has room for it in its future.
    pub(crate) fn stop_here<T>(&self, signal: StopReason) -> Pending<T> {
        self.request_stop(signal);
        pending()
    }

    /// Says what the run does, until the guard is dropped.
    pub(crate) fn begin_activity(&self, what: Activity) -> ActivityGuard<'_> {
        self.doing.begin(what)
    }

    /// What the run does just now, for reports: what it began last, and how much else; or what it did
    /// when it was told to stop.
    pub(crate) fn activity(&self) -> Option<String> {
        self.doing.describe().or_else(|| lock(&self.stop_state).stop.as_ref()?.at.clone())
    }

    /// What the run does just now, and never what is over.
    pub(crate) fn current_activity(&self) -> Option<String> {
        self.doing.describe()
    }

    /// How long the step that runs longest has been running.
    pub(crate) fn step_running_for(&self) -> Option<Duration> {
        self.doing.step_running_for()
    }

    /// Whether a step body is running. When the run is to be suspended it may come to its end.
    pub(crate) fn in_step(&self) -> bool {
        self.doing.has_step()
    }

    /// Whether anything works beside the body, or beside what the body waits for.
    fn has_branches(&self) -> bool {
        self.root.has_forks()
    }

    /// Adds a branch that is polled beside the body from now on.
    pub(crate) fn add_branch(&self, branch: BoxFuture<'static, ()>) {
        lock(&self.cold().spawned).push(branch);
    }

    /// The branches that were added since this was asked last.
    pub(crate) fn take_spawned(&self) -> Vec<BoxFuture<'static, ()>> {
        self.cold.get().map_or_else(Vec::new, |it| std::mem::take(&mut lock(&it.spawned)))
    }
}

fn sorted_by_position(mut records: Vec<Record>) -> Box<[Record]> {
    records.sort_unstable_by(|left, right| left.position.cmp(&right.position));
    records.into_boxed_slice()
}

/// What an error of the store means for the execution that wanted to write.
fn stop_reason_for(error: &StoreError) -> StopReason {
    match error.kind {
        StoreErrorKind::Closed | StoreErrorKind::Unreachable | StoreErrorKind::Contended => StopReason::Suspend,
        StoreErrorKind::Refused | StoreErrorKind::Foreign => {
            StopReason::Park(format!("the database refuses what this workflow wants to record: {error}"))
        }
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
        Self::current_activity(self)
    }

    fn step_running_for(&self) -> Option<Duration> {
        Self::step_running_for(self)
    }

    fn steps_done(&self) -> u32 {
        Self::steps_done(self)
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Execution({} {:?} attempt {})", self.workflow.name, self.row.id, self.row.attempt)
    }
}
