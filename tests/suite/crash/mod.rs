//! Real processes, killed with real signals.

mod launches;
mod mail;
pub(crate) mod processes;
mod sleepers;
pub(crate) mod watched;
