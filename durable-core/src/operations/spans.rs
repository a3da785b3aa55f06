//! The spans of the engine, and the traces that they belong to.
//!
//! The first run of a workflow continues the trace of the call that started it. A later run, after a crash, a shutdown or a
//! resume, begins a trace of its own with a link to that call, so that no trace grows for weeks. A replayed call makes no span.

use tracing::{Dispatch, Span, dispatcher};

use crate::journal::execution::Execution;
use crate::runtime::Runtime;
use crate::types::position::Position;

/// The longest text that is stored: a `traceparent` has 55 characters, and one of a later version may have more.
const MAX_TRACEPARENT: usize = 256;

/// The trace of the present call, to be stored with what it starts.
pub(super) fn current_traceparent(runtime: &Runtime) -> Option<String> {
    let context = runtime.settings.traces.context.as_ref()?.traceparent(&Span::current())?;
    Some(context).filter(|it| it.len() <= MAX_TRACEPARENT && it.is_ascii())
}

/// Makes what a start from outside of any workflow stores. A caller without a trace gets one, with a span of this moment, so
/// that there is something that later runs can be linked to.
pub(super) fn in_start_span<T>(runtime: &Runtime, workflow: &str, is_queued: bool, make: impl FnOnce() -> T) -> T {
    let traces = runtime.settings.traces.context.as_ref().filter(|_| current_traceparent(runtime).is_none());
    let Some(traces) = traces else { return make() };
    let span = tracing::info_span!(target: "durable", "start", name = workflow);
    traces.describe(&span, if is_queued { "enqueue" } else { "start" }, workflow);
    span.in_scope(make)
}

/// The span of a run. What the body logs is in it.
pub(super) fn workflow_span(execution: &Execution) -> Span {
    let (name, row) = (execution.workflow.name, &execution.row);
    let span = tracing::info_span!(target: "durable", "workflow", name, id = %row.id, attempt = row.attempt);
    let Some(traces) = &execution.runtime.settings.traces.context else { return span };
    if let Some(started_by) = row.trace_context.as_deref() {
        // A fork has the records of another workflow in its first run.
        if row.attempt == 1 && execution.records().is_empty() {
            traces.continue_trace(&span, started_by);
        } else {
            traces.link(&span, started_by);
        }
    }
    traces.describe(&span, "workflow", name);
    span
}

/// The span of one attempt of a step. What the step logs is in it.
pub(super) fn step_span(runtime: &Runtime, name: &str, position: &Position, attempt: u32) -> Span {
    described(runtime, "step", name, tracing::info_span!(target: "durable", "step", name, %position, attempt))
}

/// The span of one attempt of a transaction. What the function logs is in it.
pub(super) fn transaction_span(runtime: &Runtime, name: &str, position: &Position, attempt: u32) -> Span {
    let span = tracing::info_span!(target: "durable", "transaction", name, %position, attempt);
    described(runtime, "transaction", name, span)
}

fn described(runtime: &Runtime, kind: &str, name: &str, span: Span) -> Span {
    if let Some(traces) = &runtime.settings.traces.context {
        traces.describe(&span, kind, name);
    }
    span
}

/// Notes in a span that what it covers failed.
pub(super) fn note_failure(runtime: &Runtime, span: &Span, why: &str) {
    if let Some(traces) = &runtime.settings.traces.context {
        traces.fail(span, why);
    }
}

/// Polls the body. While it replays what an earlier run has recorded, what it logs was logged by that run, so nothing is
/// logged and no span is made.
pub(super) fn unless_replayed<T>(execution: &Execution, poll: impl FnOnce() -> T) -> T {
    if execution.is_replaying() && !execution.runtime.settings.traces.log_replays {
        return dispatcher::with_default(&Dispatch::none(), poll);
    }
    poll()
}
