//! Where the running code is: in the body of a workflow, in a step, in a transaction, or outside.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::task::futures::TaskLocalFuture;

use crate::journal::branch::Branch;
use crate::journal::execution::Execution;
use crate::journal::reserved_position::ReservedPosition;
use crate::runtime::Runtime;
use crate::runtime::blocking_steps::BlockingStep;
use crate::runtime::stop_reason::StopReason;
use crate::types::error::{Error, ErrorKind};
use crate::types::position::Position;
use crate::wait::cancellation::{AbortReason, CancellationFlag};

tokio::task_local! {
    /// Set around every poll of a body and of a step. Tasks that user code spawns do not have it.
    static CONTEXT: Context;
}

/// Where the running code is.
#[derive(Debug, Clone)]
pub(crate) enum Context {
    /// In a workflow's body, in one of its branches.
    Body { execution: Arc<Execution>, branch: Arc<Branch> },
    /// In the body of a step. A step that was called outside any workflow has no context.
    Step(Arc<StepScope>),
    /// In the body of a transaction, which belongs to a workflow or was called outside.
    Transaction(Arc<TransactionScope>),
}

/// A running transaction.
#[derive(Debug)]
pub(crate) struct TransactionScope {
    /// The engine that opened it.
    pub(crate) runtime: Arc<Runtime>,
    /// The execution that it belongs to, if any.
    pub(crate) execution: Option<Arc<Execution>>,
    /// The transaction's name.
    pub(crate) name: &'static str,
}

/// A running step: what its body can ask about itself.
#[derive(Debug)]
pub(crate) struct StepScope {
    /// The execution that it belongs to.
    pub(crate) execution: Arc<Execution>,
    /// The step's name.
    pub(crate) name: &'static str,
    /// Its position in the workflow.
    pub(crate) position: Position,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// How many attempts it has at most.
    pub(crate) max_attempts: u32,
    /// Whether this attempt was asked to stop because of a shutdown.
    pub(crate) asked_to_stop: AtomicBool,
    /// Asks this attempt alone to stop.
    pub(crate) cancellation: CancellationFlag,
}

impl StepScope {
    /// Why this attempt should stop, if it should: for a reason of its own, or one of its run.
    pub(crate) fn abort_reason(&self) -> Option<AbortReason> {
        let reason = self.cancellation.reason().or_else(|| self.execution.cancellation().reason());
        self.note_abort(reason);
        reason
    }

    /// Waits until this attempt should stop.
    pub(crate) async fn aborted(&self) -> AbortReason {
        let reason = tokio::select! {
            biased;
            reason = self.cancellation.cancelled() => reason,
            reason = self.execution.cancellation().cancelled() => reason,
        };
        self.note_abort(Some(reason));
        reason
    }

    /// The attempt is given up without a result. A reason of its run is kept.
    pub(crate) fn give_up(&self) {
        let of_shutdown = self.execution.runtime.shutdown.is_aborting().then_some(AbortReason::Shutdown);
        let of_run = self.execution.cancellation().reason().or(of_shutdown);
        self.cancellation.cancel(of_run.unwrap_or(AbortReason::Dropped));
    }

    /// Notes that the step was asked to stop: an error that it returns after that is not recorded.
    pub(crate) fn note_abort(&self, reason: Option<AbortReason>) {
        if reason == Some(AbortReason::Shutdown) {
            self.asked_to_stop.store(true, Ordering::Release);
        }
    }

    /// Whether it was asked to stop because of a shutdown.
    pub(crate) fn was_asked_to_stop(&self) -> bool {
        self.asked_to_stop.load(Ordering::Acquire)
    }

    /// What the engine notes of the step while it occupies a thread.
    pub(crate) fn blocking_step(&self) -> BlockingStep {
        BlockingStep {
            key: self.execution.row.key,
            position: self.position.clone(),
            id: self.execution.row.id.to_string(),
            workflow: self.execution.workflow.name,
            step: self.name,
            since: Instant::now(),
        }
    }

