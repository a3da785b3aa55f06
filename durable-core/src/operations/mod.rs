//! The durable operations, one per file, each a thin layer over the journal.

pub(crate) mod admin;
mod body;
pub(crate) mod bulk;
pub(crate) mod bulk_request;
pub(crate) mod bulk_run;
mod call;
mod caller_errors;
pub(crate) mod cancel;
pub(crate) mod change;
pub(crate) mod enqueue_call;
pub(crate) mod events;
pub(crate) mod export_import;
pub(crate) mod fork;
pub(crate) mod inline_step;
pub(crate) mod join;
mod look;
pub(crate) mod map;
#[cfg_attr(not(feature = "testing"), allow(dead_code, unreachable_pub, reason = "only tests have mocks"))]
pub(crate) mod mock;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod outbox;
mod outside_wait;
pub(crate) mod patch;
mod poll_body;
mod publish;
pub(crate) mod queue_admin;
pub(crate) mod queue_backlog;
pub(crate) mod recv;
pub(crate) mod reset;
pub(crate) mod retention_run;
pub(crate) mod run_workflow;
pub(crate) mod schedule_admin;
pub(crate) mod schedule_call;
pub(crate) mod schedule_spec;
pub(crate) mod select;
pub(crate) mod send;
pub(crate) mod side_effects;
pub(crate) mod sleep;
mod spans;
pub(crate) mod spawn;
pub(crate) mod start;
pub(crate) mod step;
pub(crate) mod step_context;
#[cfg(feature = "testing")]
pub(crate) mod step_function;
pub(crate) mod step_on_thread;
pub(crate) mod streams;
pub(crate) mod throughput;
pub(crate) mod transaction;
mod unfenced_write;
pub(crate) mod verify_replay;
pub(crate) mod wait_many;
mod wait_timeout;
pub(crate) mod workflow_call;
mod workflow_call_options;
pub(crate) mod workflow_handle;
pub(crate) mod workflow_result;
