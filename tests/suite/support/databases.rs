//! A database that outlives engines, for tests that launch an engine, crash it and launch another one.

use std::sync::Arc;
use std::time::Duration;

use durable::testing::server;
use durable::{Builder, Durable};
use durable_core::store::{FaultMode, FaultPlan, FaultyStore};

use super::store_database::DirectConnection;

/// A database that outlives engines. [`clear`](Self::clear) removes it at the end of a test.
pub(crate) struct TestDatabase {
    url: String,
    schema: String,
    /// Holds the SQLite file.
    folder: tempfile::TempDir,
    postgres: bool,
}

impl TestDatabase {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("app.sqlite").display());
        Self { url, schema: "durable".to_owned(), folder, postgres: false }
    }

    pub(crate) fn postgres() -> Self {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        Self { url: server::url(), schema: server::fresh_schema(), folder, postgres: true }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// A connection that goes around the engine.
    pub(crate) async fn direct_connection(&self) -> DirectConnection {
        DirectConnection::open(&self.url, &self.schema).await
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.postgres
    }

    /// Settings of an engine on this database, whatever its name. The lease is so long that it does not expire in a
    /// test, and the delay of records so long that a busy machine does not add commits, which tests count.
    pub(crate) fn builder(&self, name: &str) -> Builder {
        Durable::builder(name)
            .system_database(&self.url)
            .schema(&self.schema)
            .share_schema()
            .application_version("test")
            .lease(Duration::from_hours(1))
            .record_delay(Duration::from_hours(1))
    }

    pub(crate) async fn launch(&self) -> Durable {
        self.builder("app").launch().await.expect("the database is there")
    }

    /// Ends an engine as a crash would: it releases nothing and announces nothing.
    pub(crate) async fn crash(&self, app: Durable) {
        let store = app.store();
        drop(app);
        // A dead process has no connections: they are closed before the next launch.
        store.close().await;
    }

    /// All workflows in the database, read without an engine, which would run them.
    pub(crate) async fn workflows(&self) -> Vec<durable::WorkflowInfo> {
        let store = durable_core::store::open(&self.url, &self.schema).await.expect("the database is there");
        let found =
            store.list(&durable::Filter::new().limit(10_000).with_payloads()).await.expect("the database is there");
        store.close().await;
        found.items
    }

    pub(crate) async fn clear(self) {
        if self.postgres {
            let store = durable_core::store::open(&self.url, &self.schema).await.expect("the server was there before");
            remove_lock_files(&*store).await;
            store.drop_everything().await.expect("the database's schema can be dropped");
            store.close().await;
        }
    }
}

/// The store of a process that fails at its `at`th commit, on a connection of its own.
pub(crate) async fn failing_at(database: &TestDatabase, mode: FaultMode, at: u64) -> Arc<FaultyStore> {
    let inner = durable_core::store::open(database.url(), database.schema()).await.expect("the database is there");
    Arc::new(FaultyStore::owning(&inner, FaultPlan::one(mode, at)))
}

/// Removes the lock files that killed executors have left in the directory for temporary files. With SQLite
/// they are beside the database, and go with it.
pub(super) async fn remove_lock_files(store: &dyn durable_core::store::Store) {
    for executor in store.executors().await.unwrap_or_default() {
        if let Some(path) = executor.lock_file {
            let _ = std::fs::remove_file(path); // it may be gone already
        }
    }
}
