//! The schema of the application's tables, beside that of the engine: `create table orders` of one test has nothing to
//! do with that of another one, nor with the engine's own tables.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::testing::server;

#[derive(Debug)]
pub(in crate::testing) struct ApplicationSchema(String);

impl ApplicationSchema {
    /// Creates the schema for the tables beside those in `schema`.
    pub(in crate::testing) async fn create(schema: &str) -> Self {
        let name = format!("{schema}_app");
        run(format!("create schema {name}")).await;
        Self(name)
    }

    /// The URL of the server with the schema as the first one that is searched.
    pub(in crate::testing) fn url(&self) -> String {
        let url = server::url();
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}options=-c%20search_path%3D{}%2Cpublic", self.0)
    }

    /// Removes it with its tables, and the copies of a test that failed.
    pub(in crate::testing) async fn remove(&self, schema: &str) {
        let quiet = "set client_min_messages = warning";
        run(format!("{quiet}; drop schema if exists {}, {schema}_copy cascade", self.0)).await;
    }
}

async fn run(sql: String) {
    let mut connection = PgConnection::connect(&server::url()).await.expect("the server is there");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the role may create schemas");
    let _ = connection.close().await; // nothing depends on it any more
}
