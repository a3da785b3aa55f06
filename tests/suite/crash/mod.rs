//! Real processes that are killed.

mod failed_launches;
mod killed_senders_and_receivers;
mod killed_sleepers;
pub(crate) mod killed_workers;
