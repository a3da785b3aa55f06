//! Running a transaction until it is committed, or its own error is recorded.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{Context, TransactionScope};
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::transaction::function::{Transaction, TransactionBody};
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
    /// The position in the workflow; `None` outside, where nothing is recorded.
    pub(super) reserved: Option<&'r ReservedPosition>,
}

/// How the transaction ended.
pub(super) enum TransactionOutcome<R> {
    /// The function returned this value, which may be an `Err`.
    Value(R),
    /// It panicked.
    Panic(Error),
    /// It cannot run here at all, or the database refused it outside any workflow.
    Refused(Error),
}

impl<R: Send> TransactionRun<'_, R> {
    pub(super) async fn run(&self, body: &mut dyn TransactionBody<R>) -> TransactionOutcome<R> {
        let app_database = match self.transaction.options.database {
            None => None,
            Some(name) => match self.runtime.databases.get(name) {
                Some(database) => Some(Arc::clone(&database.0)),
                None => return TransactionOutcome::Refused(self.unknown_database(name)),
            },
        };
        let has = app_database.as_ref().map_or(self.runtime.store.connection_type(), |it| it.connection_type());
        if has != body.connection_type() {
            return TransactionOutcome::Refused(self.wrong_connection(body.connection_type(), has));
        }
        match (app_database, self.reserved) {
            (None, None) => self.outside(&*self.runtime.store, body).await,
            (Some(database), None) => self.outside(&*database, body).await,
            (None, Some(reserved)) => self.in_system(reserved, body).await,
            (Some(database), Some(reserved)) => self.app_database(&*database, reserved, body).await,
        }
    }

    /// The error of a transaction that takes a connection of another type than the database has.
    fn wrong_connection(&self, takes: &str, has: &str) -> Error {
        let database = match self.transaction.options.database {
            Some(name) => format!("the database `{name}`"),
            None => "the system database".to_owned(),
        };
        let others: Vec<_> = self.runtime.databases.keys().map(|it| format!("`{it}`")).collect();
        let fix = if others.is_empty() {
            "give the other database to the builder with `.database(\"name\", pool)` and name it with #[transaction(database = \"name\")]".to_owned()
        } else {
            format!("name the one it is for with #[transaction(database = \"…\")]: {}", others.join(", "))
        };
        let message =
            format!("the transaction `{}` takes a `{takes}` and {database} has `{has}`s; {fix}", self.transaction.name);
        Error::new(ErrorKind::Misuse, message)
    }

    fn unknown_database(&self, name: &str) -> Error {
        let message = format!(
            "the transaction `{}` is for the database `{name}`, which the builder was not given: `.database(\"{name}\", pool)`",
            self.transaction.name
        );
        Error::new(ErrorKind::Misuse, message)
    }

    /// A plain transaction.
    async fn outside<T: Transact + ?Sized>(
        &self,
        database: &T,
        body: &mut dyn TransactionBody<R>,
    ) -> TransactionOutcome<R> {
        let mut failed = 0;
        loop {
            let mut attempt = self.attempt(body, None, &[]);
            let transacted = database.transact(self.opening, &mut attempt).await;
            match (transacted, attempt.into_result()) {
                (Ok(_), Some(BodyResult::Contended)) => {}
                (Ok(_), Some(BodyResult::Value(value, _))) => return TransactionOutcome::Value(value),
                (Ok(_), Some(BodyResult::Panic(error))) => return TransactionOutcome::Panic(error),
                (Ok(_), Some(BodyResult::FencedOut)) => unreachable!("the fence is not checked outside a workflow"),
                // An uncommitted statement was rolled back, but the outcome of a commit without a reply is
                // unknown, and there is no record to check.
                (Err(error), None) if error.kind == StoreErrorKind::Contended => {}
                (Err(error), _) => return TransactionOutcome::Refused(self.refused(&error)),
                (Ok(_), None) => unreachable!("a transaction that ended had a body that did"),
            }
            failed += 1;
            if !self.pause(failed).await {
                let message = format!(
                    "the transaction `{}` failed to serialize and is not retried, because this process is shutting down; nothing was written",
                    self.transaction.name
                );
                return TransactionOutcome::Refused(Error::new(ErrorKind::ShuttingDown, message));
            }
        }
    }

    /// In the system database, together with records that are not written yet.
    async fn in_system(&self, reserved: &ReservedPosition, body: &mut dyn TransactionBody<R>) -> TransactionOutcome<R> {
        let execution = &reserved.execution;
        let piggyback = match execution.take_piggyback().await {
            Ok(piggyback) => piggyback,
            Err(signal) => return execution.stop_here(signal).await,
        };
        let mut failed = 0;
        loop {
            reserved.ensure_lease().await;
            let activity = execution.begin_activity(Activity::step(self.transaction.name));
            let mut attempt = self.attempt(body, Some(reserved), piggyback.records());
            let transacted = self.runtime.store.transact(self.opening, &mut attempt).await;
            let returned = attempt.into_result();
            match (transacted, returned) {
                (Ok(Transacted::Committed), Some(BodyResult::Value(value, _))) => {
                    piggyback.committed();
                    return TransactionOutcome::Value(value);
                }
                (Ok(Transacted::Superseded), _) => return execution.stop_here(StopReason::Replay).await,
                (Ok(Transacted::Fenced), _) => return execution.stop_here(StopReason::Lost).await,
                (Ok(_), Some(BodyResult::Contended)) => {}
                (Ok(_), Some(ended)) => {
                    drop(piggyback); // its records are unsent again
                    let ran = self.record_end(reserved, ended).await;
                    drop(activity);
                    return ran;
                }
                (Ok(_), None) => unreachable!("a transaction that ended had a body that did"),
                (Err(error), returned) if error.is_temporary() => {
                    if let Some(BodyResult::Value(value, outcome)) = returned
                        && self.was_committed(reserved, &outcome).await
                    {
                        piggyback.committed();
                        return TransactionOutcome::Value(value);
                    }
                }
                (Err(error), _) => return self.stop_by(reserved, &error).await,
            }
            drop(activity);
            failed += 1;
            if !self.pause(failed).await {
                drop(piggyback); // its records are unsent again
                return execution.stop_here(StopReason::Suspend).await;
            }
        }
    }

    /// Whether a commit without a reply took place. Another record at the position means that another
    /// run was first.
    async fn was_committed(&self, reserved: &ReservedPosition, outcome: &Outcome) -> bool {
        let execution = &reserved.execution;
        let mut failed = 0;
        loop {
            match self.runtime.store.records(&[execution.row.key]).await {
                Ok(records) => {
                    return match records.into_iter().find(|it| it.position == reserved.position) {
                        None => false,
                        Some(record) if record.outcome.as_ref() == Some(outcome) => true,
                        Some(_) => execution.stop_here(StopReason::Replay).await,
                    };
                }
                Err(error) if error.is_temporary() => {}
                Err(error) => return self.stop_by(reserved, &error).await,
            }
            failed += 1;
            if !self.pause(failed).await {
                return execution.stop_here(StopReason::Suspend).await;
            }
        }
    }

    /// In a database of the application: the record is written there, beside its tables, and is
    /// copied into the journal. Its primary key lets one run of the transaction through.
    async fn app_database(
        &self,
        database: &dyn Database,
        reserved: &ReservedPosition,
        body: &mut dyn TransactionBody<R>,
    ) -> TransactionOutcome<R> {
        let execution = &reserved.execution;
        reserved.ensure_accepting_and_flushed().await;
        let mut failed = 0;
        // A first run knows that nothing is committed there yet.
        let mut check_committed = execution.row.attempt > 1;
        loop {
            if check_committed {
                match database.committed(&execution.row.id, &reserved.position).await {
                    Ok(Some(committed)) => return self.adopt(reserved, committed.name, committed.outcome).await,
                    Ok(None) => {}
                    Err(error) if error.is_temporary() => {
                        failed += 1;
                        if !self.pause(failed).await {
                            return execution.stop_here(StopReason::Suspend).await;
                        }
                        continue;
                    }
                    Err(error) => return self.stop_by(reserved, &error).await,
                }
            }
            reserved.ensure_lease().await;
            let activity = execution.begin_activity(Activity::step(self.transaction.name));
            let mut attempt = self.attempt(body, Some(reserved), &[]);
            attempt.check_fence = true;
            let transacted = database.transact(self.opening, &mut attempt).await;
            match (transacted, attempt.into_result()) {
                (Ok(Transacted::Committed | Transacted::Undone), Some(BodyResult::Contended)) => {}
                (Ok(_), Some(BodyResult::FencedOut)) => return execution.stop_here(StopReason::Lost).await,
                (Ok(Transacted::Committed | Transacted::Undone), Some(ended)) => {
                    let ran = self.record_end(reserved, ended).await;
                    drop(activity);
                    return ran;
                }
                // An earlier run was first, or a commit without a reply took place.
                (Ok(_), _) => check_committed = true,
                (Err(error), _) if error.is_temporary() => check_committed = true,
                (Err(error), _) => return self.stop_by(reserved, &error).await,
            }
            drop(activity);
            failed += 1;
            if !self.pause(failed).await {
                return execution.stop_here(StopReason::Suspend).await;
            }
        }
    }

    /// Records the result that an earlier run committed in the application's database.
    async fn adopt(&self, reserved: &ReservedPosition, name: String, outcome: Outcome) -> TransactionOutcome<R> {
        if name != self.transaction.name {
            let reason = format!(
                "at position {} this workflow committed the transaction `{name}`, and the code now calls `{}` there; bring the earlier order of calls back, and resume it",
                reserved.position, self.transaction.name
            );
            return reserved.execution.stop_here(StopReason::Park(reason)).await;
        }
        match (self.codec.decode)(&outcome) {
            Ok(value) => {
                let done = OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() };
                reserved.record_result(Operation::transaction(self.transaction.name), done).await;
                TransactionOutcome::Value(value)
            }
            Err(error) => reserved.park_unreadable(self.transaction.name, &error).await,
        }
    }

    /// Records the result of the function, if the commit itself did not.
    async fn record_end(&self, reserved: &ReservedPosition, ended: BodyResult<R>) -> TransactionOutcome<R> {
        let operation = Operation::transaction(self.transaction.name);
        let (outcome, ran) = match ended {
            BodyResult::Value(value, outcome) => (outcome, TransactionOutcome::Value(value)),
            BodyResult::Panic(error) => {
                let message =
                    format!("the transaction `{}` at position {} {error}", self.transaction.name, reserved.position);
                let error = Error::new(ErrorKind::Panic, message);
                (Outcome::Error(RecordedError::from_engine(&error).to_text()), TransactionOutcome::Panic(error))
            }
            BodyResult::Contended | BodyResult::FencedOut => unreachable!("neither is an end"),
        };
        reserved
            .record_result(
                operation,
                OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() },
            )
            .await;
        ran
    }

    async fn stop_by<T>(&self, reserved: &ReservedPosition, error: &StoreError) -> T {
        let signal = match error.kind {
            StoreErrorKind::Closed => StopReason::Suspend,
            _ => StopReason::Park(self.refused(error).to_string()),
        };
        reserved.execution.stop_here(signal).await
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

    /// Waits before the next attempt. Returns `false` if the shutdown prevents another attempt.
    async fn pause(&self, failed: u32) -> bool {
        let random = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        let pause = DELAYS.jittered_delay(failed, random);
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.runtime.shutdown.wait_for(EnginePhase::Aborting) => false,
        }
    }

    fn attempt<'b>(
        &'b self,
        body: &'b mut dyn TransactionBody<R>,
        reserved: Option<&'b ReservedPosition>,
        piggyback: &'b [NewRecord],
    ) -> Attempt<'b, R> {
        let scope = TransactionScope {
            runtime: Arc::clone(&self.runtime),
            execution: reserved.map(|it| Arc::clone(&it.execution)),
            name: self.transaction.name,
        };
        Attempt {
            body,
            codec: self.codec,
            operation: Operation::transaction(self.transaction.name),
            scope: Arc::new(scope),
            reserved,
            piggyback,
            check_fence: false,
            returned: None,
        }
    }
}

