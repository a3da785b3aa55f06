//! What the processes did, as they wrote it down outside of the database: one file per process, one line per fact.
//!
//! A line that was written is kept when its process is killed.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::AnyResult;

static FILE: OnceLock<File> = OnceLock::new();

/// Microseconds since 1970, as the database has times. All processes and the database are on one host.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_micros()).expect("it is before the year 9999")
}

/// Opens the file of this process.
pub(crate) fn open(folder: &Path, name: &str) -> AnyResult<()> {
    let file = File::options().append(true).create(true).open(folder.join(format!("ledger-{name}")))?;
    FILE.set(file).map_err(|_| "the ledger is open")?;
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
        let mut facts = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            let Some(process) = name.strip_prefix("ledger-") else { continue };
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
