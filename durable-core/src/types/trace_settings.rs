//! What an engine does about traces.

use std::sync::Arc;

#[cfg(feature = "opentelemetry")]
use crate::types::opentelemetry_context::OpenTelemetryContext;
use crate::types::trace_context::TraceContext;

/// What an engine does about traces.
#[derive(Debug, Clone)]
pub(crate) struct TraceSettings {
    /// How spans carry the trace that they belong to; `None` if they belong to none.
    pub(crate) context: Option<Arc<dyn TraceContext>>,
    /// Whether what a body logs while it replays is logged again.
    pub(crate) log_replays: bool,
}

impl Default for TraceSettings {
    fn default() -> Self {
        #[cfg(feature = "opentelemetry")]
        let context = Some(Arc::new(OpenTelemetryContext) as _);
        #[cfg(not(feature = "opentelemetry"))]
        let context = None;
        Self { context, log_replays: false }
    }
}
