//! Polling the body of a workflow, until it returns, panics, or is stopped.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tracing::Span;

use crate::journal::execution::Execution;
use crate::operations::body::BodyAndBranches;
use crate::operations::spans;
use crate::registry::Taken;
use crate::runtime::panics;
use crate::runtime::spawned_tasks::{BodyTask, outside_calls};
use crate::runtime::stop_reason::StopReason;
use crate::types::error::Error;
use crate::types::payload::{Outcome, PayloadError, RecordedError};
use crate::wait::timers::Timer;

/// How a body stopped.
pub(super) enum StoppedBody {
    Returned(Outcome),
    Panicked(Error),
    Signalled(StopReason),
}

/// Polls the body until it returns, panics, or is stopped. When this returns, the body
/// has been dropped: its destructors have run.
pub(super) async fn poll_body(execution: &Arc<Execution>) -> StoppedBody {
    let mut polled = match PolledBody::begin(execution) {
        Ok(polled) => polled,
        Err(stopped) => return stopped,
    };
    let stopped = poll_fn(|cx| polled.poll(cx)).await;
    let PolledBody { span, running, .. } = polled;
    span.in_scope(|| drop(running));
    note_failure(execution, &span, &stopped);
    stopped
}

/// A body that is polled. Every waiting workflow has one, so it is as small as possible.
struct PolledBody<'e> {
    body_task: BodyTask,
    /// When the time of the workflow is up, if it has a deadline.
    time_is_up: Option<Box<Timer<'e>>>,
    running: BodyAndBranches,
    /// Dropped after the body, if the task is aborted.
    span: Span,
    execution: &'e Arc<Execution>,
}

impl<'e> PolledBody<'e> {
    fn begin(execution: &'e Arc<Execution>) -> Result<Self, StoppedBody> {
        let row = &execution.row;
        let span = spans::workflow_span(execution);
        let make = || {
            let _in_span = span.enter();
            let taken = Taken::read(&row.input)?;
            let mut taken = taken.of_instance(row.instance.as_deref(), &execution.runtime.resources);
            (execution.workflow.run)(&mut taken)
        };
        let body = match panics::catch(|| spans::unless_replayed(execution, make)) {
            Ok(Ok(body)) => body,
            Err(panic) => return Err(StoppedBody::Panicked(panic)),
            Ok(Err(error)) => {
                return Err(StoppedBody::Signalled(StopReason::Park(unreadable_arguments(&error, &row.id))));
            }
        };
        let timers = &execution.runtime.timers;
        Ok(Self {
            execution,
            span,
            running: BodyAndBranches::new(execution, body),
            time_is_up: row.deadline.map(|at| Box::new(timers.at_always(at))),
            body_task: BodyTask::here(),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoppedBody> {
        let Self { execution, span, running, time_is_up, body_task } = self;
        // The deadline is checked first: a workflow whose deadline passed during an outage does not continue.
        if let Some(timer) = time_is_up
            && Pin::new(timer).poll(cx).is_ready()
        {
            *time_is_up = None;
            // During a shutdown the next owner enforces the deadline.
            if !execution.runtime.shutdown.is_aborting() {
                execution.request_stop(StopReason::TimedOut);
            }
        }
        if let Some(signal @ StopReason::TimedOut) = execution.poll_stop(cx.waker()) {
            return Poll::Ready(StoppedBody::Signalled(signal));
        }
        let calls_before = outside_calls();
        let polled = panics::catch(|| span.in_scope(|| spans::unless_replayed(execution, || running.poll(cx))));
        if matches!(polled, Ok(Poll::Pending)) {
            execution.end_replay_if_it_waits();
        }
        if matches!(polled, Ok(Poll::Pending)) && running.waits_for_something_else() {
            let engine = Arc::as_ptr(&execution.runtime).addr();
            body_task.waits(calls_before, engine, execution.workflow.name, &execution.row.id);
        } else {
            body_task.waits_no_more();
        }
        let polled = match polled {
            Ok(polled) => polled,
            Err(panic) => match execution.poll_stop(cx.waker()) {
                // The panic of a body that is being stopped is not the workflow's result.
                Some(signal) => {
                    let id = &execution.row.id;
                    execution.runtime.note_panic(format!("the workflow {id:?}, after it was asked to stop, {panic}"));
                    return Poll::Ready(StoppedBody::Signalled(signal));
                }
                None => return Poll::Ready(StoppedBody::Panicked(panic)),
            },
        };
        match (execution.poll_stop(cx.waker()), polled) {
            // Another branch is in a step, which may finish and be recorded.
            (Some(StopReason::Suspend), Poll::Pending) if execution.in_step() => {
                execution.send_pending();
                Poll::Pending
            }
            (Some(signal), _) => Poll::Ready(StoppedBody::Signalled(signal)),
            // A body that blocked its thread could not be stopped in time, and a late result is no success.
            (None, Poll::Ready(_)) if is_too_late(execution) => {
                let reason = if execution.runtime.shutdown.is_aborting() {
                    StopReason::Suspend // the next owner cancels it
                } else {
                    StopReason::TimedOut
                };
                execution.request_stop(reason.clone());
                Poll::Ready(StoppedBody::Signalled(reason))
            }
            (None, Poll::Ready(outcome)) => Poll::Ready(StoppedBody::Returned(outcome)),
            // No operation may begin any more, and no step is running that could finish.
            (None, Poll::Pending) if execution.runtime.shutdown.is_aborting() && !execution.in_step() => {
                execution.request_stop(StopReason::Suspend);
                Poll::Ready(StoppedBody::Signalled(StopReason::Suspend))
            }
            (None, Poll::Pending) => {
                // The body waits for something other than a record, so its records can be written meanwhile.
                execution.send_pending();
                Poll::Pending
            }
        }
    }
}

/// Why a workflow is parked whose arguments do not fit its function. The text goes on with the command that lets it go on.
fn unreadable_arguments(error: &PayloadError, id: &str) -> String {
    format!(
        "the arguments cannot be read: {error}; to give it others: `durable restart {id} --arg NAME=JSON`, or `--input JSON` for all of them; if the function is wrong, mend that"
    )
}

/// Notes in the span of a run why it is no success.
fn note_failure(execution: &Execution, span: &Span, stopped: &StoppedBody) {
    let note = |why: &dyn Fn() -> String| spans::note_failure(&execution.runtime, span, why);
    match stopped {
        StoppedBody::Returned(Outcome::Error(text)) => note(&|| RecordedError::from_text(text).message),
        StoppedBody::Panicked(error) | StoppedBody::Signalled(StopReason::Fail(error)) => note(&|| error.to_string()),
        StoppedBody::Signalled(StopReason::Park(reason)) => note(&|| reason.clone()),
        StoppedBody::Signalled(StopReason::TimedOut) => note(&|| "timeout".to_owned()),
        _ => {}
    }
}

/// Whether the deadline of the workflow has passed.
fn is_too_late(execution: &Execution) -> bool {
    let now = execution.runtime.timers.clock.lower_bound();
    execution.row.deadline.is_some_and(|deadline| deadline <= now)
}
