//! One run of one workflow: what it knows from the journal, what it has yet to write, and the
//! signals that stop it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::cancelling::Cancelling;
use super::durability::Durability;
use super::riders::Riders;
use super::runtime::Runtime;
use crate::registry::Workflow;
use crate::store::{BoxFuture, Emission, Entry, Fault, Fence, NewRecord, Record, RunRow, StoreError, Verdict};
use crate::words::error::Error;
use crate::words::position::Position;
use crate::words::sync::lock;

/// One run of one workflow.
pub(crate) struct Execution {
    /// The engine it runs in.
    pub(crate) runtime: Arc<Runtime>,
    /// The function.
    pub(crate) workflow: &'static Workflow,
    /// Its id, once more: shared with those who wait for something of it.
    pub(crate) id: Arc<str>,
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
    /// Tells long steps that they shall stop.
    cancellation: Arc<Cancelling>,
    /// What it does just now, the latest last: with several branches it does several things at once.
    doing: Mutex<Activities>,
    /// Branches that were spawned, until the driver polls them beside the body.
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// The keys of the messages that this run has received: the database may still show the last of
    /// them as waiting.
    received: Mutex<HashSet<i64>>,
}

/// Positions are counted per branch.
#[derive(Debug)]
pub(crate) struct Branch {
    path: Arc<str>,
    last: AtomicI32,
    /// All branches of an execution share it, so that it counts those that are left.
    family: Arc<()>,
}

/// Records that the body has moved past and nobody depends on yet.
///
/// A step's value is handed to the body before its record is durable. What depends on the record,
/// that is the next side effect and the workflow's end, waits for it; so the record of the last
/// step travels with the end, in one commit.
#[derive(Debug, Default)]
struct Tail {
    unsent: Entry,
    /// The number of the last parcel that was handed to the writer, or rides with a transaction.
    sent: u64,
    /// Whether the last parcel rides with a transaction, which may yet be undone. Nothing is sent
    /// meanwhile, because what was recorded later must not be durable earlier.
    riding: bool,
}

#[derive(Debug, Default)]
struct Activities {
    last_number: u64,
    list: Vec<(u64, Activity)>,
}

#[derive(Debug, Default)]
struct Control {
    signal: Option<Signal>,
    /// What the run did when it was told to stop.
    stopped_at: Option<String>,
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
    /// Its time is up.
    TimedOut,
    /// A panic in a step, a result that is too large: the workflow ends with this error.
    Fail(Error),
    /// A person is needed, and this is why.
    Park(String),
}

