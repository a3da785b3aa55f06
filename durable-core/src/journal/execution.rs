//! One run of one workflow: what it knows from the journal, what it has yet to write, and the
//! signals that stop it.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::cancelling::Cancelling;
use super::durability::Durability;
use super::runtime::Runtime;
use crate::registry::Workflow;
use crate::store::{Entry, Fault, Fence, NewRecord, Record, RunRow, StoreError, Verdict};
use crate::words::error::Error;
use crate::words::position::Position;
use crate::words::sync::lock;

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
    recorded: HashMap<Position, Record>,
    /// What has yet to be written.
    tail: Mutex<Tail>,
    /// How far the sent parcels have come.
    durability: Durability,
    /// What stops it.
    control: Mutex<Control>,
    /// Step bodies that run just now. When the run is to be suspended they may come to their end.
    in_flight: AtomicUsize,
    /// Tells long steps that they shall stop.
    cancellation: Arc<Cancelling>,
    /// What it does just now, for reports.
    doing: Mutex<Option<Activity>>,
}

/// Positions are counted per branch.
#[derive(Debug)]
pub(crate) struct Branch {
    path: Arc<str>,
    last: AtomicI32,
}

/// Records that the body has moved past and nobody depends on yet.
///
/// A step's value is handed to the body before its record is durable. What depends on the record,
/// that is the next side effect and the workflow's end, waits for it; so the record of the last
/// step travels with the end, in one commit.
#[derive(Debug, Default)]
struct Tail {
    unsent: Vec<NewRecord>,
    /// The number of the last parcel that was handed to the writer.
    sent: u64,
}

#[derive(Debug, Default)]
struct Control {
    signal: Option<Signal>,
    driver: Option<Waker>,
}

