//! Sleeping: the wake-up time is recorded, and the process that runs the workflow at that time wakes it.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::reserved_position::{ReservedPosition, pend_unless};
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::store::BoxFuture;
use crate::types::payload::{Codec, Outcome};
use crate::types::time::Timestamp;
use crate::wait::timers::TimerOutcome;

/// Sleeps for a duration, however often the program is restarted meanwhile.
///
/// The wake-up time is recorded when the sleep begins, by the database's clock; after a restart the
/// workflow waits only for the remaining time. It never wakes early, and late only if no process was
/// running. A sleeping workflow holds no connection and no thread.
///
/// The position is reserved when this is called. Outside any workflow it is a plain sleep.
///
/// # Panics
/// In a step or a transaction, where it could not be recorded, it parks the workflow: sleep in the
/// workflow's body, or with `tokio::time::sleep` if the step itself has to pause.
///
/// # At shutdown
/// The drain waits for a sleep that ends within it. Any other sleep is suspended at once, and the
/// workflow continues in another process or after the restart.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use std::time::Duration;
/// # async fn example() {
/// durable::sleep(Duration::from_secs(86_400)).await; // a day, and restarts do not prolong it
/// # }
/// ```
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
    let call_site = CallSite::here();
    async move {
        match &call_site {
            CallSite::Body(reserved) => {
                sleep_in_body(reserved, || reserved.execution.runtime.timers.clock.after(duration)).await;
            }
            CallSite::Outside => tokio::time::sleep(duration).await,
            other => refuse(other).await,
        }
    }
}

/// Sleeps until a moment; a moment in the past is over at once. See [`sleep`].
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example(due: chrono::DateTime<chrono::Utc>) {
/// durable::sleep_until(due).await;
/// # }
/// ```
pub fn sleep_until(moment: DateTime<Utc>) -> impl Future<Output = ()> + Send {
    let call_site = CallSite::here();
    async move {
        match &call_site {
            CallSite::Body(reserved) => sleep_in_body(reserved, || Timestamp::from_date(moment)).await,
            CallSite::Outside => {
                tokio::time::sleep((moment - Utc::now()).to_std().unwrap_or_default()).await;
            }
            other => refuse(other).await,
        }
    }
}

async fn sleep_in_body(reserved: &ReservedPosition, wake: impl FnOnce() -> Timestamp + Send) {
    let operation = Operation::once("sleep");
    reserved.check_same_body("sleep").await;
    let wake = recorded_moment(reserved, operation, wake).await;
    let execution = &reserved.execution;
    let timers = &execution.runtime.timers;
    if wake > timers.clock.lower_bound() {
        pend_unless(reserved.may_wait(operation)).await;
    }
    let _activity = execution.begin_activity(Activity::Sleep(wake));
    if timers.at(wake).await == TimerOutcome::Released {
        execution.stop_here::<()>(StopReason::Suspend).await;
    }
}

/// The time that an earlier run recorded here, else the given one, which it records.
///
/// It is boxed, so that its memory is free again before the wait begins.
pub(super) fn recorded_moment<'a>(
    reserved: &'a ReservedPosition,
    operation: Operation<'a>,
    moment: impl FnOnce() -> Timestamp + Send + 'a,
) -> BoxFuture<'a, Timestamp> {
    Box::pin(recorded_or(reserved, operation, moment))
}

async fn recorded_or(
    reserved: &ReservedPosition,
    operation: Operation<'_>,
    moment: impl FnOnce() -> Timestamp,
) -> Timestamp {
    if let Some(record) = reserved.replayed(operation).await {
        let date: DateTime<Utc> = reserved.decode(Codec::PLAIN, record).await;
        return Timestamp::from_date(date);
    }
    if reserved.execution.runtime.shutdown.is_aborting() {
        return reserved.execution.stop_here(StopReason::Suspend).await;
    }
    let moment = moment();
    let outcome = reserved.encode(Codec::PLAIN, operation, &moment.to_date()).ok();
    let outcome = outcome.or_else(|| Some(Outcome::Output("null".to_owned()))); // a date always encodes
    reserved.record_result(operation, OperationResult { outcome, attempts: 1, ..OperationResult::default() }).await;
    moment
}

async fn refuse(call_site: &CallSite) {
    match call_site {
        CallSite::Step(scope) => {
            let refusal =
                scope.refusal("`durable::sleep`", "call it in the workflow's body, or sleep with `tokio::time::sleep`");
            scope.execution.stop_here::<()>(StopReason::Park(refusal.to_string())).await;
        }
        CallSite::Transaction(scope) => scope.refuse("`durable::sleep`").await,
        CallSite::Outside | CallSite::Body(_) => {}
    }
}
