//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::AnyResult;

/// What this process is to do.
pub(crate) enum Command {
    Torture(TortureOptions),
    Worker(WorkerOptions),
    /// A process that copies the WAL of this SQLite file into it again and again.
    Checkpointer(String),
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Sqlite,
    Postgres,
}

/// A run, as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct TortureOptions {
    pub(crate) nemesis: String,
    pub(crate) store: StoreKind,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) lease: Duration,
    pub(crate) idle_timeout: Duration,
    /// How long the workflows have to end once the nemesis has left.
    pub(crate) cut_off: Duration,
    /// The long form: a mix until so much was done, or the time is up.
    pub(crate) long: bool,
    /// The file whose table gets the line.
    pub(crate) write: Option<PathBuf>,
}

/// What a run gives each of its processes.
#[derive(Debug, Clone)]
pub(crate) struct WorkerOptions {
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    /// Which process it is, and how often it was started before.
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) lease: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) long_transactions: bool,
}

impl Command {
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = String>) -> AnyResult<Self> {
        let arguments: Vec<_> = arguments.collect();
        let value = |name: &str| {
            let index = arguments.iter().position(|it| it == name)?;
            arguments.get(index + 1).cloned()
        };
        let number = |name: &str, default: u64| value(name).map_or(Ok(default), |it| it.parse());
        let has = |name: &str| arguments.iter().any(|it| it == name);
        if has("--list") {
            return Ok(Self::List);
        }
        let (seed, lease) = (number("--seed", 1)?, Duration::from_millis(number("--lease-ms", 3_000)?));
        let idle_timeout = Duration::from_millis(number("--idle-timeout-ms", 60_000)?);
        let cut_off = Duration::from_secs(number("--cut-off", 90)?);
        if let Some(folder) = value("--worker") {
            return Ok(Self::Worker(WorkerOptions {
                folder: folder.into(),
                url: value("--url").ok_or("--url is missing")?,
                name: value("--name").ok_or("--name is missing")?,
                seed,
                lease,
                idle_timeout,
                long_transactions: has("--long-transactions"),
            }));
        }
        if let Some(url) = value("--checkpointer") {
            return Ok(Self::Checkpointer(url));
        }
        let store = match value("--store").as_deref() {
            None | Some("sqlite") => StoreKind::Sqlite,
            Some("postgres") => StoreKind::Postgres,
            Some(other) => return Err(format!("--store is sqlite or postgres, and not {other}").into()),
        };
        let (long, write) = (has("--long"), value("--write").map(PathBuf::from));
        if long && value("--nemesis").is_some() {
            return Err("--long has a plan of its own: leave --nemesis out".into());
        }
        let nemesis = value("--nemesis").unwrap_or_else(|| "none".to_owned());
        let seconds = number("--seconds", if long { 7_200 } else { 10 })?;
        Ok(Self::Torture(TortureOptions { nemesis, store, seconds, seed, lease, idle_timeout, cut_off, long, write }))
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        })
    }
}
