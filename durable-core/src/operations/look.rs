//! Looks into the database: listings, statuses, histories. In a body the answer is recorded, because the body may
//! decide by it what it does next.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::caller_errors::failed_to;
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::store::{StoreError, StoreErrorKind};
use crate::types::backoff::CALLS_WHILE_DATABASE_IS_AWAY;
use crate::types::error::Result;
use crate::types::payload::{Codec, Payload};
use crate::wait::timers::TimerOutcome;

/// Within what time it shows that a connection was ended by the server. An outage takes longer, or lasts.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// A look that is to be taken: where its call was made, and through which engine.
pub(super) struct Look {
    call_site: CallSite,
    engine: Option<Arc<Runtime>>,
}

impl Look {
    /// A look through `engine`, or else through the engine of the code that awaits it. In a body it reserves a position.
    pub(super) fn through(engine: Option<&Arc<Runtime>>) -> Self {
        Self { call_site: CallSite::here(), engine: engine.map(Arc::clone) }
    }

    /// Where its call was made.
    pub(super) fn call_site(&self) -> &CallSite {
        &self.call_site
    }

    /// The engine that it was given, or that of the body in which its call was made.
    pub(super) fn runtime(&self) -> Option<Arc<Runtime>> {
        let of_body = || match &self.call_site {
            CallSite::Body(reserved) => Some(Arc::clone(&reserved.execution.runtime)),
            _ => None,
        };
        self.engine.clone().or_else(of_body)
    }

    /// Asks the database. `doing` completes the sentence "cannot ..".
    ///
    /// # Errors
    /// What the answer is; in a body it is recorded too. Elsewhere also that the database cannot be reached, for which a
    /// body waits.
    pub(super) async fn ask<T, F>(
        self,
        operation: Operation<'_>,
        doing: &'static str,
        question: impl Fn(Arc<Runtime>) -> F + Send + Sync,
    ) -> Result<T>
    where
        T: Payload,
        F: Future<Output = std::result::Result<Result<T>, StoreError>> + Send,
    {
        let engine = self.engine.map_or_else(current_engine::engine, Ok);
        match &self.call_site {
            CallSite::Body(reserved) => {
                let runtime = engine.unwrap_or_else(|_| Arc::clone(&reserved.execution.runtime));
                let codec = Codec::<Result<T>>::TYPED_FROM_ENGINE;
                reserved.check_same_body(operation.kind).await;
                if let Some(record) = reserved.replayed(operation).await {
                    return reserved.decode(codec, record).await;
                }
                // What the workflow itself has written a moment ago is seen.
                reserved.ensure_accepting_and_flushed().await;
                let answer = answer_in_body(reserved, doing, || question(Arc::clone(&runtime))).await;
                match reserved.encode(codec, operation, &answer) {
                    Ok(outcome) => {
                        let outcome = Some(outcome);
                        let done = OperationResult { outcome, attempts: 1, ..OperationResult::default() };
                        reserved.record_result(operation, done).await;
                        answer
                    }
                    Err(error) => reserved.execution.stop_here(StopReason::Fail(error)).await,
                }
            }
            CallSite::Transaction(scope) => Err(scope.refusal(&format!("`{}`", operation.kind))),
            CallSite::Outside | CallSite::Step(_) => {
                let runtime = engine?;
                let asked = Instant::now();
                let mut answer = question(Arc::clone(&runtime)).await;
                // The server may have ended the connection since it was last used, which shows at once: another one
                // is not that old.
                let is_ended = |error: &StoreError| error.kind == StoreErrorKind::Unreachable;
                if answer.as_ref().is_err_and(is_ended) && asked.elapsed() < ENDED_WITHIN {
                    answer = question(Arc::clone(&runtime)).await;
                }
                answer.unwrap_or_else(|error| Err(failed_to(&runtime, doing, &error)))
            }
        }
    }
}

/// Asks until the database answers. It does not return if the engine shuts down first.
pub(super) async fn answer_in_body<T, F>(
    reserved: &ReservedPosition,
    doing: &'static str,
    question: impl Fn() -> F + Send + Sync,
) -> Result<T>
where
    F: Future<Output = std::result::Result<Result<T>, StoreError>> + Send,
{
    let execution = &reserved.execution;
    let _activity = execution.begin_activity(Activity::Look(doing));
    let mut failures = 0;
    loop {
        let error = match question().await {
            Ok(answer) => return answer,
            Err(error) => error,
        };
        if error.kind == StoreErrorKind::Closed {
            return execution.stop_here(StopReason::Suspend).await;
        }
        if !error.is_temporary() {
            return Err(failed_to(&execution.runtime, doing, &error));
        }
        failures += 1;
        let timers = &execution.runtime.timers;
        if timers.at(timers.clock.after(CALLS_WHILE_DATABASE_IS_AWAY.random_delay(failures))).await
            == TimerOutcome::Released
        {
            return execution.stop_here(StopReason::Suspend).await;
        }
    }
}
