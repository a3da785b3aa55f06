//! `durable doctor` on SQLite: it finds planted problems.

use std::path::Path;

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tokio::process::Command;

use super::process::{Printed, command, durable, run};
use crate::support::{ProcessDatabase, program};

/// The verdict and the text of one check of a diagnosis.
#[track_caller]
pub(super) fn check(printed: &Printed, name: &str) -> (String, String) {
    let diagnosis: Value = serde_json::from_str(&printed.out).unwrap_or_else(|_| panic!("{printed:?}"));
    let checks = diagnosis["checks"].as_array().expect("it has checks");
    let check = checks.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {checks:#?}"));
    let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
    (text("verdict"), format!("{} {}", text("finding"), text("remedy")))
}

pub(super) async fn doctor(database: &ProcessDatabase) -> Printed {
    durable(database, &["doctor", "-o", "json"]).await
}

/// Whether a check has this verdict and this text in it.
#[track_caller]
pub(super) fn finds(printed: &Printed, name: &str, verdict: &str, part: &str) {
    let (found, text) = check(printed, name);
    assert!(found == verdict && text.contains(part), "{name}: {found}: {text}");
    let code = if verdict == "problem" { Some(1) } else { Some(0) };
    assert_eq!(printed.code, code, "{printed:?}");
}

async fn migrated() -> ProcessDatabase {
    let database = ProcessDatabase::sqlite();
    durable(&database, &["migrate"]).await.good();
    database
}

fn path(database: &ProcessDatabase) -> &str {
    database.url().trim_start_matches("sqlite:")
}

async fn execute(database: &ProcessDatabase, statement: &'static str) {
    let mut connection = SqliteConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_this_release_is_good() {
    let database = migrated().await;
    let printed = doctor(&database).await;
    for name in ["file", "free space", "journal mode", "writes", "schema", "lock files", "waiting work"] {
        assert_eq!(check(&printed, name).0, "good", "{printed:?}");
    }
    assert_eq!(durable(&database, &["doctor", "--strict"]).await.code, Some(0));
}

#[tokio::test]
async fn a_file_that_is_missing_or_is_no_database_is_found() {
    let database = ProcessDatabase::sqlite();
    finds(&doctor(&database).await, "file", "problem", "there is no such file");
    assert!(!Path::new(path(&database)).exists(), "looking creates nothing");
    std::fs::write(path(&database), "a text of several words that is longer than the header of a database ".repeat(20))
        .unwrap();
    finds(&doctor(&database).await, "statements", "problem", "it is no database of SQLite");
}

#[tokio::test]
async fn a_schema_that_is_missing_or_old_is_found() {
    let database = ProcessDatabase::sqlite();
    std::fs::write(path(&database), "").unwrap();
    finds(&doctor(&database).await, "schema", "problem", "it has not got the migrations 1 (foundation), 2 (functions)");
    let database = migrated().await;
    execute(&database, "delete from durable_migrations where version = 2").await;
    finds(&doctor(&database).await, "schema", "problem", "it has not got the migrations 2 (functions)");
    execute(&database, "insert into durable_migrations values (99, 'later', x'00', 0)").await;
    finds(&doctor(&database).await, "schema", "problem", "migrated by a newer release");
}

#[tokio::test]
async fn another_journal_mode_is_found() {
    let database = migrated().await;
    execute(&database, "pragma journal_mode = delete").await;
    finds(&doctor(&database).await, "journal mode", "warning", "it is delete");
    assert_eq!(durable(&database, &["doctor", "--strict"]).await.code, Some(1));
}

/// A limit on the size of files stands for a disk that is full.
#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_is_found() {
    let database = migrated().await;
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap '' XFSZ; ulimit -f 0; exec "$@""#, "sh"]).arg(program("durable_cli"));
    limited.args(["doctor", "-o", "json"]).env("DURABLE_DATABASE_URL", database.url());
    let printed = run(limited.stdin(std::process::Stdio::null())).await;
    finds(&printed, "statements", "problem", "make room on the disk");
}

#[tokio::test]
async fn a_lock_file_of_a_stranger_is_found() {
    let database = migrated().await;
    let stranger = database.folder().join("database.sqlite-durable-7.txt");
    std::fs::write(&stranger, "a file of the user").unwrap();
    let store = durable_core::store::open(database.url(), "durable").await.unwrap();
    let row = durable_core::store::NewExecutor {
        key: 7.into(),
        name: "forged".to_owned(),
        host: host().await,
        lock_file: Some(stranger.display().to_string()),
        version: "test".to_owned(),
        takes: None,
        lease: std::time::Duration::from_hours(1),
    };
    store.register_executor(&row).await.unwrap();
    store.close().await;
    finds(&doctor(&database).await, "lock files", "warning", "forged (");
    assert!(stranger.exists());
}

/// The name of this host, as engines write it.
pub(super) async fn host() -> String {
    let app = durable::Durable::builder("host").system_database("sqlite::memory:").launch().await.unwrap();
    let host = app.store().executors().await.unwrap().pop().expect("it is launched").host;
    app.shutdown().await;
    host
}

#[tokio::test]
async fn a_diagnosis_is_a_table_for_people() {
    let database = migrated().await;
    let printed = run(&mut command(&database, &["doctor"])).await.good();
    assert!(printed.lines().nth(1).is_some_and(|it| it.contains("CHECK") && it.contains("FINDING")), "{printed}");
    assert!(!printed.contains('\u{1b}'), "no colors without a terminal: {printed}");
}
