//! A process with output that is read line by line, and that can be sent signals.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::os_process::send_signal;
use super::{ProcessDatabase, Signal, program};

/// Longer than any expected event takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process of this project. Killed when it is dropped.
pub(crate) struct WatchedProcess {
    child: Child,
    pid: u32,
    lines_read: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Vec<(Instant, String)>>,
    changed: Notify,
}

impl Output {
    /// Adds the lines until the end of the output.
    fn read(self: &Arc<Self>, from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        let lines_read = Arc::clone(self);
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                lines_read.lines.lock().unwrap().push((Instant::now(), line));
                lines_read.changed.notify_waiters();
            }
        })
    }
}

/// How a process has ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) at: Instant,
    /// All of its output.
    pub(crate) output: String,
}

impl Exit {
    /// Its report, which is the last line that is JSON.
    pub(crate) fn report(&self) -> serde_json::Value {
        let last = self.output.lines().rev().find(|it| it.starts_with('{'));
        serde_json::from_str(last.unwrap_or_else(|| panic!("it gives a report: {}", self.output))).expect("it is JSON")
    }
}

impl WatchedProcess {
    pub(crate) fn start<A: AsRef<OsStr>>(name: &str, arguments: &[A], database: &ProcessDatabase) -> Self {
        let mut command = Command::new(program(name));
        command.args(arguments);
        Self::run(command, database)
    }

    /// Runs a command on a database, with the log of `durable` on its output for errors.
    pub(crate) fn run(mut command: Command, database: &ProcessDatabase) -> Self {
        command
            .current_dir(database.folder())
            .env("DURABLE_DATABASE_URL", database.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if std::env::var_os("RUST_LOG").is_none() && command.as_std().get_envs().all(|(name, _)| name != "RUST_LOG") {
            command.env("RUST_LOG", "durable=info");
        }
        let mut child = command.spawn().expect("the program can be started");
        let lines_read = Arc::new(Output::default());
        let readers = vec![
            lines_read.read(child.stdout.take().expect("it is piped")),
            lines_read.read(child.stderr.take().expect("it is piped")),
        ];
        Self { pid: child.id().expect("it is running"), child, lines_read, readers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for a line with `text`, and returns the line and the time at which it was read.
    pub(crate) async fn wait_for_line(&self, text: &str) -> (Instant, String) {
        let found = async {
            loop {
                let changed = self.lines_read.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable(); // before the lines are searched, so that none is missed
                if let Some(found) = self.lines_read.lines.lock().unwrap().iter().find(|(_, line)| line.contains(text))
                {
                    return found.clone();
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("it does not print {text:?}, but: {}", self.output()))
    }

    /// All of its output so far.
    pub(crate) fn output(&self) -> String {
        self.lines_read.lines.lock().unwrap().iter().fold(String::new(), |all, (_, line)| all + line + "\n")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Instant {
        let at = Instant::now();
        send_signal(self.pid, signal);
        at
    }

    /// Waits for its end.
    pub(crate) async fn wait_for_exit(&mut self) -> Exit {
        let status = tokio::time::timeout(2 * PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end: {}", self.output())).expect("it is a child");
        let at = Instant::now();
        for reader in self.readers.drain(..) {
            let _ = tokio::time::timeout(PATIENCE, reader).await; // the last lines in the pipes
        }
        Exit { status, at, output: self.output() }
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill_9(&mut self) {
        self.child.kill().await.expect("it was running, or had just ended");
    }

    /// Whether it has ended.
    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_some()
    }
}
