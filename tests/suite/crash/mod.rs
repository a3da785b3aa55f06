//! Real processes, killed with real signals.

mod failed_launches;
mod killed_senders_and_receivers;
mod killed_sleepers;
pub(crate) mod killed_workers;
