//! Tests of applications: [`#[durable::test]`](macro@crate::test) launches an engine for each test.
//!
//! ```
//! use durable::prelude::*;
//!
//! #[step]
//! async fn price(item: String) -> u32 {
//!     item.len() as u32
//! }
//!
//! #[workflow]
//! async fn quote(items: Vec<String>) -> Result<u32> {
//!     let mut sum = 0;
//!     for item in items {
//!         sum += price(item).await;
//!     }
//!     Ok(sum)
//! }
//!
//! #[durable::test]
//! async fn quotes_add_up(app: TestApp) {
//!     let handle = quote(vec!["tea".into(), "milk".into()]).id("q1").start().await.unwrap();
//!     assert_eq!(handle.result().await.unwrap(), 7);
//!     assert_eq!(app.list_steps("q1").await.unwrap().len(), 2);
//! }
//! # fn main() {}
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable_core::{Builder, Filter, ShutdownOptions, Status};

pub use self::assertions::{EnqueuedAssertion, QueueName, ScheduledAssertion, function_of};
pub use self::recorded::RecordedHistory;
pub use self::replays::assert_replays;
pub use self::set_up::{SetUp, no_set_up, set_up};
use self::test_engine::TestEngine;
pub use crate::TestApp;

#[cfg(feature = "postgres")]
mod application_schema;
mod assertions;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod crash_everywhere;
mod crashes;
mod drain_queues;
mod mock;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod observation;
mod recorded;
mod replays;
mod set_up;

#[cfg(feature = "postgres")]
#[doc(hidden)]
pub mod server;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "without a store no workflow is crashed at each of its commits")
)]
pub(crate) mod test_engine;
mod time;

tokio::task_local! {
    static RUNNING: TestApp;
}

/// The engine of the running test, for helpers and fixtures that do not get it as an argument.
///
/// # Panics
/// It is called outside of a test, or in a task that the test has spawned.
#[must_use]
pub fn app() -> TestApp {
    let Ok(app) = RUNNING.try_with(Clone::clone) else {
        panic!("no test with an engine runs here: call this in the task of a `#[durable::test]`, or pass its `app` on")
    };
    app
}

/// Runs a test with an engine of its own, on SQLite in memory, where the attribute cannot be used: in a case of
/// `proptest!`, for instance. It returns what the body returns.
///
/// # Panics
/// As `#[durable::test]`: the body panics, takes longer than a minute, or leaves something behind.
///
/// # Example
///
/// ```standalone_crate
/// # use durable::prelude::*;
/// #[workflow]
/// async fn doubles(number: u32) -> Result<u64> {
///     Ok(u64::from(number) * 2)
/// }
///
/// for number in [1, 7, u32::MAX] {
///     let doubled = durable::testing::block_on(|_app| async move { doubles(number).await.unwrap() });
///     assert_eq!(doubled / 2, u64::from(number));
/// }
/// ```
pub fn block_on<R, F: Future<Output = R> + 'static>(body: impl FnOnce(TestApp) -> F) -> R {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let options = TestOptions { name: name.into(), postgres: false, timeout: None, builder: same_builder };
    run(options, no_set_up, |app| Box::pin(body(app)))
}

/// Not public API. Used by generated code.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct TestOptions {
    /// The test's path.
    pub name: Cow<'static, str>,
    /// Whether it runs on Postgres.
    pub postgres: bool,
    /// How long it may take; `None` is [`DEFAULT_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// What is changed of the engine before each launch.
    pub builder: fn(Builder) -> Builder,
}

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn same_builder(builder: Builder) -> Builder {
    builder
}

/// How long a test may take that does not say otherwise, with its setup.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