/// How the function ended.
enum BodyResult<R> {
    Value(R, Outcome),
    Panic(Error),
    /// Serialization failure or deadlock: it is retried.
    Contended,
    /// Another executor has taken over: the workflow belongs to it now.
    FencedOut,
}

/// One attempt: the function inside the open transaction.
struct Attempt<'b, R> {
    body: &'b mut dyn TransactionBody<R>,
    codec: Codec<R>,
    operation: Operation<'static>,
    scope: Arc<TransactionScope>,
    reserved: Option<&'b ReservedPosition>,
    piggyback: &'b [NewRecord],
    /// Whether the fence is checked before the commit, because a commit in another database cannot check it.
    check_fence: bool,
    returned: Option<BodyResult<R>>,
}

impl<R> Attempt<'_, R> {
    fn into_result(self) -> Option<BodyResult<R>> {
        self.returned
    }

    /// Whether another executor has taken over, according to the system database. If that cannot be
    /// read, the record's primary key still lets only one run commit.
    fn fenced_out(&self) -> impl Future<Output = bool> + Send + use<R> {
        let fence = self.reserved.filter(|_| self.check_fence).map(|it| it.execution.fence);
        let runtime = Arc::clone(&self.scope.runtime);
        async move {
            let Some(fence) = fence else { return false };
            match runtime.store.executors().await {
                Ok(living) => !living.iter().any(|it| it.key == fence.executor && it.epoch == fence.epoch),
                Err(_) => false,
            }
        }
    }

    fn end(&self, outcome: &Outcome, ran_for: Duration) -> TransactionEnd {
        let Some(reserved) = self.reserved else { return TransactionEnd::Commit };
        let done =
            OperationResult { outcome: Some(outcome.clone()), attempts: 1, ran_for, ..OperationResult::default() };
        let mut records = self.piggyback.to_vec();
        records.push(reserved.new_record(self.operation, done));
        let workflow = reserved.execution.row.id.to_string();
        TransactionEnd::Record { fence: reserved.execution.fence, workflow, records }
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
            let fenced_out = match &encoded {
                Ok((_, Ok(Outcome::Output(_)))) => Some(self.fenced_out()),
                _ => None,
            };
            let fenced_out = match fenced_out {
                Some(fenced_out) => fenced_out.await,
                None => false,
            };
            let (returned, end) = match encoded {
                Err(panic) => (BodyResult::Panic(panic), TransactionEnd::Undo),
                Ok((_, Err(error))) => {
                    let message = format!("returned what cannot be recorded: {error}");
                    (BodyResult::Panic(Error::new(ErrorKind::Payload, message)), TransactionEnd::Undo)
                }
                Ok((_, Ok(Outcome::Error(text)))) if RecordedError::from_text(&text).is_serialization_failure() => {
                    (BodyResult::Contended, TransactionEnd::Undo)
                }
                Ok((value, Ok(outcome @ Outcome::Error(_)))) => {
                    (BodyResult::Value(value, outcome), TransactionEnd::Undo)
                }
                Ok((_, Ok(_))) if fenced_out => (BodyResult::FencedOut, TransactionEnd::Undo),
                Ok((value, Ok(outcome))) => {
                    let end = self.end(&outcome, started.elapsed());
                    (BodyResult::Value(value, outcome), end)
                }
            };
            self.returned = Some(returned);
            end
        })
    }
}
