//! Sleeping: the moment of waking is recorded, and whoever runs the workflow then wakes it.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::store::BoxFuture;
use crate::types::payload::{Codec, Outcome};
use crate::wait::clock::{from_date, to_date};
use crate::wait::timers::TimerOutcome;

/// Sleeps for a duration, however often the program is restarted meanwhile.
///
/// The moment of waking is recorded when the sleep begins, by the database's clock; after a restart
/// the workflow waits for the rest of it only. It never wakes too early, and too late only by as
/// long as nobody was there to run it. A sleeping workflow holds no connection and no thread.
///
/// The position is claimed when this is called. Outside any workflow it is a plain sleep.
///
/// # Panics
/// In a step or a transaction, where it could not be recorded, it parks the workflow: sleep in the
/// workflow's body, or with `tokio::time::sleep` if the step itself has to pause.
///
/// # At shutdown
/// A sleep that ends before the drain does is waited for; any other is suspended at once, and goes
/// on elsewhere or after the restart.
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
    let place = CallSite::here();
    async move {
        match &place {
            CallSite::Body(claim) => {
                sleep_in_body(claim, || claim.execution.runtime.timers.clock.after(duration)).await
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
    let place = CallSite::here();
    async move {
        match &place {
            CallSite::Body(claim) => sleep_in_body(claim, || from_date(moment)).await,
            CallSite::Outside => {
                tokio::time::sleep((moment - Utc::now()).to_std().unwrap_or_default()).await;
            }
            other => refuse(other).await,
        }
    }
}

async fn sleep_in_body(claim: &ReservedPosition, wake: impl FnOnce() -> i64 + Send) {
    let operation = Operation::once("sleep");
    claim.check_same_body("sleep").await;
    let wake = recorded_moment(claim, operation, wake).await;
    let execution = &claim.execution;
    let timers = &execution.runtime.timers;
    let _doing = execution.begin_activity(Activity::Sleep);
    if timers.at(wake).await == TimerOutcome::Released {
        execution.stop_here::<()>(StopReason::Suspend).await;
    }
}

/// The moment that an earlier run recorded here, else the one that is given now.
///
/// It is boxed because it is over before the wait begins, and its room is then free again.
pub(super) fn recorded_moment<'a>(
    claim: &'a ReservedPosition,
    operation: Operation<'a>,
    moment: impl FnOnce() -> i64 + Send + 'a,
) -> BoxFuture<'a, i64> {
    Box::pin(recorded_or(claim, operation, moment))
}

async fn recorded_or(claim: &ReservedPosition, operation: Operation<'_>, moment: impl FnOnce() -> i64) -> i64 {
    if let Some(record) = claim.replayed(operation).await {
        let date: DateTime<Utc> = claim.decode(Codec::PLAIN, record).await;
        return from_date(date);
    }
    if claim.execution.runtime.shutdown.is_aborting() {
        return claim.execution.stop_here(StopReason::Suspend).await;
    }
    let moment = moment();
    let outcome = claim.encode(Codec::PLAIN, operation, &to_date(moment)).ok();
    let outcome = outcome.or_else(|| Some(Outcome::Output("null".to_owned()))); // a date always encodes
    claim.record_result(operation, OperationResult { outcome, attempts: 1, ..OperationResult::default() }).await;
    moment
}

async fn refuse(place: &CallSite) {
    match place {
        CallSite::Step(scope) => {
            let refusal =
                scope.refusal("`durable::sleep`", "call it in the workflow's body, or sleep with `tokio::time::sleep`");
            scope.execution.stop_here::<()>(StopReason::Park(refusal.to_string())).await;
        }
        CallSite::Transaction(scope) => scope.refuse("`durable::sleep`").await,
        CallSite::Outside | CallSite::Body(_) => {}
    }
}
