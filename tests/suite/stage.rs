//! A database that outlives engines: for tests that launch, crash and launch again.

use std::time::Duration;

use durable::testing::server;
use durable::{Builder, Durable};

/// A database that outlives engines. Cleared when the test is over.
pub(crate) struct Stage {
    url: String,
    schema: String,
    /// Holds the SQLite file.
    folder: tempfile::TempDir,
    postgres: bool,
}

impl Stage {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("stage.sqlite").display());
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

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.postgres
    }

    /// Settings of an engine on this database. The lease is so long that nothing in a test can
    /// happen only because one ran out.
    pub(crate) fn builder(&self, name: &str) -> Builder {
        Durable::builder(name)
            .system_database(&self.url)
            .schema(&self.schema)
            .application_version("test")
            .lease(Duration::from_hours(1))
    }

    pub(crate) async fn launch(&self) -> Durable {
        self.builder("stage").launch().await.expect("the stage is set")
    }

    /// Ends an engine as a crash would: nothing is handed over, nothing is said.
    pub(crate) async fn crash(&self, app: Durable) {
        let store = app.store();
        drop(app);
        // The connections of a dead process are gone; these must be, too, before the next launch.
        store.close().await;
    }

    /// The workflows in the database, with no engine that would go on with them.
    pub(crate) async fn poll(&self) -> Vec<durable::WorkflowInfo> {
        let store = durable_core::store::open(&self.url, &self.schema).await.expect("the stage is set");
        let found = store.list(&durable::Filter::new().limit(10_000)).await.expect("the stage is set");
        store.close().await;
        found
    }

    pub(crate) async fn clear(self) {
        if self.postgres {
            let store = durable_core::store::open(&self.url, &self.schema).await.expect("the server was there before");
            remove_lock_files(&*store).await;
            store.drop_everything().await.expect("the stage's schema can be dropped");
            store.close().await;
        }
    }
}

/// Removes what executors that were killed have left in the directory for temporary files: nobody
/// takes their place any more. With SQLite it lies beside the database.
async fn remove_lock_files(store: &dyn durable_core::store::Store) {
    for executor in store.executors().await.unwrap_or_default() {
        if let Some(path) = executor.lock_file {
            let _ = std::fs::remove_file(path); // it may be gone already
        }
    }
}

/// Runs each case on both stores, with a stage of its own.
macro_rules! on_every_stage {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let stage = crate::stage::Stage::sqlite();
                    super::$case(&stage).await;
                    stage.clear().await;
                }
            )+
        }
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let stage = crate::stage::Stage::postgres();
                    super::$case(&stage).await;
                    stage.clear().await;
                }
            )+
        }
    };
}
pub(crate) use on_every_stage;

/// Runs each case on both stores, with an engine of its own.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            use durable::testing::TestApp;
            $(
                #[durable::test]
                async fn $case(app: TestApp) {
                    super::$case(app).await;
                }
            )+
        }
        mod postgres {
            use durable::testing::TestApp;
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[durable::test(postgres)]
                async fn $case(app: TestApp) {
                    super::$case(app).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_store;

/// A database for processes of its own: they find it by `DURABLE_DATABASE_URL`.
pub(crate) struct Database {
    url: String,
    folder: tempfile::TempDir,
    /// The name of the Postgres database, which is dropped at the end.
    name: Option<String>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let url = format!("sqlite:{}", folder.path().join("database.sqlite").display());
        Self { url, folder, name: None }
    }

    pub(crate) async fn postgres() -> Self {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let name = server::fresh_schema();
        execute(&format!("create database {name}")).await;
        let mut url = url_of(&server::url());
        url.set_path(&name);
        Self { url: url.into(), folder, name: Some(name) }
    }

    /// The database at an address, with a folder of its own. Who made it clears it.
    pub(crate) fn at(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        Self { url: url.to_owned(), folder, name: None }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.name.is_some()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Which steps of which workflows are recorded.
    pub(crate) async fn recorded(&self) -> Vec<(String, u32)> {
        let store = durable_core::store::open(&self.url, "durable").await.expect("the database is there");
        let mut recorded = Vec::new();
        for info in store.list(&durable::Filter::new().limit(10_000)).await.expect("the database is there") {
            let steps = store.steps(&info.id).await.expect("the database is there");
            recorded.extend((1..).zip(steps).map(|(number, _)| (info.id.clone(), number)));
        }
        store.close().await;
        recorded
    }

    pub(crate) async fn poll(&self) -> Vec<durable::WorkflowInfo> {
        let store = durable_core::store::open(&self.url, "durable").await.expect("the database is there");
        let found = store.list(&durable::Filter::new().limit(10_000)).await.expect("the database is there");
        store.close().await;
        found
    }

    pub(crate) async fn steps(&self, id: &str) -> Vec<durable::StepInfo> {
        let store = durable_core::store::open(&self.url, "durable").await.expect("the database is there");
        let found = store.steps(id).await.expect("the database is there");
        store.close().await;
        found
    }

    /// How many records there are in all.
    pub(crate) async fn count_steps(&self) -> usize {
        let store = durable_core::store::open(&self.url, "durable").await.expect("the database is there");
        let mut keys = Vec::new();
        for info in store.list(&durable::Filter::new().limit(10_000)).await.expect("the database is there") {
            keys.push(store.find(&info.id).await.expect("the database is there").expect("it was listed").key);
        }
        let records = store.records(&keys).await.expect("the database is there");
        store.close().await;
        records.len()
    }

    pub(crate) async fn clear(self) {
        if let Some(name) = &self.name {
            if let Ok(store) = durable_core::store::open(&self.url, "durable").await {
                remove_lock_files(&*store).await;
                store.close().await;
            }
            execute(&format!("drop database {name} with (force)")).await;
        }
    }
}

pub(crate) fn url_of(text: &str) -> url::Url {
    url::Url::parse(text).expect("the test server's URL is one")
}

/// Runs a statement on the test server's own database.
async fn execute(statement: &str) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(&server::url()).await.expect("the test server answers");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("the test server obeys");
    connection.close().await.expect("the test server lets go");
}
