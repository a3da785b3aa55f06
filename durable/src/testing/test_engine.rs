//! The engine of one test: the database that it is launched on, and launched again on after a crash.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use durable_core::store::{FaultPlan, FaultyStore, Store, StoreSettings};
use durable_core::{Durable, EngineScope, ShutdownOptions, ShutdownReport};
use tokio::sync::watch;

use super::TestOptions;
#[cfg(feature = "postgres")]
use super::application_schema::ApplicationSchema;

/// How long the connections have to close after a crash.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The engine of one test.
#[derive(Debug)]
pub(crate) struct TestEngine {
    options: TestOptions,
    database: TestDatabase,
    /// Open as long as the test runs, so that a database in memory survives a crash.
    store: Arc<dyn Store>,
    /// The first process; each has the next one.
    first: TestProcess,
    /// What the test's own task calls.
    scope: Arc<EngineScope>,
    /// Notes each further launch.
    launched: watch::Sender<()>,
}

/// What would be a process outside of a test: an engine, and its access to the database, which ends with a crash.
#[derive(Debug)]
pub(crate) struct TestProcess {
    pub(super) app: Durable,
    pub(super) store: Arc<FaultyStore>,
    next: OnceLock<Box<TestProcess>>,
}

impl TestProcess {
    /// What time has led to in this process. If the process dies meanwhile, there is nothing to return.
    pub(super) async fn alive<T>(&self, moved: Result<T, String>) -> T {
        match moved {
            Ok(moved) => moved,
            Err(_) if self.store.is_dead() => std::future::pending().await,
            Err(message) => panic!("{message}"),
        }
    }

    /// Ends the process as SIGKILL would: nothing more is written, and everything that runs is dropped.
    pub(super) async fn crash(&self) {
        self.store.kill();
        self.app.drop_everything().await;
    }
}

impl TestEngine {
    pub(super) async fn launch(options: TestOptions) -> Self {
        let database = TestDatabase::of(&options).await;
        let settings = StoreSettings { moves_clock: true, ..StoreSettings::default() };
        let opened = durable_core::store::open_with(&database.url, &database.schema, settings).await;
        let store = opened.unwrap_or_else(|error| panic!("{}: {error}", options.name));
        let first = process(&options, &database, &store, FaultPlan::default(), None).await;
        let scope = first.app.replaceable_scope();
        Self { options, database, store, first, scope, launched: watch::Sender::new(()) }
    }

    /// Runs the test's own task.
    pub(super) fn run<F: Future>(&self, test: F) -> impl Future<Output = F::Output> + use<F> {
        self.scope.run(test)
    }

    /// The process that was started last.
    pub(super) fn process(&self) -> &TestProcess {
        let mut last = &self.first;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }

    /// The engine that was launched last.
    pub(crate) fn app(&self) -> &Durable {
        &self.process().app
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(super) fn schema(&self) -> &str {
        &self.database.schema
    }

    /// Starts a process beside the test's own one, which has crashed.
    pub(super) async fn start_process(&self, plan: FaultPlan) -> TestProcess {
        // The clock of the database stands still if the last one crashed while it moved it.
        let goes_on = self.store.stop_clock(None).await;
        goes_on.unwrap_or_else(|error| panic!("{}: the clock cannot be set going: {error}", self.options.name));
        process(&self.options, &self.database, &self.store, plan, Some(&self.process().app)).await
    }

    /// Launches the engine again. One that runs is shut down first.
    pub(super) async fn restart(&self) {
        let last = self.process();
        if !last.store.is_dead() {
            last.app.shutdown_with(ShutdownOptions::immediate()).await;
        }
        let next = self.start_process(FaultPlan::default()).await;
        next.app.replace_in(&self.scope);
        assert!(last.next.set(Box::new(next)).is_ok(), "{}: the engine is being restarted already", self.options.name);
        self.launched.send_replace(());
    }

    /// Returns once the test waits for the engine and nothing is due any more: see [`Durable::standstill`].
    pub(super) async fn standstill(&self) -> String {
        let mut launched = self.launched.subscribe();
        loop {
            launched.mark_unchanged();
            tokio::select! {
                message = self.app().standstill() => return message,
                Ok(()) = launched.changed() => {}
            }
        }
    }

    /// Shuts the engine down, and removes the database. There is no report if it has crashed.
    pub(super) async fn finish(&self, patience: ShutdownOptions) -> Option<Arc<ShutdownReport>> {
        let last = self.process();
        let report = if last.store.is_dead() {
            None
        } else {
            last.store.own(); // the report shows the connections
            Some(last.app.shutdown_with(patience).await)
        };
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, self.store.close()).await;
        self.database.clear().await;
        assert!(closed.is_ok() || report.is_some(), "{}: a connection is still in use", self.options.name);
        report
    }
}

async fn process(
    options: &TestOptions,
    database: &TestDatabase,
    store: &Arc<dyn Store>,
    plan: FaultPlan,
    earlier: Option<&Durable>,
) -> TestProcess {
    let store = Arc::new(FaultyStore::over(store, plan));
    let builder = Durable::builder(options.name.replace("::", ".")).application_version("test");
    let mut builder = (options.builder)(builder);
    // A launch under the same name takes over at once what the one before it ran.
    builder = builder.executor_id("test").schema(&database.schema).virtual_time();
    builder = builder.accept_other_transactions().store(Arc::clone(&store) as Arc<dyn Store>);
    if let Some(app) = earlier {
        builder = builder.test_settings_of(app);
    }
    let app = builder.launch().await.unwrap_or_else(|error| panic!("{}: {error}", options.name));
    TestProcess { app, store, next: OnceLock::new() }
}

/// The database of one test, which no other test uses.
#[derive(Debug)]
struct TestDatabase {
    url: String,
    schema: String,
    #[cfg(feature = "postgres")]
    postgres: Option<ApplicationSchema>,
}

impl TestDatabase {
    #[cfg_attr(not(feature = "postgres"), allow(clippy::unused_async, reason = "only Postgres is asked for something"))]
    async fn of(options: &TestOptions) -> Self {
        if !options.postgres {
            return Self {
                url: "sqlite::memory:".to_owned(),
                schema: "durable".to_owned(),
                #[cfg(feature = "postgres")]
                postgres: None,
            };
        }
        #[cfg(feature = "postgres")]
        {
            let schema = super::server::fresh_schema();
            let application = ApplicationSchema::create(&schema).await;
            Self { url: application.url(), schema, postgres: Some(application) }
        }
        #[cfg(not(feature = "postgres"))]
        panic!("{}: a test on Postgres needs the feature `postgres` of durable", options.name)
    }

    #[cfg_attr(
        not(feature = "postgres"),
        allow(clippy::unused_async, reason = "only Postgres has something to remove")
    )]
    async fn clear(&self) {
        #[cfg(feature = "postgres")]
        if let Some(application) = &self.postgres {
            let store = durable_core::store::open(&self.url, &self.schema).await.expect("the server was there before");
            store.drop_everything().await.expect("the test's schema can be dropped");
            store.close().await;
            application.remove(&self.schema).await;
        }
    }
}
