//! Running the command line, and comparing what it prints.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::{ProcessDatabase, program};

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Printed {
    /// The output of a command that was successful.
    #[track_caller]
    pub(super) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The error of a command that ended with this exit code.
    #[track_caller]
    pub(super) fn fails_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.err
    }

    /// The output as JSON.
    #[track_caller]
    pub(super) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.good()).expect("it is JSON")
    }
}

/// The command line on a database, in a folder without a file of contexts.
pub(super) fn command(database: &ProcessDatabase, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("durable_cli"));
    command.args(arguments).current_dir(database.folder()).stdin(Stdio::null()).kill_on_drop(true);
    command
        .env("DURABLE_DATABASE_URL", database.url())
        .env("DURABLE_CONTEXTS", database.folder().join("contexts.toml"));
    command.env_remove("DURABLE_CONTEXT").env_remove("COLUMNS");
    command
}

/// Runs the command line on a database.
pub(super) async fn durable(database: &ProcessDatabase, arguments: &[&str]) -> Printed {
    run(&mut command(database, arguments)).await
}

pub(super) async fn run(command: &mut Command) -> Printed {
    let output = command.output().await.expect("the program can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    Printed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Compares what was printed with a file, after what differs from run to run is replaced.
#[track_caller]
pub(super) fn matches_snapshot(database: &ProcessDatabase, name: &str, printed: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/cli/snapshots").join(name);
    let printed = normalized(database, printed);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &printed).expect("the snapshot can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(printed, kept, "{} differs; BLESS=1 writes it anew", path.display());
}

/// Times, durations and places as fixed words; columns are separated by two spaces.
fn normalized(database: &ProcessDatabase, printed: &str) -> String {
    let location = database.url().trim_start_matches("sqlite:").to_owned();
    let mut lines = Vec::new();
    for line in printed.replace(&location, "DATABASE").lines() {
        let columns: Vec<_> = line.split("  ").map(str::trim).filter(|it| !it.is_empty()).map(word).collect();
        let indent = if line.starts_with("  ") { "  " } else { "" };
        lines.push(format!("{indent}{}", columns.join("  ")));
    }
    lines.join("\n") + "\n"
}

fn word(column: &str) -> String {
    let is_time = |it: &str| it.len() == 20 && it.ends_with('Z') && it.as_bytes()[10] == b'T';
    let is_duration = |it: &str| {
        it.strip_suffix("ms")
            .or_else(|| it.strip_suffix('s'))
            .is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
    };
    if is_time(column) {
        "TIME".to_owned()
    } else if is_duration(column) {
        "DURATION".to_owned()
    } else if column.contains('█') {
        "BAR".to_owned()
    } else {
        column.to_owned()
    }
}
