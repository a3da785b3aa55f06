//! The trace context of spans that the layer of `tracing-opentelemetry` sees.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::types::trace_context::TraceContext;

/// That of the layer of `tracing-opentelemetry`. Without such a layer spans belong to no trace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenTelemetryContext;

impl TraceContext for OpenTelemetryContext {
    fn traceparent(&self, span: &Span) -> Option<String> {
        let context = span.context();
        let context = context.span().span_context().clone();
        let flags = context.trace_flags().to_u8();
        context.is_valid().then(|| format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
    }

    fn continue_trace(&self, span: &Span, traceparent: &str) {
        if let Some(parent) = parse(traceparent) {
            let parent = Context::new().with_remote_span_context(parent);
            let _ = span.set_parent(parent); // without the layer, or if it drops the span, there is no trace
        }
    }

    fn link(&self, span: &Span, traceparent: &str) {
        if let Some(earlier) = parse(traceparent) {
            span.add_link(earlier);
        }
    }

    /// The layer has a field for the name, which would be in each log line, too.
    fn describe(&self, span: &Span, kind: &str, name: &str) {
        let context = span.context();
        let span = context.span();
        if span.is_recording() {
            span.update_name(format!("{kind} {name}"));
        }
    }

    fn fail(&self, span: &Span, why: &str) {
        span.set_status(Status::error(why.to_owned()));
    }
}

/// Reads `00-<trace>-<span>-<flags>`; a later version may have more behind it.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let has_lengths = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
    // The numbers of the standard library, which read the parts, take a sign and capital letters, too.
    let is_hex = |part: &str| part.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    if !has_lengths
        || ![version, trace, span, flags].into_iter().all(is_hex)
        || version == "ff"
        || (version == "00" && parts.next().is_some())
    {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_anything_else_is_no_trace() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = parse(good).expect("it is one of the specification");
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.is_sampled() && context.is_remote());
        assert!(parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later").is_some());
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319z-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
            "zz-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
