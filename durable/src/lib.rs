//! Durable execution for Rust, as a library.
//!
//! Annotate async functions with `#[workflow]` and `#[step]`. Every result is stored in SQLite (a file
//! beside your program, the default) or Postgres. A program that crashes, is killed or is deployed again
//! continues where it stopped.
//!
//! ```no_run
//! use durable::prelude::*;
//!
//! /// Any side effect. Runs once; its result is recorded and replayed.
//! #[step(retries = 10)]
//! async fn call_external_api(data: &str) -> Result<String> {
//!     Ok(format!("reply to {data}")) // for example an HTTP call
//! }
//!
//! #[step]
//! async fn process_result(reply: String) -> String {
//!     reply.to_uppercase()
//! }
//!
//! #[workflow]
//! async fn my_workflow(input: String) -> Result<String> {
//!     let reply = call_external_api(&input).await?;
//!     Ok(process_result(reply).await)
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let app = Durable::launch("my-app").await?; // the file my-app.sqlite, or DURABLE_DATABASE_URL
//!     println!("{}", my_workflow("hello".into()).await?);
//!     app.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # What to know
//!
//! * A **workflow** is ordinary code that makes the same calls in the same order whenever it is run
//!   with the same results. I/O, the time and random numbers belong in steps.
//! * A **step** is any side effect. It happens at least once; its result is recorded once, and it
//!   never runs again after that.
//! * A **call** is a value: await it, or set options first, as in `my_workflow(x).id("order-1").await?`.
//! * The engine belongs to the process: [`Durable::launch`] once, [`Durable::shutdown`] at the end.
//!
//! | attribute | on | what it does |
//! |---|---|---|
//! | [`#[workflow]`](macro@workflow) | an async function | makes it durable: recorded, and continued after a crash |
//! | [`#[step]`](macro@step) | a function or method | records its result |
//! | [`#[transaction]`](transaction) | a function that takes a connection | commits its SQL and the record together |
//! | [`#[scheduled]`](scheduled) | a workflow of two times | starts it at the times of a crontab expression |
//! | [`#[queue]`](macro@queue) | a static of the type [`Queue`] | makes it a queue of workflows, with limits |
//! | [`#[durable::test]`](macro@test) | an async test | launches an engine for it |
//!
//! | in a workflow's body | what it does |
//! |---|---|
//! | [`durable::join!`](join!) | runs several futures concurrently |
//! | [`durable::map`](map) | runs a future for each of many items, a limited number at once |
//! | [`durable::spawn`](spawn) | runs a future concurrently with the rest of the body |
//! | [`durable::select!`](select!) | waits for the first of several futures, and records which it was |
//! | [`durable::now`](now), [`durable::uuid`](uuid), [`durable::random`](random) | the time, an id, a random number: recorded |

pub use durable_core::signals;
pub use durable_core::{
    AbortReason, ApplicationDatabase, BranchHandle, Builder, Bulk, BulkCall, BulkReport, CancelCall, Cancellation,
    CheckVerdict, Client, ClientBuilder, CurrentActivity, Cursor, DeployReport, Diagnosis, DiagnosisCheck, Durable,
    EnginePhase, EnqueueCall, Error, ErrorKind, EventInfo, EventValue, ExecutorState, Filter, ForkCall, ForkFrom,
    FromClosure, FromFuture, FunctionDeploy, GroupBy, GroupCount, History, HistoryEvent, HistoryMessage, HistoryStep,
    HistoryStreamItem, HistoryWorkflow, InlineStep, Instance, InvalidPosition, Killed, ListedExecutor, Location, Map,
    MessageInfo, Misfire, OperationName, Overlap, Page, Payload, PhaseReport, PoolReport, Position, Queue,
    QueueBacklog, QueueInfo, QueueLimits, Readiness, RecvCall, ReleasedWorkflows, ReplayOutcome, ReplayReport, Result,
    Retention, RetentionGroup, RetentionReport, RoleAccess, RunRetention, RunUntilIdle, ScheduleCall, ScheduleInfo,
    SendCall, ShutdownOptions, ShutdownOutcome, ShutdownReason, ShutdownReport, Status, StepCall, StepInfo, StepStatus,
    Stopping, StreamItemInfo, StreamReader, Stuck, StuckKind, Suspended, TaskOutcome, TaskReport, ThroughputBucket,
    TraceContext, TransactionCall, UnknownStatus, UntakenWork, VersionInfo, VersionPolicy, WorkflowCall,
    WorkflowCounts, WorkflowHandle, WorkflowInfo, aborted, backfill_schedule, bulk, cancel_workflow, cancellation,
    close_stream, count_workflows, delete_schedule, delete_workflow, deprecate_patch, event_history, export_workflow,
    fork_workflow, get_event, idempotency_key, import_workflow, list_events, list_messages, list_queues,
    list_schedules, list_steps, list_stream_items, list_workflows, map, move_to_queue, now, patch, pause_schedule,
    queue_backlog, random, read_stream, recv, restart_workflow, resume_schedule, resume_workflow, retrieve_workflow,
    run_retention, send, set_delay, set_event, set_labels, set_priority, should_abort, sleep, sleep_until, spawn,
    state, step, step_status, throughput, trigger_schedule, uuid, verify_replay, verify_replays, versions, wait_all,
    wait_first, workflow, workflow_id, write_stream,
};
#[cfg(feature = "testing")]
pub use durable_core::{Mock, MockFunction, StepFunction};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use durable_core::{Outbox, OutboxConnection, send_in};
pub use durable_macros::{instance, queue, scheduled, step, test, transaction, workflow};
/// The database driver, for the connections of transactions and the pools of the builder.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;

#[cfg(feature = "axum")]
pub mod axum;
mod branches;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "dashboard")]
mod conditions;
#[cfg(feature = "dashboard")]
mod error_scope;
#[cfg(feature = "metrics")]
pub mod metrics;
mod test_app;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::test_app::TestApp;

/// What most programs need: `use durable::prelude::*;`. It is the same with every set of features, apart from the trait
/// with the options of `axum::dashboard`.
pub mod prelude {
    pub use std::time::Duration;

    pub use chrono::{DateTime, Utc};

    pub use crate::{
        Durable, Error, Filter, Instance, Queue, Result, ShutdownOptions, Status, TestApp, WorkflowHandle,
    };
    // The methods of a dashboard's router.
    #[cfg(feature = "dashboard")]
    pub use crate::axum::DashboardRouter;
    // For tests.
    pub use crate::{assert_enqueued, assert_replays, assert_scheduled};
    // The attributes alone: `durable::step` is also a function.
    pub use durable_macros::{queue, scheduled, step, transaction, workflow};
}

/// The call of a workflow that returns `R`: `WorkflowCallOf<Result<T, E>>` is [`WorkflowCall<T, E>`](WorkflowCall).
///
/// `#[workflow]` writes this type where the error type is not written in the function's signature, as in `Result<T>`.
pub type WorkflowCallOf<R> = WorkflowCall<<R as __private::Returned>::Ok, <R as __private::Returned>::Err>;

// Not public API. Used by generated code.
#[doc(hidden)]
pub use durable_core::__private;
#[doc(hidden)]
pub mod __private_macros {
    pub use durable_macros::{join, select};
}

#[cfg(all(
    doctest,
    feature = "sqlite",
    feature = "postgres",
    feature = "testing",
    feature = "axum",
    feature = "cli",
    feature = "metrics"
))]
mod documents;
