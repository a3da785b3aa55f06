//! Running a transaction until it is committed, or its own error is recorded.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{Context, TransactionScope};
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::transaction::{Body, Transaction};
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::panics::CatchPanic;
use crate::runtime::stop_reason::StopReason;
use crate::store::{
    BoxFuture, Database, NewRecord, StoreError, StoreErrorKind, Transact, Transacted, TransactionEnd, TransactionStart,
    UserWork,
};
use crate::types::backoff::Backoff;
use crate::types::error::{Error, ErrorKind};
use crate::types::payload::{Codec, Outcome, RecordedError};
use crate::wait::shutdown_phase::EnginePhase;

/// The pauses between attempts, from first to longest.
const DELAYS: Backoff = Backoff::doubling(Duration::from_millis(10), Duration::from_millis(500)).with_jitter(0.5);

/// A transaction that is to run.
pub(super) struct TransactionRun<'r, R> {
    pub(super) runtime: Arc<Runtime>,
    pub(super) transaction: &'static Transaction,
    pub(super) codec: Codec<R>,
    pub(super) opening: TransactionStart,
    /// Where in a workflow; `None` outside, where nothing is recorded.
    pub(super) claim: Option<&'r ReservedPosition>,
}

/// What came of it.
pub(super) enum TransactionOutcome<R> {
    /// What the function returned, `Err` included.
    Value(R),
    /// It panicked.
    Panic(Error),
    /// It cannot run here at all; or outside any workflow, the database refused it.
    Refused(Error),
}

