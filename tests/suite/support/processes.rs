//! The programs of this project as processes: starting, ending and killing them, and their effects.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::ProcessDatabase;

/// A program of this project, beside the test's own binary.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its own file");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = folder.join("examples").join(name);
    assert!(path.exists(), "{} is missing: build it with `cargo build --examples`", path.display());
    path
}

pub(crate) fn start(name: &str, arguments: &[&str], database: &ProcessDatabase) -> Child {
    Command::new(program(name))
        .args(arguments)
        .current_dir(database.folder())
        .env("DURABLE_DATABASE_URL", database.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("the program can be started")
}

/// The output of the program, once it has exited by itself.
pub(crate) async fn finished(mut child: Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut all = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("it prints text") {
            all.push_str(&line);
            all.push('\n');
        }
        child.wait().await.expect("it ends")
    };
    let status = tokio::time::timeout(Duration::from_mins(2), reading).await.expect("it ends in time");
    assert!(status.success(), "{status}: {all}");
    all
}

pub(crate) async fn kill_9(mut child: Child) {
    child.kill().await.expect("it was running, or had just ended");
}

/// The effects of the steps of all workers: how often each step of each workflow ran, by process.
pub(crate) fn ledger(folder: &Path) -> HashMap<String, Vec<String>> {
    let mut runs: HashMap<String, Vec<String>> = HashMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry can be read").path();
        let Some(name) = path.file_name().and_then(|it| it.to_str()).filter(|it| it.starts_with("ledger-")) else {
            continue;
        };
        for line in std::fs::read_to_string(&path).expect("a ledger can be read").lines() {
            runs.entry(line.to_owned()).or_default().push(name.to_owned());
        }
    }
    runs
}
