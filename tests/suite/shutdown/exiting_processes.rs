//! Processes exit after their shutdown, in time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use durable::testing::server::Server;
use durable::{Durable, Status};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::{ProcessDatabase, finished, process_tests, program, start};

process_tests! {
a_process_with_a_blocked_step_exits_in_time_and_reports_it,
tasks_without_a_scope_find_the_only_engine_until_it_is_closed,
a_process_with_a_stuck_step_is_not_taken_over_while_it_lives,
}

struct Leaver {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Leaver {
    /// Starts one, and returns when it is at work.
    async fn start(mode: &str, millis: u64, url: &str, folder: &std::path::Path) -> Self {
        let mut child = Command::new(program("shutdown_worker"))
            .args([mode, &millis.to_string()])
            .current_dir(folder)
            .env("DURABLE_DATABASE_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the program can be started");
        let input = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("it gets to work");
        assert_eq!(first.expect("it prints text").as_deref(), Some("RUNNING"));
        Self { child, input, lines }
    }

    /// Shuts the process down, and returns its report, its exit code and how long that took.
    async fn leave(mut self) -> (String, Option<i32>, Duration) {
        let begun = Instant::now();
        self.input.write_all(b"leave\n").await.expect("it reads its input");
        let ended = async {
            let report = self.lines.next_line().await.expect("it prints text").expect("it prints its report");
            let status = self.child.wait().await.expect("it can be waited for");
            (report, status.code())
        };
        let (report, code) = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it ends by itself");
        (report, code, begun.elapsed())
    }
}

async fn a_process_with_a_blocked_step_exits_in_time_and_reports_it(database: &ProcessDatabase) {
    let leaver = Leaver::start("blocks", 2_000, database.url(), database.folder()).await;
    let (report, code, took) = leaver.leave().await;
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("1 stuck") && report.contains("blocks_a_thread"), "{report}");
    assert!(took < Duration::from_secs(15), "after {took:?}: {report}");
    assert_eq!(database.workflows().await[0].status, Status::Pending);
}

async fn tasks_without_a_scope_find_the_only_engine_until_it_is_closed(database: &ProcessDatabase) {
    let printed = finished(start("calls_during_shutdown", &[], database)).await;
    let rest = "enqueue ok\ndebounce ok\nsend ok\nlist ok\nretrieve ok";
    let expected = format!(
        "-- while it drains\nstart ShuttingDown\n{rest}\n\
-- with another one\nstart ok\n{rest}\n\
-- without it\nstart ShuttingDown\n{rest}\n\
result ok\nclean true completed 1\nclosed NoEngine\n"
    );
    assert_eq!(printed, expected);
}

async fn a_process_with_a_stuck_step_is_not_taken_over_while_it_lives(database: &ProcessDatabase) {
    let mut leaver = Leaver::start("stays", 1_000, database.url(), database.folder()).await;
    leaver.input.write_all(b"leave\n").await.expect("it reads its input");
    let report = leaver.lines.next_line().await.expect("it prints text").expect("it prints its report");
    assert!(report.contains("1 stuck"), "{report}");
    let neighbour = async || {
        let app = Durable::builder("neighbour").share_schema().system_database(database.url()).launch().await.unwrap();
        let executors = app.store().executors().await.unwrap();
        app.shutdown().await;
        executors.len() - 1
    };
    assert_eq!(neighbour().await, 1, "its step goes on, so it lives until its lease has run out");
    leaver.child.kill().await.expect("it is there");
    assert_eq!(neighbour().await, 0, "the system has released its lock");
}

/// A process exits even if its database is gone.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_exits_although_its_database_is_stopped() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap().expect("a server can be started");
    let folder = tempfile::tempdir().unwrap();
    let leaver = Leaver::start("steps", 4_000, &server.url(), folder.path()).await;
    let server = tokio::task::spawn_blocking(move || {
        server.set_running(false);
        server
    })
    .await
    .unwrap();
    let (report, code, took) = leaver.leave().await;
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("hand-off failed") && took < Duration::from_secs(25), "after {took:?}: {report}");
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
