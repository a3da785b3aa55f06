//! A database for the processes that a test starts.

use std::time::Duration;

use durable::testing::server;

use super::databases::remove_lock_files;

/// A database for the processes that a test starts: they find it by `DURABLE_DATABASE_URL`.
pub(crate) struct ProcessDatabase {
    url: String,
    folder: tempfile::TempDir,
    /// The name of the Postgres database, which is dropped at the end.
    name: Option<String>,
}

impl ProcessDatabase {
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

    /// An existing database, with a folder of its own. It is not cleared by this value.
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
        for info in
            store.list(&durable::Filter::new().limit(10_000).with_payloads()).await.expect("the database is there")
        {
            let steps = store.steps(&info.id).await.expect("the database is there");
            recorded.extend((1..).zip(steps).map(|(number, _)| (info.id.clone(), number)));
        }
        store.close().await;
        recorded
    }

    /// All workflows in the database, read without an engine, which would run them.
    pub(crate) async fn workflows(&self) -> Vec<durable::WorkflowInfo> {
        let store = durable_core::store::open(&self.url, "durable").await.expect("the database is there");
        let found =
            store.list(&durable::Filter::new().limit(10_000).with_payloads()).await.expect("the database is there");
        store.close().await;
        found.items
    }

    /// Returns once every workflow has succeeded.
    pub(crate) async fn wait_until_all_succeed(&self) {
        let succeeded = async {
            while self.workflows().await.iter().any(|it| it.status != durable::Status::Success) {
                tokio::time::sleep(Duration::from_millis(100)).await; // the pause of the polling: there are many rows
            }
        };
        tokio::time::timeout(Duration::from_mins(2), succeeded).await.expect("all workflows end");
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
        for info in
            store.list(&durable::Filter::new().limit(10_000).with_payloads()).await.expect("the database is there")
        {
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
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("the test server executes it");
    connection.close().await.expect("the connection closes");
}
