//! Running a transaction until it is committed, or its own error is recorded.

use std::sync::Arc;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::TransactionScope;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::transaction::function::{Transaction, TransactionBody};
use crate::operations::transaction::one_attempt::{Attempt, BodyResult};
use crate::operations::transaction::retries::{NoMoreAttempts, Retries};
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::store::{Database, NewRecord, StoreError, StoreErrorKind, Transact, Transacted, TransactionStart};
use crate::types::database_fault::Interruption;
use crate::types::error::{Error, ErrorKind};
use crate::types::metrics::{self, StepOutcome};
use crate::types::payload::{Codec, Outcome, RecordedError};

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

/// Why an attempt did not end the transaction.
enum AttemptFailure<R> {
    /// The function was not called.
    NotBegun(String),
    /// With what the function returned, if it did.
    Interrupted(Interruption, Option<R>),
}

impl<R> AttemptFailure<R> {
    fn of(error: &StoreError, begun: bool) -> Self {
        match error.kind {
            StoreErrorKind::Contended => Self::Interrupted(Interruption::LostRace, None),
            _ if begun => Self::Interrupted(Interruption::Broken(error.message.clone()), None),
            _ => Self::NotBegun(error.message.clone()),
        }
    }
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
        let in_tests =
            if takes.contains("Pg") { "; a test runs on Postgres with #[durable::test(postgres)]" } else { "" };
        let message = format!(
            "the transaction `{}` takes a `{takes}` and {database} has `{has}`s; {fix}{in_tests}",
            self.transaction.name
        );
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
        let mut retries = self.retries();
        loop {
            let mut attempt = self.attempt(body, None, &[], &retries);
            let transacted = database.transact(retries.opening(self.opening), &mut attempt).await;
            let again = match (transacted, attempt.into_result()) {
                (Ok(_) | Err(_), Some(BodyResult::Interrupted(Interruption::LostRace, _))) => {
                    retries.after_lost_race().await
                }
                // Nothing was committed: the function did not return what would have been.
                (Ok(_) | Err(_), Some(BodyResult::Interrupted(Interruption::Broken(error), value))) => {
                    match retries.after_interruption(&error).await {
                        Ok(false) => return self.give_up(&retries, "", &error, Some(value)),
                        again => again.map(drop),
                    }
                }
                (Ok(_), Some(BodyResult::Value(value, _))) => return TransactionOutcome::Value(value),
                (Ok(_), Some(BodyResult::Panic(error))) => return TransactionOutcome::Panic(error),
                (Ok(_), Some(BodyResult::FencedOut)) => unreachable!("the fence is not checked outside a workflow"),
                // An uncommitted statement was rolled back, but the outcome of a commit whose reply was
                // lost is unknown, and there is no record to check.
                (Err(error), None) if error.kind == StoreErrorKind::Contended => retries.after_lost_race().await,
                (Err(error), _) => return TransactionOutcome::Refused(self.refused(&error)),
                (Ok(_), None) => unreachable!("a transaction that ended had a body that did"),
            };
            if again.is_err() {
                let message = format!(
                    "the transaction `{}` was rolled back and is not retried, because this process is shutting down; nothing was written",
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
        let mut retries = self.retries();
        loop {
            reserved.ensure_lease().await;
            let activity = execution.begin_activity(Activity::step(self.transaction.name));
            let mut attempt = self.attempt(body, Some(reserved), piggyback.records(), &retries);
            let transacted = self.runtime.store.transact(retries.opening(self.opening), &mut attempt).await;
            let begun = attempt.begun;
            let failure = match (transacted, attempt.into_result()) {
                (Ok(Transacted::Committed), Some(BodyResult::Value(value, _))) => {
                    metrics::step_ended(self.transaction.name, StepOutcome::Success);
                    piggyback.committed();
                    return TransactionOutcome::Value(value);
                }
                (Ok(Transacted::Superseded), _) => return execution.stop_here(StopReason::Replay).await,
                (Ok(Transacted::Fenced), _) => {
                    metrics::fenced_out(1);
                    return execution.stop_here(StopReason::Lost).await;
                }
                (Ok(_) | Err(_), Some(BodyResult::Interrupted(interruption, value))) => {
                    AttemptFailure::Interrupted(interruption, Some(value))
                }
                (Ok(_), Some(ended)) => {
                    drop(piggyback); // its records are unsent again
                    self.log_failure(reserved, retries.attempts + 1, &ended);
                    let ran = self.record_end(reserved, retries.attempts + 1, ended).await;
                    drop(activity);
                    return ran;
                }
                (Ok(_), None) => unreachable!("a transaction that ended had a body that did"),
                (Err(error), returned) if error.is_temporary() => {
                    if let Some(BodyResult::Value(value, outcome)) = returned
                        && error.kind == StoreErrorKind::Unreachable
                        && self.was_committed(reserved, &outcome).await
                    {
                        metrics::step_ended(self.transaction.name, StepOutcome::Success);
                        piggyback.committed();
                        return TransactionOutcome::Value(value);
                    }
                    AttemptFailure::of(&error, begun)
                }
                (Err(error), _) => return self.stop_by(reserved, &error).await,
            };
            drop(activity);
            match self.after(&mut retries, failure, reserved).await {
                Ok(None) => {}
                Ok(Some(given_up)) => {
                    drop(piggyback); // its records are unsent again
                    return self.keep_given_up(reserved, &retries, given_up).await;
                }
                Err(NoMoreAttempts) => {
                    drop(piggyback); // its records are unsent again
                    return execution.stop_here(StopReason::Suspend).await;
                }
            }
        }
    }

    /// Whether a commit without a reply took place. Another record at the position means that another
    /// run was first.
    async fn was_committed(&self, reserved: &ReservedPosition, outcome: &Outcome) -> bool {
        let execution = &reserved.execution;
        let mut retries = self.retries();
        loop {
            match self.runtime.store.records(&[execution.row.key]).await {
                Ok(records) => {
                    return match records.into_iter().find(|it| it.position == reserved.position) {
                        None => false,
                        Some(record) if record.outcome.as_ref() == Some(outcome) => true,
                        Some(_) => execution.stop_here(StopReason::Replay).await,
                    };
                }
                Err(error) if error.is_temporary() => {
                    if retries.after_outage(&error.message).await.is_err() {
                        return execution.stop_here(StopReason::Suspend).await;
                    }
                }
                Err(error) => return self.stop_by(reserved, &error).await,
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
        let mut retries = self.retries();
        // A first run knows that nothing is committed there yet.
        let mut check_committed = execution.row.attempt > 1;
        let workflow = execution.row.in_app_database();
        loop {
            if check_committed {
                match database.committed(&workflow, &reserved.position).await {
                    Ok(Some(committed)) => return self.adopt(reserved, committed.name, committed.outcome).await,
                    Ok(None) => {}
                    Err(error) if error.is_temporary() => {
                        if retries.after_outage(&error.message).await.is_err() {
                            return execution.stop_here(StopReason::Suspend).await;
                        }
                        continue;
                    }
                    Err(error) => return self.stop_by(reserved, &error).await,
                }
            }
            reserved.ensure_lease().await;
            let activity = execution.begin_activity(Activity::step(self.transaction.name));
            let mut attempt = self.attempt(body, Some(reserved), &[], &retries);
            attempt.check_fence = true;
            let transacted = database.transact(self.opening, &mut attempt).await;
            let begun = attempt.begun;
            let failure = match (transacted, attempt.into_result()) {
                (Ok(_) | Err(_), Some(BodyResult::Interrupted(interruption, value))) => {
                    AttemptFailure::Interrupted(interruption, Some(value))
                }
                (Ok(_), Some(BodyResult::FencedOut)) => {
                    metrics::fenced_out(1);
                    return execution.stop_here(StopReason::Lost).await;
                }
                (Ok(Transacted::Committed | Transacted::Undone), Some(ended)) => {
                    self.log_failure(reserved, retries.attempts + 1, &ended);
                    let ran = self.record_end(reserved, retries.attempts + 1, ended).await;
                    drop(activity);
                    return ran;
                }
                // An earlier run was first, or a commit whose answer was lost took place.
                (Ok(_), _) => {
                    check_committed = true;
                    AttemptFailure::Interrupted(Interruption::LostRace, None)
                }
                (Err(error), _) if error.is_temporary() => {
                    check_committed = true;
                    AttemptFailure::of(&error, begun)
                }
                (Err(error), _) => return self.stop_by(reserved, &error).await,
            };
            drop(activity);
            match self.after(&mut retries, failure, reserved).await {
                Ok(None) => {}
                Ok(Some(given_up)) => return self.keep_given_up(reserved, &retries, given_up).await,
                Err(NoMoreAttempts) => return execution.stop_here(StopReason::Suspend).await,
            }
        }
    }

    /// Waits after an attempt that failed. Gives the outcome if it was the last one.
    async fn after(
        &self,
        retries: &mut Retries<'_>,
        failure: AttemptFailure<R>,
        reserved: &ReservedPosition,
    ) -> Result<Option<TransactionOutcome<R>>, NoMoreAttempts> {
        let (error, value) = match failure {
            AttemptFailure::NotBegun(error) => return retries.after_outage(&error).await.map(|()| None),
            AttemptFailure::Interrupted(Interruption::LostRace, _) => {
                return retries.after_lost_race().await.map(|()| None);
            }
            AttemptFailure::Interrupted(Interruption::Broken(error), value) => (error, value),
        };
        if retries.after_interruption(&error).await? {
            return Ok(None);
        }
        Ok(Some(self.give_up(retries, &format!(" at position {}", reserved.position), &error, value)))
    }

    /// The outcome of a transaction that is not tried again: an error of the engine where the function's
    /// result has room for it, else what the function returned last.
    fn give_up(&self, retries: &Retries<'_>, place: &str, error: &str, value: Option<R>) -> TransactionOutcome<R> {
        let error = Error::new(ErrorKind::Unavailable, retries.given_up(place, error));
        tracing::error!(target: "durable", transaction = self.transaction.name, attempts = retries.attempts, %error, "a transaction is given up");
        match (self.codec.from_engine, value) {
            (Some(from_engine), _) => TransactionOutcome::Value(from_engine(error)),
            (None, Some(value)) => TransactionOutcome::Value(value),
            (None, None) => TransactionOutcome::Panic(error),
        }
    }

    /// Records the outcome of a transaction that is not tried again.
    async fn keep_given_up(
        &self,
        reserved: &ReservedPosition,
        retries: &Retries<'_>,
        given_up: TransactionOutcome<R>,
    ) -> TransactionOutcome<R> {
        let TransactionOutcome::Value(value) = given_up else { return given_up };
        let operation = Operation::transaction(self.transaction.name);
        match reserved.encode(self.codec, operation, &value) {
            Ok(outcome) => self.record_end(reserved, retries.attempts, BodyResult::Value(value, outcome)).await,
            Err(error) => TransactionOutcome::Panic(error),
        }
    }

    /// Takes over what an earlier run committed, as if it had been recorded in the journal then.
    async fn adopt(&self, reserved: &ReservedPosition, name: String, outcome: Outcome) -> TransactionOutcome<R> {
        if name != self.transaction.name {
            let reason = format!(
                "at position {} this workflow committed the transaction `{name}`, and the code now calls `{}` there; restore the earlier order of calls, or deploy the earlier version",
                reserved.position, self.transaction.name
            );
            return reserved.execution.stop_here(StopReason::Park(reason)).await;
        }
        match (self.codec.decode)(&outcome) {
            Ok(value) => {
                let done = OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() };
                reserved.record_result(Operation::transaction(self.transaction.name), done).await;
                metrics::step_ended(self.transaction.name, StepOutcome::Success);
                TransactionOutcome::Value(value)
            }
            Err(error) => reserved.park_unreadable(self.transaction.name, &error).await,
        }
    }

    /// Records what the function returned, where the commit itself did not.
    async fn record_end(
        &self,
        reserved: &ReservedPosition,
        attempts: u32,
        ended: BodyResult<R>,
    ) -> TransactionOutcome<R> {
        let operation = Operation::transaction(self.transaction.name);
        let is_panic = matches!(&ended, BodyResult::Panic(_));
        let (outcome, ran) = match ended {
            BodyResult::Value(value, outcome) => (outcome, TransactionOutcome::Value(value)),
            BodyResult::Panic(error) => {
                let message =
                    format!("the transaction `{}` at position {} {error}", self.transaction.name, reserved.position);
                let error = Error::new(ErrorKind::Panic, message);
                (Outcome::Error(RecordedError::from_engine(&error).to_text()), TransactionOutcome::Panic(error))
            }
            BodyResult::Interrupted(..) | BodyResult::FencedOut => unreachable!("neither is an end"),
        };
        let counted = match &outcome {
            Outcome::Error(_) if is_panic => StepOutcome::Panic,
            Outcome::Error(_) => StepOutcome::Error,
            Outcome::Output(_) => StepOutcome::Success,
        };
        let done = OperationResult { outcome: Some(outcome), attempts, ..OperationResult::default() };
        reserved.record_result(operation, done).await;
        metrics::step_ended(self.transaction.name, counted);
        ran
    }

    /// The function has returned an `Err`, which is recorded.
    fn log_failure(&self, reserved: &ReservedPosition, attempt: u32, ended: &BodyResult<R>) {
        if let BodyResult::Value(_, Outcome::Error(text)) = ended {
            let error = RecordedError::from_text(text).message;
            tracing::warn!(target: "durable", transaction = self.transaction.name, id = %reserved.execution.row.id, position = %reserved.position, attempt, %error, "a transaction failed, was rolled back, and is not tried again");
        }
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

    fn retries(&self) -> Retries<'_> {
        Retries::new(&self.runtime, self.transaction.name, self.reserved)
    }

    fn attempt<'b>(
        &'b self,
        body: &'b mut dyn TransactionBody<R>,
        reserved: Option<&'b ReservedPosition>,
        piggyback: &'b [NewRecord],
        retries: &Retries<'_>,
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
            earlier_attempts: retries.attempts,
            begun: false,
            returned: None,
        }
    }
}
