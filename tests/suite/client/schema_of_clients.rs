//! A client finds the schema that it needs, or says what to do; and the tools that prepare it.

use durable::{Client, Durable, ErrorKind, RoleAccess};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{ProcessDatabase, TestDatabase, database_tests, url_of};

database_tests! {
    a_client_creates_no_schema,
    a_client_names_the_migrations_that_are_missing,
    a_client_refuses_a_schema_of_a_newer_release,
    a_migrated_schema_needs_no_launch,
    the_printed_migration_is_what_a_launch_would_do,
}

fn builder(database: &TestDatabase) -> durable::ClientBuilder {
    Client::builder(database.url()).schema(database.schema())
}

async fn a_client_creates_no_schema(database: &TestDatabase) {
    let error = builder(database).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    if database.is_postgres() {
        let missing = format!("the schema {:?} of ", database.schema());
        assert!(error.to_string().contains(&missing), "{error}");
        assert!(error.to_string().contains("has no tables of durable"), "{error}");
        assert!(error.to_string().contains("or run `durable migrate`"), "{error}");
        let mut direct = database.direct_connection().await;
        let schema = format!("select count(*) from pg_namespace where nspname = '{}'", database.schema());
        assert_eq!(direct.number(&schema).await, 0);
    } else {
        assert!(error.to_string().contains("there is no such file"), "{error}");
        assert!(!database.folder().join("app.sqlite").exists());
        // A file of another program is not changed.
        std::fs::write(database.folder().join("app.sqlite"), "").unwrap();
        let error = builder(database).connect().await.unwrap_err();
        assert!(error.to_string().contains("has no tables of durable"), "{error}");
        assert_eq!(std::fs::metadata(database.folder().join("app.sqlite")).unwrap().len(), 0);
    }
}

/// Executes a statement about the table of migrations, `{}`.
async fn change_migrations(database: &TestDatabase, statement: &str) {
    let table = if database.is_postgres() { "durable._migrations" } else { "durable_migrations" };
    let mut direct = database.direct_connection().await;
    direct.execute(&statement.replace("{}", table)).await;
}

async fn a_client_names_the_migrations_that_are_missing(database: &TestDatabase) {
    builder(database).migrate().await.unwrap();
    change_migrations(database, "delete from {} where version = 2").await;
    let error = builder(database).connect().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("older than this release: it has not got the migrations 2 (functions)"), "{text}");
    assert_eq!(builder(database).missing_migrations().await.unwrap(), ["2 (functions)"]);
}

async fn a_client_refuses_a_schema_of_a_newer_release(database: &TestDatabase) {
    builder(database).migrate().await.unwrap();
    let later = "update {} set version = 999 where version = 2";
    change_migrations(database, later).await;
    let error = builder(database).connect_timeout(std::time::Duration::ZERO).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("migrated by a newer release"), "{error}");
}

async fn a_migrated_schema_needs_no_launch(database: &TestDatabase) {
    let done = builder(database).migrate().await.unwrap();
    assert_eq!(done, ["1 (foundation)", "2 (functions)"]);
    assert!(builder(database).migrate().await.unwrap().is_empty(), "there is nothing left to do");
    let client = builder(database).connect().await.unwrap();
    client.enqueue("of_a_later_launch", json!({})).id("early").await.unwrap();
    client.close().await;
    assert_eq!(database.workflows().await.len(), 1);
}

async fn the_printed_migration_is_what_a_launch_would_do(database: &TestDatabase) {
    let script = builder(database).migration_script().unwrap();
    if database.is_postgres() {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        std::fs::write(database.folder().join("app.sqlite"), "").unwrap();
        let mut connection = sqlx::SqliteConnection::connect(database.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    assert!(builder(database).missing_migrations().await.unwrap().is_empty());
    let app = database.launch().await;
    app.shutdown().await;
    builder(database).connect().await.unwrap().close().await;
}

/// A database with a role without any privileges, and the URL with which the role logs in.
async fn with_role(database: &ProcessDatabase) -> (String, String) {
    let role = format!("{}_role", url_of(database.url()).path().trim_start_matches('/'));
    execute(database, &format!("create role {role} login password 'secret'")).await;
    let mut url = url_of(database.url());
    url.set_username(&role).unwrap();
    url.set_password(Some("secret")).unwrap();
    (role, url.to_string())
}

async fn execute(database: &ProcessDatabase, statement: &str) {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn drop_role(database: &ProcessDatabase, role: &str) {
    execute(database, &format!("drop owned by {role}; drop role {role}")).await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_runs_with_the_privileges_that_are_granted_to_it() {
    let database = ProcessDatabase::postgres().await;
    let (role, url) = with_role(&database).await;
    Client::builder(database.url()).migrate().await.unwrap();
    let denied = Client::builder(&url).connect().await.unwrap_err();
    assert!(denied.to_string().contains("permission denied"), "{denied}");
    Client::builder(database.url()).grant(&role, RoleAccess::Application).await.unwrap();
    let app = Durable::builder("app").system_database(&url).launch().await.unwrap();
    let client = Client::builder(&url).connect().await.unwrap();
    let handle = client.enqueue("granted_workflow", json!({})).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), json!(7));
    client.close().await;
    app.shutdown().await;
    drop_role(&database, &role).await;
    database.clear().await;
}

#[durable::workflow]
async fn granted_workflow() -> durable::Result<u32> {
    Ok(7)
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_works_with_its_privileges_and_cannot_run_an_application() {
    let database = ProcessDatabase::postgres().await;
    let (role, url) = with_role(&database).await;
    Client::builder(database.url()).migrate().await.unwrap();
    Client::builder(database.url()).grant(&role, RoleAccess::Client).await.unwrap();
    let client = Client::builder(&url).connect().await.unwrap();
    client.enqueue("granted_workflow", json!({})).id("w").await.unwrap();
    client.send("w", "topic", &1).await.unwrap();
    client.cancel_workflow("w").await.unwrap();
    assert_eq!(client.list_queues().await.unwrap().len(), 0);
    assert!(client.list_executors().await.unwrap().is_empty());
    client.close().await;
    let refused = Durable::builder("app").system_database(&url).launch().await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");

    let unknown = Client::builder(database.url()).grant("no_such_role", RoleAccess::Client).await.unwrap_err();
    assert!(unknown.to_string().contains("no role \"no_such_role\""), "{unknown}");
    drop_role(&database, &role).await;
    database.clear().await;
}
