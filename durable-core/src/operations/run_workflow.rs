//! The driver: one task per execution, which polls the body, obeys the signals, and writes the end.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::journal::execution::Execution;
use crate::operations::body::Running;
use crate::queue_state::Slot;
use crate::registry::{Taken, Workflow};
use crate::runtime::Runtime;
use crate::runtime::panics;
use crate::runtime::running_workflows::Run;
use crate::runtime::stop_reason::Signal;
use crate::store::{Ended, Entry, Fence, Finish, Record, RunRow, Wanted};
use crate::types::error::Error;
use crate::types::payload::{Outcome, RecordedError};
use crate::types::status::Status;
use crate::wait::shutdown_phase::Level;

/// Everything a driver needs.
pub(crate) struct Drive {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) workflow: &'static Workflow,
    pub(crate) row: Arc<RunRow>,
    pub(crate) fence: Fence,
    /// What earlier runs recorded; empty for a fresh one.
    pub(crate) records: Vec<Record>,
    /// The slot of its queue, if it came from one.
    pub(crate) slot: Option<Slot>,
}

impl Drive {
    /// Starts the driver's task.
    ///
    /// # Errors
    /// An earlier run of the same id is still in this process, and comes back with what was to be
    /// started: two bodies of one workflow must not run side by side.
    pub(crate) fn spawn(self) -> Result<Arc<Run>, (Arc<Run>, Self)> {
        let runtime = Arc::clone(&self.runtime);
        match runtime.live.enter(&self.row.id, self.row.key, self.workflow.name) {
            Ok(run) => {
                let mut drive = self;
                let slot = drive.slot.take();
                let task = runtime.tokio.spawn(drive.drive(Present {
                    runtime: Arc::clone(&runtime),
                    run: Arc::clone(&run),
                    slot,
                }));
                run.set_abort(task.abort_handle());
                Ok(run)
            }
            Err(earlier) => Err((earlier, self)),
        }
    }

    #[expect(clippy::manual_async_fn, reason = "an `async fn` holds what it is given twice")]
    fn drive(mut self, present: Present) -> impl Future<Output = ()> + Send {
        async move {
            // Everything here that is not the body is boxed: a hundred thousand bodies may be parked in
            // this future, and each of them would hold the room for what comes before and after it.
            let present = &present;
            let run = &present.run;
            let _permit = match &self.runtime.permits {
                Some(permits) if self.takes_a_permit() => match Box::pin(self.turn(permits)).await {
                    Some(permit) => Some(permit),
                    None => return,
                },
                _ if self.runtime.gate.is_shut() => return,
                _ => None,
            };
            let mut superseded = 0;
            loop {
                let records = std::mem::take(&mut self.records);
                let execution = Execution::new(
                    Arc::clone(&self.runtime),
                    self.workflow,
                    Arc::clone(&self.row),
                    self.fence,
                    records,
                );
                run.set_execution(Arc::clone(&execution) as _);
                let stopped = poll_body(&execution).await;
                match Box::pin(conclude(&execution, stopped)).await {
                    Finished::Yes(ended) => {
                        tracing::debug!(target: "durable", workflow = self.workflow.name, id = %run.id, status = %ended.status, "a workflow has ended");
                        return run.ended(Arc::new(ended));
                    }
                    // Somebody else's record stands at one of the positions: what this run knows is
                    // not what happened. It begins again from the journal.
                    Finished::No(Signal::Replay) if superseded < MAX_REPLAYS => superseded += 1,
                    Finished::No(signal) => return self.left(run, &signal),
                }
                let Some(records) = Box::pin(self.reload(run)).await else { return };
                self.records = records;
            }
        }
    }

    /// Whether it counts among those that run at once. A child does not, because its parent waits for
    /// it; nor does what comes from a queue: it has been claimed, and the queue's limits count it as running.
    fn takes_a_permit(&self) -> bool {
        self.row.parent.is_none() && self.row.queue.is_none()
    }

