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

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable_core::ShutdownOptions;

use self::test_engine::TestEngine;
pub use crate::TestApp;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod crash_everywhere;
mod crashes;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod observation;
#[cfg(feature = "postgres")]
#[doc(hidden)]
pub mod server;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "without a store no workflow is crashed at each of its commits")
)]
pub(crate) mod test_engine;

/// Not public API. Used by generated code.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct TestOptions {
    /// The test's path.
    pub name: &'static str,
    /// Whether it runs on Postgres.
    pub postgres: bool,
}

type TestBody<R> = Pin<Box<dyn Future<Output = R>>>;

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn run<R>(options: TestOptions, body: impl FnOnce(TestApp) -> TestBody<R>) -> R {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a test can start a runtime");
    let result = runtime.block_on(run_on(options, body));
    let left = result.as_ref().map_or(0, |_| tasks_left(&runtime));
    // A body that blocks its thread must not delay the other tests.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(value) => {
            assert!(left == 0, "{}: {left} tasks were still alive after the shutdown", options.name);
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

async fn run_on<R>(options: TestOptions, body: impl FnOnce(TestApp) -> TestBody<R>) -> std::thread::Result<R> {
    let engine = Arc::new(TestEngine::launch(options).await);
    let test = TestApp { engine: Arc::clone(&engine) };
    let scoped = engine.run(async move { body(test).await });
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