impl Execution {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        workflow: &'static Workflow,
        id: Arc<str>,
        row: Arc<RunRow>,
        fence: Fence,
        records: Vec<Record>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            workflow,
            id,
            row,
            fence,
            root: Arc::new(Branch { path: "".into(), last: AtomicI32::new(0), family: Arc::default() }),
            recorded: records.into_iter().map(|it| (it.position.clone(), it)).collect(),
            tail: Mutex::default(),
            durability: Durability::default(),
            control: Mutex::default(),
            cancellation: Arc::default(),
            doing: Mutex::default(),
            spawned: Mutex::default(),
            received: Mutex::default(),
        })
    }

    /// The record of an earlier run at a position.
    pub(crate) fn recorded(&self, position: &Position) -> Option<&Record> {
        self.recorded.get(position)
    }

    /// Adds a record to what is yet to be written.
    pub(crate) fn keep(&self, record: NewRecord) {
        lock(&self.tail).unsent.records.push(record);
    }

    /// Adds something that the workflow shows, with the record of it if it has one.
    pub(crate) fn emit(&self, record: Option<NewRecord>, emission: Emission) {
        let mut tail = lock(&self.tail);
        tail.unsent.records.extend(record);
        tail.unsent.emissions.push(emission);
    }

    /// Takes a message, unless another call of this run was faster: the record holds what is in it.
    pub(crate) fn receive(&self, message: i64, record: impl FnOnce() -> NewRecord) -> bool {
        let first = lock(&self.received).insert(message);
        if first {
            let mut tail = lock(&self.tail);
            tail.unsent.records.push(record());
            tail.unsent.received.push(message);
        }
        first
    }

    /// Hands what is yet unsent to the writer, without waiting.
    pub(crate) fn send_tail(self: &Arc<Self>) {
        let mut tail = lock(&self.tail);
        if tail.riding || tail.unsent.rows() == 0 {
            return;
        }
        let unsent = std::mem::take(&mut tail.unsent);
        self.send(&mut tail, unsent, drop);
    }

    /// Sends an entry as the next parcel. The lock is held meanwhile, so that parcels reach the
    /// writer in the order of their numbers.
    fn send(
        self: &Arc<Self>,
        tail: &mut Tail,
        entry: Entry,
        then: impl FnOnce(Result<Verdict, Signal>) + Send + 'static,
    ) {
        tail.sent += 1;
        let number = tail.sent;
        let execution = Arc::clone(self);
        let tells = self.tells(&entry);
        self.runtime.writer.submit(self.fence, entry, move |verdict| {
            then(execution.answered(number, &tells, verdict));
        });
    }

    fn answered(&self, number: u64, tells: &[String], verdict: Result<Verdict, StoreError>) -> Result<Verdict, Signal> {
        let signal = match verdict {
            Ok(stored @ (Verdict::Stored | Verdict::Existing(_) | Verdict::Debounced(_))) => {
                for id in tells {
                    self.runtime.tell(id);
                }
                self.durability.reached(number);
                return Ok(stored);
            }
            Ok(nobody @ (Verdict::NoReceiver { .. } | Verdict::Duplicate(_))) => {
                self.durability.reached(number); // it was alone in its parcel
                return Ok(nobody);
            }
            Ok(Verdict::Superseded) => Signal::Replay,
            Ok(Verdict::Fenced) => Signal::Lost,
            Err(error) => signal_of(&error),
        };
        self.durability.broken(signal.clone());
        self.signal(signal.clone());
        Err(signal)
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
        let until = {
            let tail = lock(&self.tail);
            // What is not sent yet will be the next parcel, also if what rides now comes back before.
            tail.sent + u64::from(tail.unsent.rows() > 0)
        };
        poll_fn(|cx| {
            let settled = self.durability.poll_up_to(until, cx);
            if settled.is_pending() {
                self.send_tail(); // what rides may have come back since it was tried last
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
    pub(crate) async fn take_riders(self: &Arc<Self>) -> Result<Riders, Signal> {
        if self.has_branches() || !lock(&self.tail).unsent.is_of_records() {
            self.settled().await?;
            return Ok(Riders::none(self));
        }
        poll_fn(|cx| {
            let mut tail = lock(&self.tail);
            self.durability.poll_up_to(tail.sent, cx).map_ok(|()| {
                if tail.unsent.rows() == 0 {
                    return Riders::none(self);
                }
                tail.riding = true;
                tail.sent += 1;
                Riders::new(self, std::mem::take(&mut tail.unsent.records))
            })
        })
        .await
    }

    /// What rode with a transaction is durable.
    pub(super) fn rode(&self) {
        let sent = {
            let mut tail = lock(&self.tail);
            tail.riding = false;
            tail.sent
        };
        self.durability.reached(sent);
    }

    /// Takes back what rode with a transaction that was undone: it is as if it had never been taken.
    pub(super) fn put_back(&self, mut records: Vec<NewRecord>) {
        let mut tail = lock(&self.tail);
        records.append(&mut tail.unsent.records);
        tail.unsent.records = records;
        tail.riding = false;
        tail.sent -= 1;
        drop(tail);
        self.durability.look_again();
    }

    /// Writes an entry together with everything not yet sent, and gives its verdict.
    ///
    /// Other branches wait for it as for every parcel: their records may be among those that go with it.
    ///
    /// # Errors
    /// The signal that the execution stops by, when the entry or something before it cannot be stored.
    pub(crate) async fn write(self: &Arc<Self>, mut entry: Entry) -> Result<Verdict, Signal> {
        let sent = lock(&self.tail).sent;
        poll_fn(|cx| {
            let tail = lock(&self.tail);
            let until = if tail.riding { tail.sent } else { sent.min(tail.sent) };
            self.durability.poll_up_to(until, cx)
        })
        .await?;
        let answer = {
            let (sender, answer) = tokio::sync::oneshot::channel();
            let mut tail = lock(&self.tail);
            let unsent = std::mem::take(&mut tail.unsent);
            if entry.messages.is_empty() {
                entry.go_after(unsent);
            } else if unsent.rows() > 0 {
                // A message that nobody can receive takes its entry with it, and not what came before.
                self.send(&mut tail, unsent, drop);
            }
            // A caller who no longer waits is no reason not to write.
            self.send(&mut tail, entry, move |verdict| drop(sender.send(verdict)));
            answer
        };
        answer.await.unwrap_or(Err(Signal::Suspend)) // the writer answers always, but for the end of the process
    }

    /// Writes an entry by itself, where what came before it can never be stored.
    ///
    /// # Errors
    /// The signal that the execution stops by.
    pub(crate) async fn write_alone(&self, entry: Entry) -> Result<Verdict, Signal> {
        let (tells, runtime) = (self.tells(&entry), Arc::clone(&self.runtime));
        let then = move |_: &Verdict| tells.iter().for_each(|id| runtime.tell(id));
        match self.runtime.writer.write(self.fence, entry, then).await {
            Ok(Verdict::Superseded) => Err(Signal::Replay),
            Ok(Verdict::Fenced) => Err(Signal::Lost),
            Ok(stored) => Ok(stored),
            Err(error) => Err(signal_of(&error)),
        }
    }

    /// The workflows of which there is news once the entry is stored.
    fn tells(&self, entry: &Entry) -> Vec<String> {
        let own = (entry.finish.is_some() || !entry.emissions.is_empty()).then(|| self.row.id.clone());
        own.into_iter().chain(entry.messages.iter().map(|it| it.to.clone())).collect()
    }

    /// Tells the driver to stop the body. The first signal counts; only a suspension gives way to
    /// what is stronger.
    pub(crate) fn signal(&self, signal: Signal) {
        let doing = self.activity();
        let driver = {
            let mut control = lock(&self.control);
            if control.signal.is_none() {
                control.stopped_at = doing;
            }
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
        let mut doing = lock(&self.doing);
        doing.last_number += 1;
        let number = doing.last_number;
        doing.list.push((number, what));
        Doing { execution: self, number }
    }

    /// What the run does just now, for reports: what it began last, and how much else; or what it did
    /// when it was told to stop.
    pub(crate) fn activity(&self) -> Option<String> {
        let doing = lock(&self.doing);
        let Some((_, last)) = doing.list.last() else { return lock(&self.control).stopped_at.clone() };
        Some(match doing.list.len() {
            1 => last.to_string(),
            many => format!("{last}, and {} more", many - 1),
        })
    }

    /// Whether a step body is running. When the run is to be suspended it may come to its end.
    pub(crate) fn in_step(&self) -> bool {
        lock(&self.doing).list.iter().any(|(_, it)| matches!(it, Activity::Step(_)))
    }

    /// Whether anything works beside the body, or beside what the body waits for.
    fn has_branches(&self) -> bool {
        Arc::strong_count(&self.root.family) > 1
    }

    /// Adds a branch that is polled beside the body from now on.
    pub(crate) fn add_branch(&self, branch: BoxFuture<'static, ()>) {
        lock(&self.spawned).push(branch);
    }

    /// The branches that were added since this was asked last.
    pub(crate) fn take_spawned(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut lock(&self.spawned))
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
    /// Waits for a time.
    Sleep,
    /// Waits for a message on a topic.
    Message(Arc<str>),
    /// Waits for an event of another workflow.
    Event(Arc<str>),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(name) => write!(f, "step `{name}`"),
            Self::Pause(name) => write!(f, "the pause before a retry of step `{name}`"),
            Self::Result(id) => write!(f, "waiting for the workflow {id:?}"),
            Self::Sleep => f.write_str("sleeping"),
            Self::Message(topic) => write!(f, "waiting for a message on {topic:?}"),
            Self::Event(name) => write!(f, "waiting for the event {name:?}"),
        }
    }
}

/// Says what a run does while it lives.
#[derive(Debug)]
pub(crate) struct Doing<'a> {
    execution: &'a Execution,
    number: u64,
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        lock(&self.execution.doing).list.retain(|(number, _)| *number != self.number);
    }
}

impl Branch {
    /// Another branch of the same execution.
    pub(crate) fn fork(&self, path: Arc<str>) -> Arc<Self> {
        Arc::new(Self { path, last: AtomicI32::new(0), family: Arc::clone(&self.family) })
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
