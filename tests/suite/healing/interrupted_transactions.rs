//! Transactions whose connection is lost or whose statement is cancelled: that is not the function's `Err`.

use std::fmt;

use durable::prelude::*;
use durable::sqlx::{self, AssertSqlSafe, PgConnection};
use durable::{Builder, ErrorKind};

use crate::support::{LogCapture, TestDatabase, count, counted, fresh};

/// Interrupts the first so many attempts, with a statement that cancels or ends its own connection.
async fn interrupt(tx: &mut PgConnection, key: &str, times: u32, statement: &str) -> Result<u32, sqlx::Error> {
    count(key);
    let attempt = counted(key);
    if attempt <= times {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await?;
        sqlx::query("select 1").execute(&mut *tx).await?;
    }
    Ok(attempt)
}

#[transaction]
async fn with_the_engines_error(tx: &mut PgConnection, key: &str, times: u32, statement: &str) -> Result<u32> {
    Ok(interrupt(tx, key, times, statement).await?)
}

#[transaction]
async fn with_anyhow(tx: &mut PgConnection, key: &str, times: u32, statement: &str) -> anyhow::Result<u32> {
    use anyhow::Context;
    interrupt(tx, key, times, statement).await.context("in the ledger")
}

/// An error type of the application, with the driver's error as its source.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct LedgerError {
    #[serde(skip)]
    source: Option<sqlx::Error>,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger failed")
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|it| it as _)
    }
}

#[transaction]
async fn with_an_error_of_its_own(
    tx: &mut PgConnection,
    key: &str,
    times: u32,
    statement: &str,
) -> Result<u32, LedgerError> {
    interrupt(tx, key, times, statement).await.map_err(|error| LedgerError { source: Some(error) })
}

/// The driver's error is gone from this one.
#[transaction]
async fn with_text(tx: &mut PgConnection, key: &str, times: u32, statement: &str) -> Result<u32, String> {
    interrupt(tx, key, times, statement).await.map_err(|error| error.to_string())
}

#[workflow]
async fn calls_all(key: String, statement: String) -> Result<[u32; 3]> {
    let engine = with_the_engines_error(&format!("{key} engine"), 2, &statement).await?;
    let anyhow = with_anyhow(&format!("{key} anyhow"), 2, &statement).await.map_err(Error::msg)?;
    let own = with_an_error_of_its_own(&format!("{key} own"), 2, &statement).await?;
    Ok([engine, anyhow, own])
}

const CANCEL: &str = "select pg_cancel_backend(pg_backend_pid())";
const TERMINATE: &str = "select pg_terminate_backend(pg_backend_pid())";

macro_rules! postgres_tests {
    ($($case:ident),+ $(,)?) => {
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test] // on one thread, so that all of the log is recorded
                async fn $case() {
                    let database = crate::support::TestDatabase::postgres();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
    };
}

postgres_tests! {
a_transaction_runs_again_after_its_statement_was_cancelled,
a_transaction_runs_again_after_its_connection_was_lost,
a_transaction_outside_workflows_runs_again_after_an_interruption,
a_transaction_that_is_always_interrupted_ends_with_a_clear_error,
a_transaction_without_room_for_the_engines_error_ends_with_its_own,
an_error_of_the_function_is_not_retried,
}

async fn a_transaction_runs_again_after_its_statement_was_cancelled(database: &TestDatabase) {
    let app = database.launch().await;
    let ended = app.scope(calls_all(fresh("cancelled"), CANCEL.to_owned()).id("w")).await;
    assert_eq!(ended.unwrap(), [3, 3, 3]);
    let attempts: Vec<_> = app.list_steps("w").await.unwrap().iter().map(|it| it.attempts).collect();
    assert_eq!(attempts, [3, 3, 3], "the interrupted attempts are recorded");
    app.shutdown().await;
}