impl<R: Send> TransactionRun<'_, R> {
    pub(super) async fn run(&self, body: &mut dyn Body<R>) -> TransactionOutcome<R> {
        let elsewhere = match self.transaction.options.database {
            None => None,
            Some(name) => match self.runtime.databases.get(name) {
                Some(database) => Some(Arc::clone(&database.0)),
                None => return TransactionOutcome::Refused(self.unknown_database(name)),
            },
        };
        let has = elsewhere.as_ref().map_or(self.runtime.store.connection_type(), |it| it.connection_type());
        if has != body.wants() {
            return TransactionOutcome::Refused(self.runtime.wrong_connection(self.transaction, body.wants(), has));
        }
        match (elsewhere, self.claim) {
            (None, None) => self.outside(&*self.runtime.store, body).await,
            (Some(database), None) => self.outside(&*database, body).await,
            (None, Some(claim)) => self.in_system(claim, body).await,
            (Some(database), Some(claim)) => self.elsewhere(&*database, claim, body).await,
        }
    }

    fn unknown_database(&self, name: &str) -> Error {
        let message = format!(
            "the transaction `{}` is for the database `{name}`, which the builder was not given: `.database(\"{name}\", pool)`",
            self.transaction.name
        );
        Error::new(ErrorKind::Misuse, message)
    }

    /// A plain transaction.
    async fn outside<T: Transact + ?Sized>(&self, database: &T, body: &mut dyn Body<R>) -> TransactionOutcome<R> {
        let mut failed = 0;
        loop {
            let mut attempt = self.attempt(body, None, &[]);
            let transacted = database.transact(self.opening, &mut attempt).await;
            match (transacted, attempt.into_result()) {
                (Ok(_), Some(BodyResult::Contended)) => {}
                (Ok(_), Some(BodyResult::Value(value, _))) => return TransactionOutcome::Value(value),
                (Ok(_), Some(BodyResult::Panic(error))) => return TransactionOutcome::Panic(error),
                (Ok(_), Some(BodyResult::Deposed)) => unreachable!("outside nobody asks for the fence"),
                // What an uncommitted statement did is undone, but nobody knows about a commit
                // whose answer was lost, and here is no record to ask.
                (Err(error), None) if error.kind == StoreErrorKind::Contended => {}
                (Err(error), _) => return TransactionOutcome::Refused(self.refused(&error)),
                (Ok(_), None) => unreachable!("a transaction that ended had a body that did"),
            }
            failed += 1;
            if !self.pause(failed).await {
                let message = format!(
                    "the transaction `{}` lost a race and is not tried again, because this process is shutting down; nothing was written",
                    self.transaction.name
                );
                return TransactionOutcome::Refused(Error::new(ErrorKind::ShuttingDown, message));
            }
        }
    }

    /// In the system database: the records that the body is ahead of ride along.
    async fn in_system(&self, claim: &ReservedPosition, body: &mut dyn Body<R>) -> TransactionOutcome<R> {
        let execution = &claim.execution;
        let riders = match execution.take_piggyback().await {
            Ok(riders) => riders,
            Err(signal) => return execution.stop_here(signal).await,
        };
        let mut failed = 0;
        loop {
            let doing = execution.begin_activity(Activity::step(self.transaction.name));
            let mut attempt = self.attempt(body, Some(claim), riders.records());
            let transacted = self.runtime.store.transact(self.opening, &mut attempt).await;
            let returned = attempt.into_result();
            match (transacted, returned) {
                (Ok(Transacted::Committed), Some(BodyResult::Value(value, _))) => {
                    riders.committed();
                    return TransactionOutcome::Value(value);
                }
                (Ok(Transacted::Superseded), _) => return execution.stop_here(StopReason::Replay).await,
                (Ok(Transacted::Fenced), _) => return execution.stop_here(StopReason::Lost).await,
                (Ok(_), Some(BodyResult::Contended)) => {}
                (Ok(_), Some(ended)) => {
                    drop(riders); // they are put back
                    let ran = self.keep(claim, ended).await;
                    drop(doing);
                    return ran;
                }
                (Ok(_), None) => unreachable!("a transaction that ended had a body that did"),
                (Err(error), returned) if error.is_temporary() => {
                    if let Some(BodyResult::Value(value, outcome)) = returned
                        && self.was_committed(claim, &outcome).await
                    {
                        riders.committed();
                        return TransactionOutcome::Value(value);
                    }
                }
                (Err(error), _) => return self.stop_by(claim, &error).await,
            }
            drop(doing);
            failed += 1;
            if !self.pause(failed).await {
                drop(riders); // they are put back
                return execution.stop_here(StopReason::Suspend).await;
            }
        }
    }

    /// Whether a commit whose answer was lost took place. Another record at the position means that
    /// another run was first.
    async fn was_committed(&self, claim: &ReservedPosition, outcome: &Outcome) -> bool {
        let execution = &claim.execution;
        let mut failed = 0;
        loop {
            match self.runtime.store.records(&[execution.row.key]).await {
                Ok(records) => {
                    return match records.into_iter().find(|it| it.position == claim.position) {
                        None => false,
                        Some(record) if record.outcome.as_ref() == Some(outcome) => true,
                        Some(_) => execution.stop_here(StopReason::Replay).await,
                    };
                }
                Err(error) if error.is_temporary() => {}
                Err(error) => return self.stop_by(claim, &error).await,
            }
            failed += 1;
            if !self.pause(failed).await {
                return execution.stop_here(StopReason::Suspend).await;
            }
        }
    }

    /// In a database of the application's own: the record lies there, beside its tables, and is
    /// copied into the journal. Its primary key lets one run of the transaction through.
    async fn elsewhere(
        &self,
        database: &dyn Database,
        claim: &ReservedPosition,
        body: &mut dyn Body<R>,
    ) -> TransactionOutcome<R> {
        let execution = &claim.execution;
        claim.ensure_accepting_and_flushed().await;
        let mut failed = 0;
        // A first run knows that nothing is committed there yet.
        let mut look = execution.row.attempt > 1;
        loop {
            if look {
                match database.committed(&execution.row.id, &claim.position).await {
                    Ok(Some(committed)) => return self.adopt(claim, committed.name, committed.outcome).await,
                    Ok(None) => {}
                    Err(error) if error.is_temporary() => {
                        failed += 1;
                        if !self.pause(failed).await {
                            return execution.stop_here(StopReason::Suspend).await;
                        }
                        continue;
                    }
                    Err(error) => return self.stop_by(claim, &error).await,
                }
            }
            let doing = execution.begin_activity(Activity::step(self.transaction.name));
            let mut attempt = self.attempt(body, Some(claim), &[]);
            attempt.ask_fence = true;
            let transacted = database.transact(self.opening, &mut attempt).await;
            match (transacted, attempt.into_result()) {
                (Ok(Transacted::Committed | Transacted::Undone), Some(BodyResult::Contended)) => {}
                (Ok(_), Some(BodyResult::Deposed)) => return execution.stop_here(StopReason::Lost).await,
                (Ok(Transacted::Committed | Transacted::Undone), Some(ended)) => {
                    let ran = self.keep(claim, ended).await;
                    drop(doing);
                    return ran;
                }
                // An earlier run was first, or a commit whose answer was lost took place.
                (Ok(_), _) => look = true,
                (Err(error), _) if error.is_temporary() => look = true,
                (Err(error), _) => return self.stop_by(claim, &error).await,
            }
            drop(doing);
            failed += 1;
            if !self.pause(failed).await {
                return execution.stop_here(StopReason::Suspend).await;
            }
        }
    }

    /// Takes over what an earlier run committed, as if it had been recorded in the journal then.
    async fn adopt(&self, claim: &ReservedPosition, name: String, outcome: Outcome) -> TransactionOutcome<R> {
        if name != self.transaction.name {
            let reason = format!(
                "at position {} this workflow committed the transaction `{name}`, and the code now calls `{}` there; bring the earlier order of calls back, and resume it",
                claim.position, self.transaction.name
            );
            return claim.execution.stop_here(StopReason::Park(reason)).await;
        }
        match (self.codec.decode)(&outcome) {
            Ok(value) => {
                let done = OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() };
                claim.record_result(Operation::transaction(self.transaction.name), done).await;
                TransactionOutcome::Value(value)
            }
            Err(fault) => claim.park_unreadable(self.transaction.name, &fault).await,
        }
    }

    /// Keeps what the function returned in the journal, where it is not there by the commit itself.
    async fn keep(&self, claim: &ReservedPosition, ended: BodyResult<R>) -> TransactionOutcome<R> {
        let operation = Operation::transaction(self.transaction.name);
        let (outcome, ran) = match ended {
            BodyResult::Value(value, outcome) => (outcome, TransactionOutcome::Value(value)),
            BodyResult::Panic(error) => {
                let message =
                    format!("the transaction `{}` at position {} {error}", self.transaction.name, claim.position);
                let error = Error::new(ErrorKind::Panic, message);
                (Outcome::Error(RecordedError::from_engine(&error).to_text()), TransactionOutcome::Panic(error))
            }
            BodyResult::Contended | BodyResult::Deposed => unreachable!("neither is an end"),
        };
        claim
            .record_result(
                operation,
                OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() },
            )
            .await;
        ran
    }

    async fn stop_by<T>(&self, claim: &ReservedPosition, error: &StoreError) -> T {
        let signal = match error.kind {
            StoreErrorKind::Closed => StopReason::Suspend,
            _ => StopReason::Park(self.refused(error).to_string()),
        };
        claim.execution.stop_here(signal).await
    }

    fn refused(&self, error: &StoreError) -> Error {
        if error.kind == StoreErrorKind::Closed {
            let message = format!(
                "the transaction `{}` was not begun, because this process is shutting down; nothing was written",
                self.transaction.name
            );
            return Error::new(ErrorKind::ShuttingDown, message);
        }
        let message = format!("the transaction `{}` could not be carried out: {error}", self.transaction.name);
        Error::new(ErrorKind::Database, message)
    }

    /// The pause before another attempt; `false` if there is to be none.
    async fn pause(&self, failed: u32) -> bool {
        let lot = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        let pause = DELAYS.jittered_delay(failed, lot);
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.runtime.shutdown.wait_for(EnginePhase::Aborting) => false,
        }
    }

    fn attempt<'b>(
        &'b self,
        body: &'b mut dyn Body<R>,
        claim: Option<&'b ReservedPosition>,
        riders: &'b [NewRecord],
    ) -> Attempt<'b, R> {
        let scope = TransactionScope {
            runtime: Arc::clone(&self.runtime),
            execution: claim.map(|it| Arc::clone(&it.execution)),
            name: self.transaction.name,
        };
        Attempt {
            body,
            codec: self.codec,
            operation: Operation::transaction(self.transaction.name),
            scope: Arc::new(scope),
            claim,
            riders,
            ask_fence: false,
            returned: None,
        }
    }
}

