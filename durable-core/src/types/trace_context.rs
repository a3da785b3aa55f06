//! How spans carry the trace that they belong to. The engine itself knows spans of `tracing` only.

use std::fmt::Debug;

use tracing::Span;

/// How spans of `tracing` carry the [W3C trace context](https://www.w3.org/TR/trace-context/): the text `traceparent`, which is
/// stored with each workflow.
///
/// With the feature `opentelemetry` the engine uses the layer of `tracing-opentelemetry` by itself. Implement this for another
/// version of that crate, or another tracer, and give it to [`Builder::trace_context`](crate::Builder::trace_context).
///
/// # Example
///
/// ```
/// use durable_core::TraceContext;
/// use tracing::Span;
///
/// /// For a tracer that keeps the context in a map of its own.
/// #[derive(Debug)]
/// struct OfMyTracer;
///
/// impl TraceContext for OfMyTracer {
///     fn traceparent(&self, _span: &Span) -> Option<String> {
///         Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned())
///     }
///     fn continue_trace(&self, _span: &Span, _traceparent: &str) {}
///     fn link(&self, _span: &Span, _traceparent: &str) {}
/// }
///
/// let builder = durable_core::Durable::builder("shop").trace_context(OfMyTracer);
/// ```
pub trait TraceContext: Debug + Send + Sync + 'static {
    /// The `traceparent` of a span; `None` if it belongs to no trace.
    fn traceparent(&self, span: &Span) -> Option<String>;

    /// Makes a span that was not entered yet a child of this one: of the call that started a workflow.
    fn continue_trace(&self, span: &Span, traceparent: &str);

    /// Links a span that was not entered yet to this one: the span of a run after a crash, a shutdown or a resume, which
    /// begins a trace of its own.
    fn link(&self, span: &Span, traceparent: &str);

    /// Names a span in its trace, once it has its parent or link: `kind` is `workflow`, `step`, `transaction`, `start` or
    /// `enqueue`, and `name` that of the function. Without this the span has its name in `tracing`, which is the kind.
    fn describe(&self, span: &Span, kind: &str, name: &str) {
        let _ = (span, kind, name);
    }

    /// Notes that what a span covers failed, and why.
    fn fail(&self, span: &Span, why: &str) {
        let _ = (span, why);
    }
}
