//! A program whose transactions are all for Postgres, launched on SQLite.

#![cfg(all(feature = "sqlite", feature = "postgres", feature = "testing"))]

use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
async fn create_user(_tx: &mut PgConnection, id: String) -> Result<String> {
    Ok(id)
}

#[workflow]
async fn sign_up(id: String) -> Result<String> {
    create_user(id).await
}

#[workflow]
async fn greet(name: String) -> Result<String> {
    Ok(format!("hello {name}"))
}

#[tokio::test]
async fn a_launch_on_another_kind_of_database_is_refused_before_anything_is_written() {
    let folder = std::env::temp_dir().join(format!("durable-another-database-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let url = format!("sqlite:{}/shop.sqlite", folder.display());
    let refused = Durable::builder("shop").system_database(url).launch().await;
    let error = refused.map(drop).expect_err("its transactions cannot run here");
    std::fs::remove_dir_all(&folder).expect("the folder is there");
    assert_eq!(error.kind(), durable::ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("the system database has `SqliteConnection`s"), "{text}");
    assert!(text.contains("`create_user` at durable/tests/another_database.rs:9 takes a `PgConnection`"), "{text}");
}

#[durable::test]
async fn a_test_on_sqlite_runs_the_other_workflows(_app: TestApp) {
    assert_eq!(greet("Ada".into()).await.expect("it has no transaction"), "hello Ada");
    let error = sign_up("u1".into()).await.expect_err("there is no Postgres");
    assert!(error.is_parked() && error.to_string().contains("takes a `PgConnection`"), "{error}");
}