/// What the function did.
enum BodyResult<R> {
    Value(R, Outcome),
    Panic(Error),
    /// The database let it lose a race: it is tried again.
    Contended,
    /// The executor was deposed meanwhile: the workflow is somebody else's.
    Deposed,
}

/// One attempt: the function inside the open transaction.
struct Attempt<'b, R> {
    body: &'b mut dyn Body<R>,
    codec: Codec<R>,
    operation: Operation<'static>,
    scope: Arc<TransactionScope>,
    claim: Option<&'b ReservedPosition>,
    riders: &'b [NewRecord],
    /// Whether the commit itself does not ask for the fence: in another database it cannot.
    ask_fence: bool,
    returned: Option<BodyResult<R>>,
}

impl<R> Attempt<'_, R> {
    fn into_result(self) -> Option<BodyResult<R>> {
        self.returned
    }

    /// Asks whether the executor was deposed, as far as the system database can tell. Where it
    /// cannot, the record's primary key still lets only one run through.
    fn deposed(&self) -> impl Future<Output = bool> + Send + use<R> {
        let asked = self.claim.filter(|_| self.ask_fence).map(|it| it.execution.fence);
        let runtime = Arc::clone(&self.scope.runtime);
        async move {
            let Some(fence) = asked else { return false };
            match runtime.store.executors().await {
                Ok(living) => !living.iter().any(|it| it.key == fence.executor && it.epoch == fence.epoch),
                Err(_) => false,
            }
        }
    }

    fn wish(&self, outcome: &Outcome, ran_for: Duration) -> TransactionEnd {
        let Some(claim) = self.claim else { return TransactionEnd::Commit };
        let done =
            OperationResult { outcome: Some(outcome.clone()), attempts: 1, ran_for, ..OperationResult::default() };
        let mut records = self.riders.to_vec();
        records.push(claim.new_record(self.operation, done));
        let workflow = claim.execution.row.id.to_string();
        TransactionEnd::Record { fence: claim.execution.fence, workflow, records }
    }
}

