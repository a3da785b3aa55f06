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
use std::time::{Duration, Instant};

use durable_core::{Durable, ShutdownOptions};

pub use crate::TestApp;

#[cfg(feature = "postgres")]
#[doc(hidden)]
pub mod server;
mod time;

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
    let database = TestDatabase::of(options);
    let app = launch(&database, options).await;
    let test = TestApp { app: app.clone() };
    let standstill = app.clone();
    let scoped = app.scope(async move {
        tokio::select! {
            biased;
            value = body(test) => value,
            message = standstill.standstill() => panic!("{}: {message}", options.name),
        }
    });
    let result = CatchUnwind(Box::pin(scoped)).await;
    // After a failed test leftovers are expected, so they are not checked.
    let patience = if result.is_ok() { ShutdownOptions::default() } else { ShutdownOptions::immediate() };
    let report = app.shutdown_with(patience).await;
    database.clear().await;
    if result.is_ok() {
        assert!(report.stuck.is_empty(), "{}: {report}", options.name);
        assert!(report.unfinished_tasks().is_empty() && report.is_closed(), "{}: {report}", options.name);
    }
    result
}

async fn launch(database: &TestDatabase, options: TestOptions) -> Durable {
    let builder = Durable::builder(options.name.replace("::", ".")).application_version("test");
    let builder = builder.system_database(&database.url).schema(&database.schema);
    builder
        .accept_other_transactions()
        .virtual_time()
        .launch()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", options.name))
}

/// The database of one test, which no other test uses.
struct TestDatabase {
    url: String,
    schema: String,
    postgres: bool,
}

impl TestDatabase {
    fn of(options: TestOptions) -> Self {
        if !options.postgres {
            return Self { url: "sqlite::memory:".to_owned(), schema: "durable".to_owned(), postgres: false };
        }
        #[cfg(feature = "postgres")]
        return Self { url: server::url(), schema: server::fresh_schema(), postgres: true };
        #[cfg(not(feature = "postgres"))]
        panic!("{}: a test on Postgres needs the feature `postgres` of durable", options.name)
    }

    async fn clear(&self) {
        if self.postgres {
            let store = durable_core::store::open(&self.url, &self.schema).await.expect("the server was there before");
            store.drop_everything().await.expect("the test's schema can be dropped");
            store.close().await;
        }
    }
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