    /// One of the permits; `None` when the engine goes down before.
    async fn turn(&self, permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.runtime.gate.reached(Level::Aborting) => None,
            // The semaphore is never closed, so an error cannot be.
            permit = Arc::clone(permits).acquire_owned() => permit.ok(),
        }
    }

    /// Reads the journal again, unless the workflow has ended or is no longer ours.
    async fn reload(&self, run: &Run) -> Option<Vec<Record>> {
        let key = self.row.key;
        let again = async {
            let wanted = Wanted { ends: vec![self.row.id.to_string()], ..Wanted::default() };
            let ended = self.runtime.store.look(&wanted).await?.ends;
            let records = self.runtime.store.records(&[key]).await?;
            Ok::<_, crate::store::StoreError>((ended, records))
        };
        match again.await {
            Ok((ended, records)) => match ended.into_iter().next() {
                Some(ended) => {
                    run.ended(Arc::new(ended));
                    None
                }
                None => Some(records),
            },
            Err(error) => {
                // The row stays PENDING and ours, and has no body until this process ends or is deposed.
                tracing::warn!(target: "durable", id = %run.id, %error, "the records could not be read again");
                None
            }
        }
    }

    fn left(&self, run: &Run, signal: &Signal) {
        match signal {
            Signal::Cancelled => run.is_cancelled(),
            Signal::Lost => run.give_up(),
            _ => {}
        }
        tracing::debug!(target: "durable", workflow = self.workflow.name, id = %run.id, why = ?signal, "a workflow leaves this process");
    }
}

/// How often a run begins again from the journal before it leaves the workflow to the next recovery.
const MAX_REPLAYS: u32 = 8;

/// A run is in the list of the living while this lives, on whatever way its task ends, and has its
/// queue's slot for just as long.
struct Present {
    runtime: Arc<Runtime>,
    run: Arc<Run>,
    slot: Option<Slot>,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.runtime.live.leave(&self.run);
        if let Some(slot) = self.slot.take() {
            let others_wait = slot.shared();
            drop(slot);
            if let Some(hint) = others_wait {
                self.runtime.tell_others(hint);
            }
        }
    }
}

enum Stopped {
    Returned(Outcome),
    Panicked(Error),
    Signalled(Signal),
}

/// Polls the body until it returns, panics, or is stopped by a signal. When this returns, the body
/// is gone: its destructors have run.
async fn poll_body(execution: &Arc<Execution>) -> Stopped {
    let make = || {
        let taken = Taken::read(&execution.row.input)?;
        let mut taken = taken.of_instance(execution.row.instance.as_deref(), &execution.runtime.objects);
        (execution.workflow.run)(&mut taken)
    };
    let mut running = match panics::watch(make) {
        Ok(Ok(body)) => Running::new(execution, body),
        Err(panic) => return Stopped::Panicked(panic),
        Ok(Err(fault)) => return Stopped::Signalled(Signal::Park(format!("the arguments cannot be read: {fault}"))),
    };
    let timers = &execution.runtime.timers;
    let mut time_is_up = execution.row.deadline.map(|at| Box::new(timers.rings(at)));
    let stopped = poll_fn(|cx| {
        // It is looked at first: a workflow whose time was up during an outage does not go on for a moment.
        if let Some(timer) = &mut time_is_up
            && Pin::new(timer).poll(cx).is_ready()
        {
            time_is_up = None;
            // Once the engine is on its way down the next owner finds it, and nothing is hurried here.
            if !execution.runtime.gate.is_shut() {
                execution.signal(Signal::TimedOut);
            }
        }
        if let Some(signal @ Signal::TimedOut) = execution.poll_signal(cx.waker()) {
            return Poll::Ready(Stopped::Signalled(signal));
        }
        let polled = match panics::watch(|| running.poll(cx)) {
            Ok(polled) => polled,
            Err(panic) => match execution.poll_signal(cx.waker()) {
                // A body that is on its way out says nothing any more, not even by a panic.
                Some(signal) => {
                    let id = &execution.row.id;
                    execution.runtime.note_panic(format!("the workflow {id:?}, when it was told to stop, {panic}"));
                    return Poll::Ready(Stopped::Signalled(signal));
                }
                None => return Poll::Ready(Stopped::Panicked(panic)),
            },
        };
        match (execution.poll_signal(cx.waker()), polled) {
            // A sibling of the call that was stopped is in a step: it may come to its end and be recorded.
            (Some(Signal::Suspend), Poll::Pending) if execution.in_step() => {
                execution.send_tail();
                Poll::Pending
            }
            (Some(signal), _) => Poll::Ready(Stopped::Signalled(signal)),
            (None, Poll::Ready(outcome)) => Poll::Ready(Stopped::Returned(outcome)),
            // Nothing begins any more, and nothing runs that could come to its end.
            (None, Poll::Pending) if execution.runtime.gate.is_shut() && !execution.in_step() => {
                execution.signal(Signal::Suspend);
                Poll::Ready(Stopped::Signalled(Signal::Suspend))
            }
            (None, Poll::Pending) => {
                // The body waits for something that is not a record; what it has done may be written meanwhile.
                execution.send_tail();
                Poll::Pending
            }
        }
    })
    .await;
    drop(running);
    stopped
}

