//! One attempt of a transaction: the user's function inside the open transaction.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{Context, TransactionScope};
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::spans;
use crate::operations::transaction::function::TransactionBody;
use crate::runtime::panics::CatchPanic;
use crate::store::{BoxFuture, NewRecord, TransactionEnd, UserWork};
use crate::types::database_fault::Interruption;
use crate::types::error::{Error, ErrorKind};
use crate::types::metrics::{self, Stopwatch};
use crate::types::payload::{Codec, Outcome, RecordedError};

/// What the function did.
pub(super) enum BodyResult<R> {
    Value(R, Outcome),
    Panic(Error),
    /// It failed, and not by its own doing: it runs again. With what it returned.
    Interrupted(Interruption, R),
    /// Another executor has taken over: the workflow belongs to it now.
    FencedOut,
}

/// One attempt: the function inside the open transaction.
pub(super) struct Attempt<'b, R> {
    pub(super) body: &'b mut dyn TransactionBody<R>,
    pub(super) codec: Codec<R>,
    pub(super) operation: Operation<'static>,
    pub(super) scope: Arc<TransactionScope>,
    pub(super) reserved: Option<&'b ReservedPosition>,
    pub(super) piggyback: &'b [NewRecord],
    /// Whether the commit itself does not ask for the fence: in another database it cannot.
    pub(super) check_fence: bool,
    /// How many attempts there were before this one.
    pub(super) earlier_attempts: u32,
    /// Whether the function was called.
    pub(super) begun: bool,
    pub(super) returned: Option<BodyResult<R>>,
}

impl<R> Attempt<'_, R> {
    pub(super) fn into_result(self) -> Option<BodyResult<R>> {
        self.returned
    }

    /// Whether another executor has taken over, as far as the system database shows. Where it
    /// cannot, the record's primary key still lets only one run through.
    fn fenced_out(&self) -> impl Future<Output = bool> + Send + use<R> {
        let asked = self.reserved.filter(|_| self.check_fence).map(|it| it.execution.fence);
        let runtime = Arc::clone(&self.scope.runtime);
        async move {
            let Some(fence) = asked else { return false };
            match runtime.store.executors().await {
                Ok(living) => !living.iter().any(|it| it.key == fence.executor && it.epoch == fence.epoch),
                Err(_) => false,
            }
        }
    }

    fn end(&self, outcome: &Outcome, ran_for: Duration) -> TransactionEnd {
        let Some(reserved) = self.reserved else { return TransactionEnd::Commit };
        let done = OperationResult {
            outcome: Some(outcome.clone()),
            attempts: self.earlier_attempts + 1,
            ran_for,
            ..OperationResult::default()
        };
        let mut records = self.piggyback.to_vec();
        records.push(reserved.new_record(self.operation, done));
        let workflow = reserved.execution.row.in_app_database();
        TransactionEnd::Record { fence: reserved.execution.fence, workflow, records }
    }
}

impl<R: Send> UserWork for Attempt<'_, R> {
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> BoxFuture<'c, TransactionEnd> {
        Box::pin(async move {
            let (started, watch) = (Instant::now(), Stopwatch::start());
            self.begun = true;
            let scope = Context::Transaction(Arc::clone(&self.scope));
            let Some(future) = self.body.run(connection) else {
                unreachable!("the type of the connection was compared before")
            };
            let span = match self.reserved {
                Some(reserved) => {
                    if self.earlier_attempts > 0 {
                        metrics::step_retried(self.scope.name);
                    }
                    let attempt = self.earlier_attempts + 1;
                    spans::transaction_span(&self.scope.runtime, self.scope.name, &reserved.position, attempt)
                }
                None => tracing::Span::none(),
            };
            let result = CatchPanic(Box::pin(scope.scope(future))).instrument(span.clone()).await;
            if self.reserved.is_some() {
                metrics::attempt_ended(self.scope.name, watch);
            }
            let encoded = result.map(|value| {
                let outcome = (self.codec.encode)(&value);
                let interruption = match &outcome {
                    Ok(Outcome::Error(text)) => {
                        self.codec.interruption_of(&value).or_else(|| RecordedError::from_text(text).interruption())
                    }
                    _ => None,
                };
                (value, outcome, interruption)
            });
            match &encoded {
                Ok((_, Ok(Outcome::Error(text)), _)) => {
                    spans::note_failure(&self.scope.runtime, &span, || RecordedError::from_text(text).message);
                }
                Err(panic) => spans::note_failure(&self.scope.runtime, &span, || panic.to_string()),
                Ok(_) => {}
            }
            drop(span);
            let fenced_out = match &encoded {
                Ok((_, Ok(Outcome::Output(_)), _)) => Some(self.fenced_out()),
                _ => None,
            };
            let fenced_out = match fenced_out {
                Some(fenced_out) => fenced_out.await,
                None => false,
            };
            let (returned, end) = match encoded {
                Err(panic) => (BodyResult::Panic(panic), TransactionEnd::Undo),
                Ok((value, _, Some(interruption))) => {
                    (BodyResult::Interrupted(interruption, value), TransactionEnd::Undo)
                }
                Ok((_, Err(error), None)) => {
                    let message = format!("returned what cannot be recorded: {error}");
                    (BodyResult::Panic(Error::new(ErrorKind::Payload, message)), TransactionEnd::Undo)
                }
                Ok((value, Ok(outcome @ Outcome::Error(_)), None)) => {
                    (BodyResult::Value(value, outcome), TransactionEnd::Undo)
                }
                Ok((_, Ok(_), None)) if fenced_out => (BodyResult::FencedOut, TransactionEnd::Undo),
                Ok((value, Ok(outcome), None)) => {
                    let end = self.end(&outcome, started.elapsed());
                    (BodyResult::Value(value, outcome), end)
                }
            };
            self.returned = Some(returned);
            end
        })
    }
}
