//! Real processes, killed with real signals.

mod launches;
mod processes;
