//! The engine of `durable`: stores, journal, execution, teardown. Applications depend on the crate
//! `durable`, which re-exports what they need.
//!
//! The modules, from the lowest; a lower one never imports a higher one, which a test of the workspace
//! checks:
//!
//! | module | what |
//! |---|---|
//! | `types` | types and pure functions for all other modules |
//! | `store` | the traits of a database, and the databases |
//! | `registry` | the workflows, queues and schedules of the program |
//! | `wait` | timers, waits for other workflows, the shutdown phase |
//! | `queue_state` | how many workflows of each queue run here |
//! | `writer` | the task that batches writes |
//! | `runtime` | what the tasks of one engine share |
//! | `journal` | the records of one execution |
//! | `operations` | the durable operations |
//! | `engine` | launch, recovery, scheduling, shutdown |

#![cfg_attr(feature = "testing", warn(unnameable_types))]

#[doc(hidden)]
pub mod __private;
mod engine;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzz_targets;
mod journal;
mod operations;
mod queue_state;
mod registry;
mod runtime;
#[cfg(all(test, shuttle))]
mod shuttle_models;
#[cfg(not(feature = "testing"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "tests use all of it, and then it is public")]
mod store;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod store;
mod types;
mod wait;
mod writer;

#[doc(hidden)]
pub use engine::duration_variable;
pub use engine::signals;
pub use engine::{
    Builder, Client, ClientBuilder, Durable, Killed, PhaseReport, PoolReport, Readiness, RunUntilIdle, ShutdownOptions,
    ShutdownOutcome, ShutdownReason, ShutdownReport, Stopping, Stuck, StuckKind, Suspended, TaskOutcome, TaskReport,
    UntakenWork,
};
#[cfg(feature = "testing")]
#[doc(hidden)]
pub use journal::current_engine::EngineScope;
pub use operations::admin::{
    count_workflows, list_events, list_messages, list_steps, list_stream_items, list_workflows, versions, workflow,
};
pub use operations::bulk::{Bulk, BulkCall, bulk};
pub use operations::bulk_request::BulkReport;
#[doc(hidden)]
pub use operations::bulk_run::{BULK_NAME, PROGRESS_EVENT};
pub use operations::cancel::{CancelCall, cancel_workflow};
pub use operations::change::{delete_workflow, move_to_queue, resume_workflow, set_delay, set_labels, set_priority};
pub use operations::enqueue_call::EnqueueCall;
pub use operations::events::{EventValue, event_history, get_event, set_event};
pub use operations::export_import::{export_workflow, import_workflow};
pub use operations::fork::{ForkCall, ForkFrom, fork_workflow, restart_workflow};
pub use operations::inline_step::{FromClosure, FromFuture, InlineStep, step};
pub use operations::map::{Map, map};
#[cfg(feature = "testing")]
pub use operations::mock::{Mock, MockFunction};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use operations::outbox::send_in;
pub use operations::patch::{deprecate_patch, patch};
pub use operations::queue_admin::{QueueInfo, QueueLimits, list_queues};
pub use operations::queue_backlog::{QueueBacklog, queue_backlog};
pub use operations::recv::{RecvCall, recv};
pub use operations::retention_run::{RunRetention, run_retention};
pub use operations::schedule_admin::{
    ScheduleInfo, backfill_schedule, delete_schedule, list_schedules, pause_schedule, resume_schedule, trigger_schedule,
};
pub use operations::schedule_call::ScheduleCall;
pub use operations::send::{SendCall, send};
pub use operations::side_effects::{now, random, uuid};
pub use operations::sleep::{sleep, sleep_until};
pub use operations::spawn::{BranchHandle, spawn};
pub use operations::step::StepCall;
pub use operations::step_context::{
    AbortReason, Cancellation, StepStatus, aborted, cancellation, idempotency_key, should_abort, state, step_status,
    workflow_id,
};
#[cfg(feature = "testing")]
pub use operations::step_function::StepFunction;
pub use operations::streams::{StreamReader, close_stream, read_stream, write_stream};
pub use operations::throughput::{ThroughputBucket, throughput};
pub use operations::transaction::TransactionCall;
pub use operations::verify_replay::{verify_replay, verify_replays};
pub use operations::wait_many::{wait_all, wait_first};
pub use operations::workflow_call::WorkflowCall;
pub use operations::workflow_handle::{WorkflowHandle, retrieve_workflow};
#[cfg(feature = "testing")]
#[doc(hidden)]
pub use registry::registered_name;
pub use registry::{Instance, Misfire, Overlap, Queue};
pub use store::{ApplicationDatabase, Location, ReleasedWorkflows, RoleAccess};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use store::{Outbox, OutboxConnection};
pub use types::diagnosis::{CheckVerdict, Diagnosis, DiagnosisCheck};
#[doc(hidden)]
pub use types::error::config_error;
pub use types::error::{Error, ErrorKind, Result};
pub use types::executor_listing::{ExecutorState, ListedExecutor};
pub use types::filter::Filter;
pub use types::history::{History, HistoryEvent, HistoryMessage, HistoryStep, HistoryStreamItem, HistoryWorkflow};
pub use types::listing::{CurrentActivity, EventInfo, MessageInfo, StepInfo, StreamItemInfo, WorkflowInfo};
#[cfg(feature = "metrics")]
pub use types::metrics::metric_list::{METRICS, Metric, MetricKind, describe_metrics};
pub use types::page::{Cursor, GroupBy, GroupCount, Page, WorkflowCounts};
pub use types::payload::Payload;
pub use types::position::{InvalidPosition, Position};
pub use types::replay_report::{OperationName, ReplayOutcome, ReplayReport};
pub use types::retention::{Retention, RetentionGroup, RetentionReport};
pub use types::status::{Status, UnknownStatus};
pub use types::trace_context::TraceContext;
pub use types::version_policy::{DeployReport, FunctionDeploy, VersionInfo, VersionPolicy};
pub use wait::shutdown_phase::EnginePhase;
