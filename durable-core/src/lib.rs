//! The engine of `durable`: stores, journal, execution, teardown. Applications depend on the crate
//! `durable`, which re-exports what they need.
//!
//! The floors, from the ground up; a lower one never imports a higher one, and a test of the
//! workspace says so:
//!
//! | floor | modules | what |
//! |---|---|---|
//! | 0 | `words` | types and pure functions that everything speaks with |
//! | 1 | [`store`], `registry` | what is asked of a database, and the databases; the workflows by name |
//! | 2 | `journal` | what an execution knows and how it is written down |
//! | 3 | `verbs` | the durable operations |
//! | 4 | `engine` | launch, recovery, shutdown |

#[doc(hidden)]
pub mod __private;
mod engine;
mod journal;
mod registry;
pub mod store;
mod verbs;
mod words;

pub use engine::signals;
pub use engine::{
    Builder, Durable, Killed, PhaseReport, PoolReport, Readiness, ShutdownOptions, ShutdownReason, ShutdownReport,
    ShutdownState, Stuck, StuckKind, Suspended, TaskOutcome, TaskReport,
};
#[doc(hidden)]
pub use engine::{config_error, duration_variable};
pub use journal::level::Level;
pub use registry::{Instance, Misfire, Overlap, Queue};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use store::Outbox;
pub use verbs::call::WorkflowCall;
pub use verbs::event::{EventValue, event_history, get_event, set_event};
pub use verbs::handle::{WorkflowHandle, retrieve_workflow};
pub use verbs::inside::{
    AbortReason, Cancellation, StepStatus, aborted, cancellation, idempotency_key, should_abort, state, step_status,
};
pub use verbs::manage::{CancelCall, cancel_workflow, list_steps, list_workflows};
pub use verbs::map::{Map, map};
pub use verbs::once::{now, random, uuid};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use verbs::outbox::send_in;
pub use verbs::queues::{Limits, QueueInfo, list_queues};
pub use verbs::recv::{RecvCall, recv};
pub use verbs::schedules::{
    ScheduleCall, ScheduleInfo, backfill_schedule, delete_schedule, list_schedules, pause_schedule, resume_schedule,
    trigger_schedule,
};
pub use verbs::send::{SendCall, send};
pub use verbs::several::{wait_all, wait_first};
pub use verbs::sleep::{sleep, sleep_until};
pub use verbs::spawn::{BranchHandle, spawn};
pub use verbs::step::{StepCall, inline as step};
pub use verbs::stream::{StreamReader, close_stream, read_stream, write_stream};
pub use verbs::transaction::TransactionCall;
pub use words::error::{Error, ErrorKind, Result};
pub use words::info::{Filter, StepInfo, WorkflowInfo};
pub use words::payload::Payload;
pub use words::position::Position;
pub use words::status::Status;
