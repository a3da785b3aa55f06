//! Real processes, killed with real signals.

mod launches;
pub(crate) mod processes;
