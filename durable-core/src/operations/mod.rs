//! The durable operations, one per file, each a thin layer over the journal.

pub(crate) mod admin;
mod body;
mod call;
mod caller_errors;
pub(crate) mod cancel;
pub(crate) mod events;
pub(crate) mod inline_step;
pub(crate) mod join;
mod look;
pub(crate) mod map;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod outbox;
mod outside_wait;
mod publish;
pub(crate) mod queue_admin;
pub(crate) mod recv;
pub(crate) mod run_workflow;
pub(crate) mod schedule_admin;
pub(crate) mod schedule_call;
pub(crate) mod schedule_spec;
pub(crate) mod select;
pub(crate) mod send;
pub(crate) mod side_effects;
pub(crate) mod sleep;
pub(crate) mod spawn;
pub(crate) mod start;
pub(crate) mod step;
pub(crate) mod step_context;
pub(crate) mod step_on_thread;
pub(crate) mod streams;
pub(crate) mod transaction;
pub(crate) mod wait_many;
mod wait_timeout;
pub(crate) mod workflow_call;
mod workflow_call_options;
pub(crate) mod workflow_handle;
pub(crate) mod workflow_result;
