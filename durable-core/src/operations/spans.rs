//! The spans of the engine, and the traces that they belong to.
//!
//! The first run of a workflow continues the trace of the call that started it. A later run, after a crash, a shutdown or a
//! resume, begins a trace of its own with a link to that call, so that no trace grows for weeks. A replayed call makes no span.

use std::ops::RangeInclusive;
use std::sync::{LazyLock, Once};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Span, Subscriber, dispatcher};

use crate::journal::execution::Execution;
use crate::runtime::Runtime;
use crate::runtime::panics;
use crate::types::position::Position;
use crate::types::trace_context::TraceContext;

/// The lengths of what is stored: a `traceparent` has 55 characters, and one of a later version may have more.
const TRACEPARENT_LENGTHS: RangeInclusive<usize> = 55..=256;

/// Asks the program's tracer. A panic of it costs a part of a trace, and nothing else.
fn ask<T: Default>(runtime: &Runtime, question: impl FnOnce(&dyn TraceContext) -> T) -> T {
    let Some(traces) = &runtime.settings.traces.context else { return T::default() };
    panics::catch(|| question(&**traces)).unwrap_or_else(|panic| {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::error!(target: "durable", %panic, "the `TraceContext` of this program panicked, so traces are incomplete; mend it (this is logged once)"));
        T::default()
    })
}

/// The trace of the present call, to be stored with what it starts.
pub(super) fn current_traceparent(runtime: &Runtime) -> Option<String> {
    runtime.settings.traces.context.as_ref()?;
    let context = ask(runtime, |traces| traces.traceparent(&Span::current()))?;
    // Neither database stores every text.
    let is_one = |it: &String| TRACEPARENT_LENGTHS.contains(&it.len()) && it.bytes().all(|it| it.is_ascii_graphic());
    Some(context).filter(is_one)
}

/// Makes what a start from outside of any workflow stores. A caller without a trace gets one, with a span of this moment, so
/// that there is something that later runs can be linked to.
pub(super) fn in_start_span<T>(runtime: &Runtime, workflow: &str, is_queued: bool, make: impl FnOnce() -> T) -> T {
    if runtime.settings.traces.context.is_none() || current_traceparent(runtime).is_some() {
        return make();
    }
    let span = tracing::info_span!(target: "durable", "start", name = workflow);
    described(runtime, if is_queued { "enqueue" } else { "start" }, workflow, span).in_scope(make)
}

/// The span of a run. What the body logs is in it.
pub(super) fn workflow_span(execution: &Execution) -> Span {
    let (name, row) = (execution.workflow.name, &execution.row);
    let span = tracing::info_span!(target: "durable", "workflow", name, id = %row.id, attempt = row.attempt);
    let runtime = &*execution.runtime;
    if let Some(started_by) = row.trace_context.as_deref() {
        // A fork has the records of another workflow in its first run.
        if row.is_first_run() && execution.records().is_empty() {
            ask(runtime, |traces| traces.continue_trace(&span, started_by));
        } else {
            ask(runtime, |traces| traces.link(&span, started_by));
        }
    }
    described(runtime, "workflow", name, span)
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
    ask(runtime, |traces| traces.describe(&span, kind, name));
    span
}

/// Notes in a span that what it covers failed.
pub(super) fn note_failure(runtime: &Runtime, span: &Span, why: impl FnOnce() -> String) {
    ask(runtime, |traces| traces.fail(span, &why()));
}

/// Polls the body. While it replays what an earlier run has recorded, what it logs was logged by that run, so nothing is
/// logged and no span is made.
pub(super) fn unless_replayed<T>(execution: &Execution, poll: impl FnOnce() -> T) -> T {
    if execution.is_replaying() && !execution.runtime.settings.traces.log_replays {
        return execution.muted(|| dispatcher::with_default(&MUTED, poll));
    }
    poll()
}

/// What a replay logs to. It is a subscriber like that of the program, because `tracing` keeps for good what a log line's
/// first subscriber answers if it knows of one only: with [`Dispatch::none`] a line that a replay reaches first would stay
/// disabled in this process.
static MUTED: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Muted));

/// It has no interest in anything. With the program's subscriber beside it, each log line is asked for anew.
struct Muted;

impl Subscriber for Muted {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // no span is enabled, so this is not called
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