impl<R: Send> UserWork for Attempt<'_, R> {
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> BoxFuture<'c, TransactionEnd> {
        Box::pin(async move {
            let started = Instant::now();
            let scope = Context::Transaction(Arc::clone(&self.scope));
            let Some(future) = self.body.run(connection) else {
                unreachable!("the type of the connection was compared before")
            };
            let result = CatchPanic(Box::pin(scope.scope(future))).await;
            let encoded = result.map(|value| {
                let outcome = (self.codec.encode)(&value);
                (value, outcome)
            });
            let deposed = match &encoded {
                Ok((_, Ok(Outcome::Output(_)))) => Some(self.deposed()),
                _ => None,
            };
            let deposed = match deposed {
                Some(deposed) => deposed.await,
                None => false,
            };
            let (returned, wish) = match encoded {
                Err(panic) => (BodyResult::Panic(panic), TransactionEnd::Undo),
                Ok((_, Err(fault))) => {
                    let message = format!("returned what cannot be recorded: {fault}");
                    (BodyResult::Panic(Error::new(ErrorKind::Payload, message)), TransactionEnd::Undo)
                }
                Ok((_, Ok(Outcome::Error(text)))) if RecordedError::from_text(&text).is_serialization_failure() => {
                    (BodyResult::Contended, TransactionEnd::Undo)
                }
                Ok((value, Ok(outcome @ Outcome::Error(_)))) => {
                    (BodyResult::Value(value, outcome), TransactionEnd::Undo)
                }
                Ok((_, Ok(_))) if deposed => (BodyResult::Deposed, TransactionEnd::Undo),
                Ok((value, Ok(outcome))) => {
                    let wish = self.wish(&outcome, started.elapsed());
                    (BodyResult::Value(value, outcome), wish)
                }
            };
            self.returned = Some(returned);
            wish
        })
    }
}