/// Why a run ends without the body's having returned. None of these is ever a value in user code:
/// the awaited call does not return, and the driver drops the body.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// The engine shuts down: the row stays PENDING and goes on elsewhere or later.
    Suspend,
    /// Another run recorded something else at a position: begin again from the journal.
    Replay,
    /// The executor was deposed: somebody else owns the workflow now.
    Lost,
    /// The workflow has come to an end by somebody's order.
    Cancelled,
    /// A panic in a step, a result that is too large: the workflow ends with this error.
    Fail(Error),
    /// A person is needed, and this is why.
    Park(String),
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
            root: Branch::new("".into()),
            recorded: records.into_iter().map(|it| (it.position.clone(), it)).collect(),
            tail: Mutex::default(),
            durability: Durability::default(),
            control: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            cancellation: Arc::default(),
            doing: Mutex::default(),
        })
    }

    /// The record of an earlier run at a position.
    pub(crate) fn recorded(&self, position: &Position) -> Option<&Record> {
        self.recorded.get(position)
    }

    /// Adds a record to what is yet to be written.
    pub(crate) fn keep(&self, record: NewRecord) {
        lock(&self.tail).unsent.push(record);
    }

    /// Hands what is yet unsent to the writer, without waiting.
    pub(crate) fn send_tail(self: &Arc<Self>) {
        let mut tail = lock(&self.tail);
        if tail.unsent.is_empty() {
            return;
        }
        let records = std::mem::take(&mut tail.unsent);
        self.send(&mut tail, Entry { records, ..Entry::default() });
    }

    /// Sends an entry as the next parcel. The lock is held meanwhile, so that parcels reach the
    /// writer in the order of their numbers.
    fn send(self: &Arc<Self>, tail: &mut Tail, entry: Entry) {
        tail.sent += 1;
        let number = tail.sent;
        let execution = Arc::clone(self);
        self.runtime.writer.submit(self.fence, entry, move |verdict| execution.answered(number, verdict));
    }

    fn answered(&self, number: u64, verdict: Result<Verdict, StoreError>) {
        let signal = match verdict {
            Ok(Verdict::Stored | Verdict::Existing(_)) => {
                return self.durability.reached(number);
            }
            Ok(Verdict::Superseded | Verdict::NoReceiver { .. }) => Signal::Replay,
            Ok(Verdict::Fenced) => Signal::Lost,
            Err(error) => signal_of(&error),
        };
        self.durability.broken(signal.clone());
        self.signal(signal);
    }

    /// Returns once everything recorded so far is durable. If that cannot be, it never returns:
    /// the signal that says why is on its way to the driver.
    pub(crate) async fn settle(self: &Arc<Self>) {
        if self.settled().await.is_err() {
            pending::<()>().await;
        }
    }

    /// The same for the driver, who needs to know.
    pub(crate) async fn settled(self: &Arc<Self>) -> Result<(), Signal> {
        self.send_tail();
        self.settled_sent().await
    }

    /// Returns once everything that was sent is durable.
    async fn settled_sent(&self) -> Result<(), Signal> {
        let sent = lock(&self.tail).sent;
        self.durability.up_to(sent).await
    }

    /// Takes what is not yet sent, once everything that was sent is durable: it goes with another commit.
    ///
    /// # Errors
    /// The signal that the execution stops by.
    pub(crate) async fn take_unsent(&self) -> Result<Vec<NewRecord>, Signal> {
        self.settled_sent().await?;
        Ok(std::mem::take(&mut lock(&self.tail).unsent))
    }

    /// Puts back what was taken and went with no commit.
    pub(crate) fn put_back(&self, mut records: Vec<NewRecord>) {
        let mut tail = lock(&self.tail);
        records.append(&mut tail.unsent);
        tail.unsent = records;
    }

    /// Writes an entry together with everything not yet sent, and gives its verdict.
    ///
    /// # Errors
    /// The signal that the execution stops by, when the entry or something before it cannot be stored.
    pub(crate) async fn write(self: &Arc<Self>, mut entry: Entry) -> Result<Verdict, Signal> {
        let mut records = self.take_unsent().await?;
        records.append(&mut entry.records);
        entry.records = records;
        match self.runtime.writer.write(self.fence, entry).await {
            Ok(Verdict::Superseded) => Err(Signal::Replay),
            Ok(Verdict::Fenced) => Err(Signal::Lost),
            Ok(stored) => Ok(stored),
            Err(error) => Err(signal_of(&error)),
        }
    }

    /// Tells the driver to stop the body. The first signal counts; only a suspension gives way to
    /// what is stronger.
    pub(crate) fn signal(&self, signal: Signal) {
        let driver = {
            let mut control = lock(&self.control);
            if matches!(control.signal, None | Some(Signal::Suspend)) {
                control.signal = Some(signal);
            }
            control.driver.take()
        };
        self.cancellation.cancel();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// What tells long steps that they shall stop.
    pub(crate) fn cancellation(&self) -> &Arc<Cancelling> {
        &self.cancellation
    }

    /// The signal, if there is one; else `driver` is woken when one comes.
    pub(crate) fn poll_signal(&self, driver: &Waker) -> Option<Signal> {
        let mut control = lock(&self.control);
        if control.signal.is_none() {
            control.driver = Some(driver.clone());
        }
        control.signal.clone()
    }

    /// Stops the body at this call: it never returns.
    pub(crate) async fn stop<T>(&self, signal: Signal) -> T {
        self.signal(signal);
        pending().await
    }

    /// Says what the run does, until the guard is dropped.
    pub(crate) fn doing(&self, what: Activity) -> Doing<'_> {
        let step = matches!(what, Activity::Step(_));
        *lock(&self.doing) = Some(what);
        if step {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        Doing { execution: self, step }
    }

    /// What the run does just now, for reports.
    pub(crate) fn activity(&self) -> Option<String> {
        lock(&self.doing).as_ref().map(ToString::to_string)
    }

    /// Whether a step body is running.
    pub(crate) fn in_step(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }
}

/// What an error of the store means for the execution that wanted to write.
fn signal_of(error: &StoreError) -> Signal {
    match error.fault {
        Fault::Closed | Fault::Unreachable | Fault::Contended => Signal::Suspend,
        Fault::Refused | Fault::Foreign => {
            Signal::Park(format!("the database refuses what this workflow wants to record: {error}"))
        }
    }
}

/// What a run does.
#[derive(Debug)]
pub(crate) enum Activity {
    /// Runs a step's body, which may come to its end when the run is to be suspended.
    Step(&'static str),
    /// Waits before the retry of a step.
    Pause(&'static str),
    /// Waits for the end of another workflow.
    Result(String),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(name) => write!(f, "step `{name}`"),
            Self::Pause(name) => write!(f, "the pause before a retry of step `{name}`"),
            Self::Result(id) => write!(f, "waiting for the workflow {id:?}"),
        }
    }
}

/// Says what a run does while it lives.
#[derive(Debug)]
pub(crate) struct Doing<'a> {
    execution: &'a Execution,
    step: bool,
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        if self.step {
            self.execution.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        *lock(&self.execution.doing) = None;
    }
}

impl Branch {
    pub(crate) fn new(path: Arc<str>) -> Arc<Self> {
        Arc::new(Self { path, last: AtomicI32::new(0) })
    }

    /// Claims the next position.
    pub(crate) fn claim(&self) -> Position {
        Position { branch: Arc::clone(&self.path), number: self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Execution({} {:?} attempt {})", self.workflow.name, self.row.id, self.row.attempt)
    }
}
