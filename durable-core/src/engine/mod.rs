//! Floor 4, the engine: launches, looks around for work that nobody does, and shuts down in order.

mod app;
mod builder;
mod dispatcher;
mod env;
mod heartbeat;
mod idle;
mod launch;
mod listener;
mod lock_file;
mod notifier;
mod poller;
mod readiness;
mod recovery;
mod report;
mod report_text;
mod run_claimed;
mod scheduler;
mod shutdown_api;
pub mod signals;
mod tasks;
mod teardown;
mod tokio_check;

pub use self::app::Durable;
#[doc(hidden)]
pub use self::app::config_error;
pub use self::builder::Builder;
pub use self::env::duration_variable;
pub use self::readiness::Readiness;
pub use self::report::{
    Killed, PhaseReport, PoolReport, ShutdownOutcome, ShutdownReport, Stuck, StuckKind, Suspended, TaskOutcome,
    TaskReport,
};
pub use self::teardown::{ShutdownOptions, ShutdownReason};