    /// The error of a call in this step that needs a position of its own.
    pub(crate) fn refusal(&self, what: &str, instead: &str) -> Error {
        let message = format!(
            "{what} was called inside the step `{}` at position {} of the workflow {:?}, where it could not be recorded; {instead}",
            self.name, self.position, self.execution.row.id
        );
        Error::new(ErrorKind::Misuse, message)
    }
}

impl Context {
    /// Where the running code is; `None` outside any workflow.
    pub(crate) fn here() -> Option<Self> {
        CONTEXT.try_with(Clone::clone).ok()
    }

    /// Runs `body` in this context.
    pub(crate) fn sync_scope<R>(self, body: impl FnOnce() -> R) -> R {
        CONTEXT.sync_scope(self, body)
    }

    /// Refuses what would be repeated at every replay of a body, or would outlive a transaction that is undone.
    ///
    /// # Errors
    /// The running code is the body of a workflow or of a transaction.
    pub(crate) fn refuse_unrecorded(what: &str) -> Result<(), Error> {
        match Self::here() {
            None | Some(Self::Step(_)) => Ok(()),
            Some(Self::Body { execution, .. }) => {
                let message = format!(
                    "{what} was called in the body of the workflow {:?}, where it is not recorded and would be repeated at every replay; move it into a #[step]",
                    execution.row.id
                );
                Err(Error::new(ErrorKind::Misuse, message))
            }
            Some(Self::Transaction(scope)) => Err(scope.refusal(what)),
        }
    }

    /// A future that always runs in this context.
    pub(crate) fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CONTEXT.scope(self, future)
    }
}

/// Where a durable call was made. It is determined when the call is made, not when it is first polled,
/// so that the order of the calls in the source decides the positions.
#[derive(Debug)]
pub(crate) enum CallSite {
    /// Outside any workflow.
    Outside,
    /// In a body, with a reserved position.
    Body(ReservedPosition),
    /// In the body of a step. No position is reserved.
    Step(Arc<StepScope>),
    /// In the body of a transaction, where every durable call is refused.
    Transaction(Arc<TransactionScope>),
}

impl CallSite {
    /// The call site of the running code; in the body of a workflow it reserves the next position.
    pub(crate) fn here() -> Self {
        match Context::here() {
            None => Self::Outside,
            Some(Context::Body { execution, branch }) => {
                let position = branch.next_position();
                Self::Body(ReservedPosition::new(execution, position))
            }
            Some(Context::Step(scope)) => Self::Step(scope),
            Some(Context::Transaction(scope)) => Self::Transaction(scope),
        }
    }
}

impl CallSite {
    /// The same for a call that reserves a position only if the run is to have one, by the position that it would get:
    /// `None` if not.
    pub(crate) fn here_if(is_reserved: impl FnOnce(&Execution, &Position) -> bool) -> Option<Self> {
        match Context::here() {
            Some(Context::Body { execution, branch }) if !is_reserved(&execution, &branch.peek()) => None,
            _ => Some(Self::here()),
        }
    }
}

impl TransactionScope {
    /// The error of a durable call in this transaction: its record would be undone with the
    /// transaction, or would stay although the transaction is undone.
    pub(crate) fn refusal(&self, what: &str) -> Error {
        let message = format!(
            "{what} was called inside the transaction `{}`, which can be rolled back and retried; call it before or after the transaction, in the workflow's body",
            self.name
        );
        Error::new(ErrorKind::Misuse, message)
    }

    /// Refuses a call whose result cannot hold an error: the workflow is parked.
    ///
    /// # Panics
    /// Outside any workflow, because there is nothing to park.
    pub(crate) async fn refuse<T>(&self, what: &str) -> T {
        let refusal = self.refusal(what);
        match &self.execution {
            Some(execution) => execution.stop_here(StopReason::Park(refusal.to_string())).await,
            None => panic!("{refusal}"),
        }
    }
}
