//! The file of an SQLite database: from its URL to a file that can be written.

use std::fmt;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::store::location::cannot_open;
use crate::store::{Location, StoreError, StoreErrorKind};

/// How long a statement waits for a lock of another process or connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two tries at something that SQLite refuses to wait for by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Where a database is, and how its connections are made.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    pub(super) options: SqliteConnectOptions,
    pub(super) location: Location,
    create: bool,
    /// Whether it is for a client: the file is neither created nor changed.
    pub(super) for_client: bool,
}

impl DatabaseFile {
    /// # Errors
    /// [`StoreErrorKind::Refused`] when the URL cannot be read, names no file, or asks for a file that is only read.
    pub(super) fn of(url: &str) -> Result<Self, StoreError> {
        let refused = |why: &dyn fmt::Display| cannot_open(url, StoreErrorKind::Refused, why);
        let options = SqliteConnectOptions::from_str(url).map_err(|fault| refused(&StoreError::from(fault)))?;
        let options = options.foreign_keys(false).busy_timeout(BUSY_TIMEOUT).create_if_missing(false);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mode = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "mode").map(|(_, mode)| mode);
        if path.ends_with(":memory:") || mode.as_deref() == Some("memory") {
            let location = Location { shown: "sqlite::memory:".to_owned(), file: None, in_memory: true };
            // The one connection is the whole database, and nothing shares it.
            return Ok(Self { options: options.shared_cache(false), location, create: false, for_client: false });
        }
        let file = options.get_filename().to_owned();
        if file.as_os_str().is_empty() {
            return Err(refused(&"it names no file; write sqlite:path/to/file.sqlite or sqlite::memory:"));
        }
        if mode.as_deref() == Some("ro") || query.contains("immutable") {
            return Err(not_writable(&file, &"the URL asks for a database that is only read"));
        }
        let location = Location {
            shown: file.display().to_string(),
            file: Some(std::path::absolute(&file).unwrap_or_else(|_| PathBuf::from(&file))),
            in_memory: false,
        };
        // Commits are to survive a loss of power, so every one of them is synced.
        let options = options.synchronous(SqliteSynchronous::Full);
        Ok(Self { options, location, create: mode.as_deref() != Some("rw"), for_client: false })
    }

    /// Makes sure that the file exists, can be written, and is in WAL mode.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let file = self.options.get_filename();
        refuse_leftover_log(file)?;
        self.touch(file)?;
        if self.for_client {
            return Ok(());
        }
        let cannot = |error: StoreError| cannot_open(file.display(), error.kind, error.message);
        let mut connection = self.options.connect().await.map_err(|error| cannot(error.into()))?;
        let mode = into_wal_mode(&mut connection).await.map_err(cannot)?;
        let _ = connection.close().await; // nothing was written by it that could be lost
        if mode == "wal" {
            return Ok(());
        }
        let why = format!("it is in the journal mode {mode:?} and cannot be brought into WAL mode");
        Err(cannot(StoreError::new(StoreErrorKind::Refused, why)))
    }

    /// Creates the file if it is missing, readable for its owner only, because it holds the arguments
    /// of workflows. SQLite gives its companion files the same mode.
    fn touch(&self, file: &Path) -> Result<(), StoreError> {
        let create = self.create && !self.for_client;
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(create);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        let Err(error) = how.open(file) else { return Ok(()) };
        let shown = file.display();
        Err(match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if create && is_missing(file) => {
                let why = format!("cannot make the database {shown}: its folder is not writable: {error}");
                StoreError::new(StoreErrorKind::Refused, why)
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => not_writable(file, &error),
            ErrorKind::NotFound if create => {
                let why = format!("cannot make the database {shown}: its folder does not exist");
                StoreError::new(StoreErrorKind::Refused, why)
            }
            ErrorKind::NotFound => cannot_open(shown, StoreErrorKind::Refused, "there is no such file"),
            ErrorKind::IsADirectory => cannot_open(shown, StoreErrorKind::Refused, "it is a folder"),
            _ => cannot_open(shown, StoreErrorKind::Unreachable, error),
        })
    }
}

/// Refuses to begin an empty database beside the log of another one: its file was moved or deleted while it
/// was in use, and the log holds what was committed last.
fn refuse_leftover_log(file: &Path) -> Result<(), StoreError> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    if !is_missing(file) || !std::fs::metadata(&log).is_ok_and(|it| it.len() > 0) {
        return Ok(());
    }
    let why = format_args!(
        "the file is gone, and its log {} is still there: the file was moved, renamed or deleted by itself; put it back beside its log, or remove the files that end in -wal and -shm to begin with an empty database",
        log.display()
    );
    Err(cannot_open(file.display(), StoreErrorKind::Refused, why))
}

/// Whether the file is missing, as far as this process can see.
fn is_missing(file: &Path) -> bool {
    file.try_exists().is_ok_and(|exists| !exists)
}

fn not_writable(file: &Path, why: &dyn fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Refused,
        format_args!("the database {} is not writable: {why}; durable writes every step down", file.display()),
    )
}

/// Changes the journal mode, and returns the mode after that. SQLite does not wait for the lock
/// that this needs, so this retries: several processes may open a new file at the same time.
async fn into_wal_mode(connection: &mut SqliteConnection) -> Result<String, StoreError> {
    let patience = Instant::now() + BUSY_TIMEOUT;
    loop {
        let tried = sqlx::query_scalar::<_, String>("pragma journal_mode = wal").fetch_one(&mut *connection).await;
        match tried.map_err(StoreError::from) {
            Err(error) if error.kind == StoreErrorKind::Contended && Instant::now() < patience => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_path_is_accepted() {
        for (url, path) in [
            ("sqlite:app.sqlite", "app.sqlite"),
            ("sqlite://app.sqlite", "app.sqlite"),
            ("sqlite:///var/app.sqlite", "/var/app.sqlite"),
            ("sqlite:/var/app.sqlite?mode=rwc", "/var/app.sqlite"),
            ("sqlite:with%20space.sqlite", "with space.sqlite"),
        ] {
            let file = DatabaseFile::of(url).expect("it is a good URL");
            assert_eq!(file.location.shown, path, "{url}");
            assert!(!file.location.in_memory);
        }
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:x?mode=memory"] {
            assert!(DatabaseFile::of(url).expect("it is a good URL").location.in_memory, "{url}");
        }
    }

    #[test]
    fn a_url_without_a_writable_file_is_refused_with_its_path() {
        for url in ["sqlite:app.sqlite?mode=ro", "sqlite:app.sqlite?immutable=1"] {
            let error = DatabaseFile::of(url).expect_err("it cannot be written");
            assert!(error.message.contains("app.sqlite is not writable"), "{error}");
        }
        for url in ["sqlite:", "sqlite://", "sqlite:x?mode=what"] {
            assert_eq!(DatabaseFile::of(url).expect_err("it names no file").kind, StoreErrorKind::Refused);
        }
    }
}
