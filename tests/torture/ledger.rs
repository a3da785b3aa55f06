//! What the processes did, as they wrote it down outside of the database: one file per process, one line per fact.
//!
//! A line that was written is kept when its process is killed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::AnyResult;

static FILE: OnceLock<File> = OnceLock::new();
static HOLD: OnceLock<PathBuf> = OnceLock::new();
/// While this file is there, transactions stay open for a while after their last statement.
pub(crate) const HOLD_FILE: &str = "hold";

/// Microseconds since 1970, as the database has times. All processes and the database are on one host.
///
/// This asks the kernel itself: a nemesis changes the clock that the C library shows to a process.
pub(crate) fn now() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Keeps a transaction open while the nemesis asks for it, for a second at most.
pub(crate) async fn hold_while_asked(workflow: &str) {
    for _ in 0..20 {
        if !HOLD.get().is_some_and(|it| it.exists()) {
            return;
        }
        note("holds", workflow, "-");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Opens the file of this process.
pub(crate) fn open(folder: &Path, name: &str) -> AnyResult<()> {
    let file = File::options().append(true).create(true).open(folder.join(format!("ledger-{name}")))?;
    FILE.set(file).map_err(|_| "the ledger is open")?;
    HOLD.set(folder.join(HOLD_FILE)).map_err(|_| "the ledger is open")?;
    Ok(())
}

/// Writes one fact: a word, the workflow, a detail without spaces, and the time.
pub(crate) fn note(fact: &str, workflow: &str, detail: &str) {
    let mut file = FILE.get().expect("it is opened before anything runs");
    let line = format!("{fact} {workflow} {detail} {}\n", now());
    file.write_all(line.as_bytes()).expect("the ledger can be written");
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// The process that wrote it: `slot.start`.
    pub(crate) process: String,
    pub(crate) what: String,
    pub(crate) workflow: String,
    pub(crate) detail: String,
    pub(crate) at: i64,
}

/// All lines of all processes.
#[derive(Debug, Default)]
pub(crate) struct Ledger(pub(crate) Vec<Fact>);

impl Ledger {
    pub(crate) fn read(folder: &Path) -> AnyResult<Self> {
        Self::read_those(folder, |_| true)
    }

    /// Those of these processes alone.
    pub(crate) fn read_of(folder: &Path, processes: &[String]) -> AnyResult<Self> {
        Self::read_those(folder, |process| processes.iter().any(|it| it == process))
    }

    fn read_those(folder: &Path, wanted: impl Fn(&str) -> bool) -> AnyResult<Self> {
        let mut facts = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            let Some(process) = name.strip_prefix("ledger-").filter(|it| wanted(it)) else { continue };
            let text = std::fs::read_to_string(&path)?;
            for line in text.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
                let words: Vec<_> = line.split_whitespace().collect();
                let [what, workflow, detail, at] = words[..] else { continue };
                let (what, workflow, detail) = (what.to_owned(), workflow.to_owned(), detail.to_owned());
                facts.push(Fact { process: process.to_owned(), what, workflow, detail, at: at.parse()? });
            }
        }
        facts.sort_by_key(|it| it.at);
        Ok(Self(facts))
    }

    pub(crate) fn of<'l>(&'l self, what: &'l str) -> impl Iterator<Item = &'l Fact> {
        self.0.iter().filter(move |it| it.what == what)
    }

    /// Whether the clients of these processes start nothing more.
    pub(crate) fn clients_have_stopped(&self, processes: &[String]) -> bool {
        processes.iter().all(|process| self.of("stopped").any(|it| it.process == *process))
    }
}