type TestBody<R> = Pin<Box<dyn Future<Output = R>>>;

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn run<R>(
    options: TestOptions,
    set_up: impl FnOnce(TestApp) -> TestBody<()>,
    body: impl FnOnce(TestApp) -> TestBody<R>,
) -> R {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a test can start a runtime");
    let name = options.name.clone();
    let result = runtime.block_on(run_on(options, set_up, body));
    let left = result.as_ref().map_or(0, |_| tasks_left(&runtime));
    // A body that blocks its thread must not delay the other tests.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(value) => {
            assert!(
                left == 0,
                "{name}: tasks are still running after the shutdown: {left}; await or abort what the test has spawned, and close pools of its own"
            );
            value
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// How many tasks are alive. A task that has just ended is counted for a moment longer, without a
/// signal when it no longer is.
fn tasks_left(runtime: &tokio::runtime::Runtime) -> usize {
    let patience = Instant::now() + Duration::from_secs(2);
    loop {
        let alive = runtime.metrics().num_alive_tasks();
        if alive == 0 || Instant::now() > patience {
            return alive;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn run_on<R>(
    options: TestOptions,
    set_up: impl FnOnce(TestApp) -> TestBody<()>,
    body: impl FnOnce(TestApp) -> TestBody<R>,
) -> std::thread::Result<R> {
    let engine = Arc::new(TestEngine::launch(options.clone()).await);
    let test = TestApp { engine: Arc::clone(&engine) };
    let whole = async {
        set_up(test.clone()).await;
        body(test.clone()).await
    };
    let (limit, began) = (options.timeout.unwrap_or(DEFAULT_TIMEOUT), Instant::now());
    let scoped = engine.run(RUNNING.scope(test.clone(), async {
        tokio::select! {
            biased;
            value = whole => {
                let took = began.elapsed();
                assert!(took <= limit, "{} took {took:.1?}, and {limit:?} are allowed: it blocked its thread, so it could not be ended", options.name);
                value
            }
            message = engine.standstill() => panic!("{}: {message}", options.name),
            () = tokio::time::sleep(limit) => panic!("{}", took_too_long(&options, limit, &test).await),
        }
    }));
    let result = CatchUnwind(Box::pin(scoped)).await;
    // After a failed test leftovers are expected, so they are not checked.
    let patience = if result.is_ok() { ShutdownOptions::default() } else { ShutdownOptions::immediate() };
    let report = engine.finish(patience).await;
    if let (Ok(_), Some(report)) = (&result, report) {
        assert!(report.stuck.is_empty(), "{}: {report}", options.name);
        assert!(report.unfinished_tasks().is_empty() && report.is_closed(), "{}: {report}", options.name);
    }
    result
}

/// Why a test fails that did not end in time.
async fn took_too_long(options: &TestOptions, limit: Duration, app: &TestApp) -> String {
    let mut message = format!(
        "{} did not end within {limit:?}; unless it needs longer (`#[durable::test(timeout = \"5m\")]`), it waits for something that does not happen, or does something without an end",
        options.name
    );
    let unfinished = [Status::Pending, Status::Enqueued, Status::Delayed, Status::Parked];
    let filter = unfinished.into_iter().fold(Filter::new().limit(10), Filter::status);
    let listed = app.list_workflows(filter).await;
    for workflow in listed.into_iter().flatten() {
        let steps = app.list_steps(&workflow.id).await.unwrap_or_default();
        let last = steps.last().map_or_else(String::new, |it| format!(", after the {} `{}`", it.kind, it.name));
        let now: Vec<_> = app.activities(&workflow.id).into_iter().map(|it| it.what).collect();
        let now = if now.is_empty() { String::new() } else { format!(", now {}", now.join("; ")) };
        let reason = workflow.reason.map_or_else(String::new, |it| format!(": {it}"));
        let (name, id, status) = (workflow.name, workflow.id, workflow.status);
        let _ = write!(message, "\n  {name} {id:?} is {status}{last}{now}{reason}"); // a String takes everything
    }
    message
}

/// Catches the panic of a test, so that the engine is shut down before the panic continues.
struct CatchUnwind<F>(Pin<Box<F>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = std::thread::Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    }
}
