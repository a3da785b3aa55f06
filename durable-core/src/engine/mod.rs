//! The engine: launch, heartbeat, recovery, queues, schedules and shutdown.
//!
//! Logs go to [`tracing`] with the target `durable`, and those of a shutdown with `durable::shutdown`. They
//! hold ids and names, never payloads and never passwords. A field has one name everywhere:
//!
//! | field | meaning |
//! |---|---|
//! | `app` | the application's name |
//! | `attempts` | how often something was tried in a row |
//! | `database` | the location of the database, without the password |
//! | `elapsed` | how long something took |
//! | `error` | the error, as text |
//! | `executor_id` | the name of an executor |
//! | `panic` | the message and location of a panic |
//! | `phase` | a phase of the shutdown |
//! | `queue` | the name of a queue |
//! | `schedule` | the name of a schedule |
//! | `signal` | a signal that the process received |
//! | `task` | the name of one of the engine's own tasks |
//! | `workflow` | the name of a workflow's function |
//! | `workflow_id` | the id of a workflow |
//! | `workflows` | a number of workflows |

mod app_tasks;
mod build_version;
mod builder;
mod client;
mod client_builder;
mod client_operations;
mod control_api;
mod deploy_check;
mod dispatcher;
mod durable;
mod env;
mod executor_identity;
#[cfg(feature = "metrics")]
mod gauge_updates;
mod heartbeat;
mod idle;
mod launch;
mod launch_patience;
mod listener;
mod lock_file;
mod lock_file_check;
mod lock_file_watch;
mod notifier;
mod operations_api;
mod poller;
mod readiness;
mod recovery;
mod report;
mod report_text;
mod retention_task;
mod run_claimed;
mod scheduler;
mod shared_api;
mod shutdown_api;
pub mod signals;
#[cfg(feature = "testing")]
mod standstill;
mod suspects;
mod tasks;
mod teardown;
mod tokio_check;
mod transaction_check;
#[cfg(feature = "testing")]
mod virtual_time;
mod waiting_work_check;

pub use self::app_tasks::Stopping;
pub use self::builder::Builder;
pub use self::client::Client;
pub use self::client_builder::ClientBuilder;
pub use self::durable::Durable;
pub use self::env::duration_variable;
pub use self::readiness::Readiness;
pub use self::report::{
    Killed, PhaseReport, PoolReport, ShutdownOutcome, ShutdownReport, Stuck, StuckKind, Suspended, TaskOutcome,
    TaskReport,
};
pub use self::shutdown_api::RunUntilIdle;
pub use self::teardown::{ShutdownOptions, ShutdownReason};
pub use self::waiting_work_check::UntakenWork;
