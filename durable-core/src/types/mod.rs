//! Types and pure functions for all other modules. Nothing here depends on a database, a task or a
//! workflow.

pub(crate) mod backoff;
pub(crate) mod boot_time;
pub(crate) mod cron;
pub(crate) mod database_fault;
pub(crate) mod diagnosis;
pub(crate) mod duration;
pub(crate) mod error;
pub(crate) mod executor_listing;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod id;
pub(crate) mod keys;
pub(crate) mod listing;
pub(crate) mod metrics;
#[cfg(feature = "opentelemetry")]
pub(crate) mod opentelemetry_context;
pub(crate) mod page;
pub(crate) mod payload;
pub(crate) mod position;
pub(crate) mod replay_report;
pub(crate) mod retention;
pub(crate) mod retry;
pub(crate) mod seconds;
pub(crate) mod status;
pub(crate) mod suggest;
pub(crate) mod sync;
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, unreachable_pub, reason = "tests use all of it, and then it is public")
)]
pub(crate) mod time;
pub(crate) mod trace_context;
pub(crate) mod trace_settings;
pub(crate) mod version_policy;
