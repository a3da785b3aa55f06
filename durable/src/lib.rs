//! Durable execution for Rust, as a library.
//!
//! Annotate async functions with `#[workflow]` and `#[step]`. Every result is kept in SQLite (a file
//! beside your program, the default) or Postgres, so that a program that crashes, is killed, or is
//! deployed anew goes on exactly where it stopped.
//!
//! ```no_run
//! use durable::prelude::*;
//!
//! /// Any side effect. Runs once; its result is recorded and replayed.
//! #[step(retries = 10)]
//! async fn call_external_api(data: &str) -> Result<String> {
//!     Ok(format!("reply to {data}")) // an HTTP call, say
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
//!   with the same results. What it must not do itself (I/O, time, chance) goes into steps.
//! * A **step** is any side effect. It happens at least once; its result is recorded once, and it
//!   never runs again after that.
//! * A **call** is a value: await it, or set options first, as in `my_workflow(x).id("order-1").await?`.
//! * The engine belongs to the process: [`Durable::launch`] once, [`Durable::shutdown`] at the end.
//!
//! | attribute | on | what it does |
//! |---|---|---|
//! | [`#[workflow]`](workflow) | an async function | makes it durable: recorded, recovered, replayed |
//! | [`#[step]`](macro@step) | a function or method | records what it returns |
//! | [`#[transaction]`](transaction) | a function that takes a connection | commits its SQL and the record together |
//! | [`#[scheduled]`](scheduled) | a workflow of two times | starts it by the clock, as crontab does |
//! | [`#[queue]`](macro@queue) | a static of the type [`Queue`] | lets workflows wait on it for their turn |
//! | [`#[durable::test]`](macro@test) | an async test | gives it an engine of its own |
//!
//! | in a workflow's body | what it does |
//! |---|---|
//! | [`durable::join!`](join!) | several parts at the same time, and all of their results |
//! | [`durable::map`](map) | the same for many items, so many at once |
//! | [`durable::spawn`](spawn) | a part beside the rest of the body |
//! | [`durable::select!`](select!) | the first of several, recorded |
//! | [`durable::now`](now), [`durable::uuid`](uuid), [`durable::random`](random) | asked once, recorded |

pub use durable_core::signals;
pub use durable_core::{
    AbortReason, BranchHandle, Builder, CancelCall, Cancellation, Durable, EnginePhase, Error, ErrorKind, EventValue,
    Filter, Map, Misfire, Overlap, Payload, PhaseReport, Position, QueueInfo, QueueLimits, Readiness, RecvCall, Result,
    ScheduleCall, ScheduleInfo, SendCall, ShutdownOptions, ShutdownOutcome, ShutdownReason, ShutdownReport, Status,
    StepCall, StepInfo, StepStatus, StreamReader, Suspended, TransactionCall, UnknownStatus, WorkflowCall,
    WorkflowHandle, WorkflowInfo, aborted, backfill_schedule, cancel_workflow, cancellation, close_stream,
    delete_schedule, event_history, get_event, idempotency_key, list_queues, list_schedules, list_steps,
    list_workflows, map, now, pause_schedule, random, read_stream, recv, resume_schedule, retrieve_workflow, send,
    set_event, should_abort, sleep, sleep_until, spawn, step_status, trigger_schedule, uuid, wait_all, wait_first,
    write_stream,
};
pub use durable_core::{Instance, Killed, PoolReport, Queue, Stuck, StuckKind, TaskOutcome, TaskReport, state, step};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use durable_core::{Outbox, send_in};
pub use durable_macros::{instance, queue, scheduled, step, test, transaction, workflow};
/// The databases' driver, for the connections of transactions and the pools of the builder.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;

#[cfg(feature = "axum")]
pub mod axum;
mod branches;
#[cfg(feature = "testing")]
pub mod testing;

/// What most programs need: `use durable::prelude::*;`.
pub mod prelude {
    pub use std::time::Duration;

    pub use chrono::{DateTime, Utc};

    #[cfg(feature = "testing")]
    pub use crate::testing::TestApp;
    pub use crate::{Durable, Error, Filter, Instance, Queue, Result, ShutdownOptions, Status, WorkflowHandle};
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

#[cfg(all(doctest, feature = "sqlite", feature = "postgres", feature = "testing", feature = "axum"))]
mod documents;