async fn a_transaction_runs_again_after_its_connection_was_lost(database: &TestDatabase) {
    let (key, app) = (fresh("lost"), database.launch().await);
    let ended = app.scope(calls_all(key.clone(), TERMINATE.to_owned())).await;
    assert_eq!(ended.unwrap(), [3, 3, 3]);
    let text = app.scope(calls_with_text(format!("{key} text"), TERMINATE.to_owned(), 2)).await;
    assert_eq!(text.unwrap(), Ok(3), "the connection itself shows that it is lost");
    app.shutdown().await;
}

async fn a_transaction_outside_workflows_runs_again_after_an_interruption(database: &TestDatabase) {
    let (key, app) = (fresh("outside"), database.launch().await);
    let cancelled = app.scope(with_the_engines_error(&format!("{key} cancelled"), 2, CANCEL)).await;
    assert_eq!(cancelled.unwrap(), 3);
    let lost = app.scope(with_an_error_of_its_own(&format!("{key} lost"), 2, TERMINATE)).await;
    assert_eq!(lost.unwrap(), 3);
    app.shutdown().await;
}

/// An engine that gives interrupted transactions up as soon as it may.
fn impatient(database: &TestDatabase) -> Builder {
    database.builder("app").transaction_retry_limit(Duration::ZERO)
}

#[transaction]
async fn idles_for_too_long(tx: &mut PgConnection, key: &str) -> Result<u32> {
    count(key);
    sqlx::query("set local idle_in_transaction_session_timeout = 20").execute(&mut *tx).await?;
    tokio::time::sleep(Duration::from_millis(100)).await; // longer than the timeout
    sqlx::query("select 1").execute(&mut *tx).await?;
    Ok(1)
}

#[workflow]
async fn never_succeeds(key: String) -> Result<u32> {
    idles_for_too_long(&key).await
}

async fn a_transaction_that_is_always_interrupted_ends_with_a_clear_error(database: &TestDatabase) {
    let (key, log) = (fresh("always"), LogCapture::default());
    let recording = log.record();
    let app = impatient(database).launch().await.unwrap();
    let error = app.scope(never_succeeds(key.clone()).id("w")).await.expect_err("it cannot succeed");
    drop(recording);
    assert_eq!((error.kind(), counted(&key)), (ErrorKind::Unavailable, 5), "{error}");
    let text = error.to_string();
    let parts = ["`idles_for_too_long` at position 1", "5 attempts", "nothing was written", "idle_in_transaction"];
    assert!(parts.iter().all(|it| text.contains(it)), "{text}");
    assert_eq!(log.text().matches("a transaction was rolled back because").count(), 4, "{}", log.text());
    assert!(log.text().contains("attempts=4") && log.text().contains("a transaction is given up"), "{}", log.text());
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!((steps.len(), steps[0].attempts), (1, 5));
    app.shutdown().await;
    // It is recorded, and a later run gets the same.
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().status().await.unwrap(), Status::Error);
    app.shutdown().await;
}

#[workflow]
async fn calls_with_text(key: String, statement: String, times: u32) -> Result<Result<u32, String>> {
    Ok(with_text(&key, times, &statement).await)
}

#[workflow]
async fn calls_with_own(key: String) -> Result<String> {
    Ok(match with_an_error_of_its_own(&key, u32::MAX, CANCEL).await {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    })
}

async fn a_transaction_without_room_for_the_engines_error_ends_with_its_own(database: &TestDatabase) {
    let (key, app) = (fresh("own"), impatient(database).launch().await.unwrap());
    assert_eq!(app.scope(calls_with_own(key.clone())).await.unwrap(), "the ledger failed");
    assert_eq!(counted(&key), 5);
    app.shutdown().await;
}

async fn an_error_of_the_function_is_not_retried(database: &TestDatabase) {
    let (key, app) = (fresh("error"), database.launch().await);
    for statement in ["select 1 / 0", "select * from no_such_table", "select 'x'::int"] {
        let key = format!("{key} {statement}");
        app.scope(with_the_engines_error(&key, u32::MAX, statement)).await.expect_err("the statement is wrong");
        assert_eq!(counted(&key), 1, "{statement}");
    }
    app.shutdown().await;
}
