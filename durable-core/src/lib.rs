//! The engine of `durable`: stores, journal, execution, teardown. Applications depend on the crate
//! `durable`, which re-exports what they need.
//!
//! The floors, from the ground up; a lower one never imports a higher one, and a test of the
//! workspace says so:
//!
//! | floor | modules | what |
//! |---|---|---|
//! | 0 | `types` | types and pure functions that everything speaks with |
//! | 1 | [`store`], `registry` | what is asked of a database, and the databases; the workflows by name |
//! | 2 | `journal` | what an execution knows and how it is written down |
//! | 3 | `operations` | the durable operations |
//! | 4 | `engine` | launch, recovery, shutdown |

#[doc(hidden)]
pub mod __private;
mod engine;
mod journal;
mod operations;
mod queue_state;
mod registry;
mod runtime;
pub mod store;
mod types;
mod wait;
mod writer;

pub use engine::signals;
pub use engine::{
    Builder, Durable, Killed, PhaseReport, PoolReport, Readiness, ShutdownOptions, ShutdownOutcome, ShutdownReason,
    ShutdownReport, Stuck, StuckKind, Suspended, TaskOutcome, TaskReport,
};
#[doc(hidden)]
pub use engine::{config_error, duration_variable};
pub use operations::admin::{CancelCall, cancel_workflow, list_steps, list_workflows};
pub use operations::events::{EventValue, event_history, get_event, set_event};
pub use operations::map::{Map, map};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use operations::outbox::send_in;
pub use operations::queue_admin::{QueueInfo, QueueLimits, list_queues};
pub use operations::recv::{RecvCall, recv};
pub use operations::schedule_admin::{
    ScheduleCall, ScheduleInfo, backfill_schedule, delete_schedule, list_schedules, pause_schedule, resume_schedule,
    trigger_schedule,
};
pub use operations::send::{SendCall, send};
pub use operations::side_effects::{now, random, uuid};
pub use operations::sleep::{sleep, sleep_until};
pub use operations::spawn::{BranchHandle, spawn};
pub use operations::step::{StepCall, inline as step};
pub use operations::step_context::{
    AbortReason, Cancellation, StepStatus, aborted, cancellation, idempotency_key, should_abort, state, step_status,
};
pub use operations::streams::{StreamReader, close_stream, read_stream, write_stream};
pub use operations::transaction::TransactionCall;
pub use operations::wait_many::{wait_all, wait_first};
pub use operations::workflow_call::WorkflowCall;
pub use operations::workflow_handle::{WorkflowHandle, retrieve_workflow};
pub use registry::{Instance, Misfire, Overlap, Queue};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use store::Outbox;
pub use types::error::{Error, ErrorKind, Result};
pub use types::listing::{Filter, StepInfo, WorkflowInfo};
pub use types::payload::Payload;
pub use types::position::Position;
pub use types::status::{Status, UnknownStatus};
pub use wait::shutdown_phase::EnginePhase;
