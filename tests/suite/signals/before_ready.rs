//! Signals before a process is ready, and to the first process of a container.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use durable::Status;
use sqlx::Connection;
use tokio::process::Command;

use crate::support::os_process::children;
use crate::support::signal_processes::{
    HANDLES_SIGNALS, finish_workflow, start_signal_worker, status_of, wait_for_ledger_line,
};
use crate::support::{ProcessDatabase, Signal, WatchedProcess, process_tests, program, send_signal};

process_tests! {
    sigterm_before_the_launch_is_done_ends_the_process,
}

/// A lock that blocks every launch at its migrations.
enum Obstacle {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Obstacle {
    async fn new(database: &ProcessDatabase) -> Self {
        if database.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(database.url()).await.unwrap();
            // The server may still execute a statement of a killed process.
            let text = "begin; drop schema if exists durable cascade; create schema durable";
            sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
            Self::Postgres(connection)
        } else {
            let url = format!("{}?mode=rwc", database.url());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::raw_sql("pragma journal_mode = wal; begin exclusive").execute(&mut connection).await.unwrap();
            Self::Sqlite(connection)
        }
    }

    async fn remove(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

async fn sigterm_before_the_launch_is_done_ends_the_process(database: &ProcessDatabase) {
    // One process handles signals from the beginning, and one only after its launch.
    for mode in ["early", "steps"] {
        let obstacle = Obstacle::new(database).await;
        let mut process = start_signal_worker(mode, 10_000, 20_000, &[2, 1], database);
        if mode == "early" {
            process.wait_for_line("LAUNCHING").await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await; // it waits for a lock at its migrations, which it does not announce
        let sent = process.signal(Signal::TERM);
        let ended = process.wait_for_exit().await;
        assert!(ended.at - sent < Duration::from_secs(8), "{mode}: {:?}", ended.at - sent);
        assert!(!ended.output.contains("READY"), "{mode}: {}", ended.output);
        match mode {
            "early" => assert_eq!(ended.status.code(), Some(0), "{}", ended.output),
            _ => assert_eq!(ended.status.signal(), Some(15), "{}", ended.status),
        }
        obstacle.remove().await;
    }
    finish_workflow(database, 2).await; // the database is intact
}

/// Starts the program as the first process of a namespace, and gives its process id outside of it.
async fn as_pid_1(mode: &str, database: &ProcessDatabase) -> (WatchedProcess, u32) {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(program("signal_worker"));
    command.arg(mode).arg(database.folder()).args(["10000", "20000", "8", "300"]);
    let unshare = WatchedProcess::run(command, database);
    wait_for_ledger_line(database, "w 1").await;
    let children = children(unshare.pid());
    assert_eq!(children.len(), 1, "the program is its only child");
    (unshare, children[0])
}

#[cfg_attr(not(can_unshare), ignore = "namespaces of processes are not allowed here: run it as root")]
#[tokio::test]
async fn sigterm_is_handled_as_process_1() {
    let database = ProcessDatabase::sqlite();
    let (mut unshare, pid) = as_pid_1("steps", &database).await;
    assert!(database.folder().join("ledger-1").exists(), "to itself it is process 1");
    unshare.wait_for_line(HANDLES_SIGNALS).await;
    send_signal(pid, Signal::TERM);
    let ended = unshare.wait_for_exit().await;
    assert_eq!((ended.status.code(), &ended.report()["completed"]), (Some(0), &1.into()), "{}", ended.output);
    assert_eq!(status_of(&database, "w").await, Status::Success);

    // For process 1 the kernel takes no default action: without a handler the signal does nothing.
    let database = ProcessDatabase::sqlite();
    let (mut unshare, pid) = as_pid_1("plain", &database).await;
    send_signal(pid, Signal::TERM);
    tokio::time::sleep(Duration::from_millis(500)).await; // nothing may happen in it
    assert!(!unshare.has_exited(), "without a handler process 1 ignores the signal");
    send_signal(pid, Signal::KILL);
    unshare.wait_for_exit().await;
}
