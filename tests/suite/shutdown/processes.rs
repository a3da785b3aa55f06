//! Real processes that shut down, and really end.

use std::process::Stdio;
use std::time::{Duration, Instant};

use durable::testing::server::Server;
use durable::{Durable, Status};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::crash::processes::{finished, on_every_database, program, start};

use crate::stage::Database;

on_every_database! {
    a_process_with_a_step_that_blocks_ends_in_time_and_says_so,
    tasks_of_no_scope_find_the_engine_until_it_is_closed,
    a_process_whose_step_is_stuck_is_not_taken_for_dead_by_its_neighbours,
}

struct Leaver {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Leaver {
    /// Starts one, and returns when it is at work.
    async fn start(mode: &str, millis: u64, url: &str, folder: &std::path::Path) -> Self {
        let mut child = Command::new(program("leaver"))
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

    /// Lets it shut down, and gives its report, its exit code and how long that took.
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

async fn a_process_with_a_step_that_blocks_ends_in_time_and_says_so(database: &Database) {
    let leaver = Leaver::start("blocks", 2_000, database.url(), database.folder()).await;
    let (report, code, took) = leaver.leave().await;
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("1 stuck") && report.contains("blocks_a_thread"), "{report}");
    assert!(took < Duration::from_secs(4), "after {took:?}: {report}");
    assert_eq!(database.poll().await[0].status, Status::Pending);
}

async fn tasks_of_no_scope_find_the_engine_until_it_is_closed(database: &Database) {
    let told = finished(start("drained", &[], database)).await;
    let rest = "enqueue ok\ndebounce ok\nsend ok\nlist ok\nretrieve ok";
    let expected = format!(
        "-- while it drains\nstart ShuttingDown\n{rest}\n\
         -- with another one\nstart ok\n{rest}\n\
         -- without it\nstart ShuttingDown\n{rest}\n\
         result ok\nclean true completed 1\nclosed NoEngine\n"
    );
    assert_eq!(told, expected);
}

async fn a_process_whose_step_is_stuck_is_not_taken_for_dead_by_its_neighbours(database: &Database) {
    let mut leaver = Leaver::start("stays", 1_000, database.url(), database.folder()).await;
    leaver.input.write_all(b"leave\n").await.expect("it reads its input");
    let report = leaver.lines.next_line().await.expect("it prints text").expect("it prints its report");
    assert!(report.contains("1 stuck"), "{report}");
    let neighbour = async || {
        let app = Durable::builder("neighbour").system_database(database.url()).launch().await.unwrap();
        let executors = app.store().executors().await.unwrap();
        app.shutdown().await;
        executors.len() - 1
    };
    assert_eq!(neighbour().await, 1, "its step goes on, so it lives until its lease has run out");
    leaver.child.kill().await.expect("it is there");
    assert_eq!(neighbour().await, 0, "the system let go of its lock");
}

/// A process whose database is gone ends all the same.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_database_is_stopped_really_exits() {
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
    assert!(report.contains("hand-off failed") && took < Duration::from_secs(7), "after {took:?}: {report}");
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