/// What is to be written at the end of a run.
struct End {
    status: Status,
    outcome: Option<Outcome>,
    reason: Option<String>,
}

impl End {
    fn returned(execution: &Execution, outcome: Outcome) -> Self {
        let what = || format!("the result of the workflow `{}`", execution.workflow.name);
        match (execution.runtime.check_size(what, outcome.len()), &outcome) {
            (Err(error), _) => Self::failed(&error),
            (Ok(()), Outcome::Output(_)) => Self { status: Status::Success, outcome: Some(outcome), reason: None },
            (Ok(()), Outcome::Error(_)) => Self { status: Status::Error, outcome: Some(outcome), reason: None },
        }
    }

    fn failed(error: &Error) -> Self {
        let text = RecordedError::of_engine(error).to_text();
        Self { status: Status::Error, outcome: Some(Outcome::Error(text)), reason: None }
    }

    fn timed_out() -> Self {
        Self { status: Status::Cancelled, outcome: None, reason: Some("timeout".to_owned()) }
    }

    fn parked(reason: String) -> Self {
        Self { status: Status::Parked, outcome: None, reason: Some(reason) }
    }
}

enum Finished {
    Yes(Ended),
    No(Signal),
}

/// What is to be done when the body is gone.
async fn conclude(execution: &Arc<Execution>, stopped: Stopped) -> Finished {
    let end = match stopped {
        Stopped::Returned(outcome) => End::returned(execution, outcome),
        Stopped::Panicked(error) | Stopped::Signalled(Signal::Fail(error)) => End::failed(&error),
        Stopped::Signalled(Signal::Park(reason)) => End::parked(reason),
        Stopped::Signalled(Signal::TimedOut) => End::timed_out(),
        Stopped::Signalled(Signal::Suspend) => {
            // What was done stays done: the records of finished steps go before the body's row is given back.
            let _ = execution.settled().await;
            return Finished::No(Signal::Suspend);
        }
        Stopped::Signalled(other) => return Finished::No(other),
    };
    finish(execution, end).await
}

/// Writes the end of a run, together with the records that wait for it.
async fn finish(execution: &Arc<Execution>, end: End) -> Finished {
    let row = &execution.row;
    if end.status == Status::Parked {
        tracing::error!(target: "durable", workflow = execution.workflow.name, id = %row.id, reason = end.reason.as_deref(), "a workflow is parked and needs a person");
    }
    let End { status, outcome, reason } = end;
    let row_end =
        Finish { workflow: row.key, attempt: row.attempt, status, outcome: outcome.clone(), reason: reason.clone() };
    let entry = Entry { finish: Some(row_end), ..Entry::default() };
    let alone = (status == Status::Parked).then(|| entry.clone());
    let written = match (execution.write(entry).await, alone) {
        // A record before it cannot be stored, and this says so.
        (Err(Signal::Park(_)), Some(alone)) => execution.write_alone(alone).await,
        (written, _) => written,
    };
    match written {
        Ok(_) => Finished::Yes(Ended { id: row.id.to_string(), status, outcome, reason }),
        // The end cannot be stored as it is; that it needs a person can be.
        Err(Signal::Park(reason)) if status != Status::Parked => Box::pin(finish(execution, End::parked(reason))).await,
        Err(signal) => Finished::No(signal),
    }
}
