//! The examples for other languages: their files are executed as they are, against the worker of the examples.

use std::path::{Path, PathBuf};
use std::time::Duration;

use durable::testing::server;
use sqlx::Connection;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{ProcessDatabase, kill_9, start};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/other-languages").join(name)
}

/// Starts the worker, enqueues the orders twice, and checks their results.
async fn orders_are_handed_over(hand_over: impl AsyncFn(&ProcessDatabase)) {
    let database = ProcessDatabase::postgres().await;
    let mut worker = start("orders", &[], &database);
    let mut lines = BufReader::new(worker.stdout.take().expect("it is piped")).lines();
    let mut wait_for_line = async |expected: &str| {
        let printed = async {
            while let Some(line) = lines.next_line().await.expect("it prints text") {
                if line.contains(expected) {
                    return;
                }
            }
            panic!("the worker has ended, and did not print {expected:?}");
        };
        tokio::time::timeout(Duration::from_mins(1), printed).await.expect("it is printed soon");
    };
    wait_for_line("waiting for orders").await;
    hand_over(&database).await;
    wait_for_line("order-1 is on its way, paid with 1250 cents").await;
    hand_over(&database).await; // everything has an id, so this changes nothing
    kill_9(worker).await;

    let found = database.workflows().await;
    let found: Vec<_> = found.iter().map(|it| (it.id.as_str(), it.status)).collect();
    assert_eq!(found, [("order-1", durable::Status::Success)], "what was rolled back is not there");
    let mut user = sqlx::PgConnection::connect(database.url()).await.expect("the server is there");
    let orders: Vec<String> = sqlx::query_scalar("select id from orders").fetch_all(&mut user).await.unwrap();
    assert_eq!(orders, ["order-1"]);
    user.close().await.unwrap();
    database.clear().await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test]
async fn the_example_in_sql_works() {
    orders_are_handed_over(async |database| {
        let text = std::fs::read_to_string(example("enqueue.sql")).expect("the example is there");
        let mut user = sqlx::PgConnection::connect(database.url()).await.expect("the server is there");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut user).await.expect("the example is right");
        user.close().await.unwrap();
    })
    .await;
}

#[cfg_attr(
    not(all(has_postgres, has_psql)),
    ignore = "needs a Postgres server and psql: install postgresql, which brings both"
)]
#[tokio::test]
async fn the_example_in_sql_works_with_psql() {
    let psql = server::program("psql").expect("it was there when the test was built");
    orders_are_handed_over(async |database| {
        let arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"];
        succeeds(Command::new(&psql).arg(database.url()).args(arguments).arg(example("enqueue.sql"))).await;
    })
    .await;
}

/// `DURABLE_TEST_PYTHON` names a Python that has psycopg, where the plain one has not.
#[cfg_attr(
    not(all(has_postgres, has_psycopg)),
    ignore = "needs Postgres, and a Python with psycopg: install python3-psycopg, or name one in DURABLE_TEST_PYTHON"
)]
#[tokio::test]
async fn the_example_in_python_works() {
    let python = std::env::var("DURABLE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    orders_are_handed_over(async |database| {
        let url = database.url();
        succeeds(Command::new(&python).arg(example("enqueue.py")).env("DURABLE_DATABASE_URL", url)).await;
    })
    .await;
}

async fn succeeds(command: &mut Command) {
    let output = command.kill_on_drop(true).output().await.expect("the program can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
