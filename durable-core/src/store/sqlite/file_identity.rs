//! Whether a database's file is still the one that was opened.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::store::{StoreError, StoreErrorKind};

/// The file of a database, as it was when it was opened. SQLite goes on writing to an open file that was moved,
/// replaced or deleted, where no later process finds it.
#[derive(Debug)]
pub(super) struct FileIdentity {
    /// The path; `None` for a database in memory.
    path: Option<PathBuf>,
    opened: OnceLock<Option<Id>>,
}

/// What distinguishes a file from all others of this host.
type Id = (u64, u64);

impl FileIdentity {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, opened: OnceLock::new() }
    }

    /// Notes which file it is, or that this system does not show it.
    pub(super) fn note(&self) {
        if let Some(path) = &self.path {
            let _ = self.opened.set(id_of(path)); // the first one counts
        }
    }

    /// Compares the file at the path with the one that was opened: one system call.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unreachable`]: writes are tried again until the file is back.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let (Some(path), Some(Some(opened))) = (&self.path, self.opened.get()) else { return Ok(()) };
        if id_of(path) == Some(*opened) {
            return Ok(());
        }
        let message = format_args!(
            "the database {} was moved, replaced or deleted while it is in use; nothing is confirmed until that file is back at this path (to use what is there now, restart this process)",
            path.display()
        );
        Err(StoreError::new(StoreErrorKind::Unreachable, message))
    }
}

impl FileIdentity {
    /// The same check for a connection, in the driver's error type.
    pub(super) fn check_opened(&self) -> Result<(), sqlx::Error> {
        self.check().map_err(|error| sqlx::Error::Io(std::io::Error::other(error.message)))
    }
}

#[cfg(unix)]
fn id_of(path: &std::path::Path) -> Option<Id> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

/// Windows does not let an open database be moved or deleted.
#[cfg(not(unix))]
fn id_of(_: &std::path::Path) -> Option<Id> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn another_file_at_the_path_is_found_out_and_the_same_one_is_accepted_again() {
        let path = std::env::temp_dir().join(format!("durable-{}.test", uuid::Uuid::new_v4().simple()));
        let aside = path.with_extension("aside");
        std::fs::write(&path, "a").expect("the directory for temporary files is writable");
        let file = FileIdentity::new(Some(path.clone()));
        file.note();
        file.check().expect("it is the same file");
        std::fs::rename(&path, &aside).expect("it is there");
        file.check().expect_err("there is none");
        std::fs::write(&path, "b").expect("the directory for temporary files is writable");
        file.note();
        let error = file.check().expect_err("it is another one");
        assert!(error.message.contains("moved, replaced or deleted"), "{error}");
        std::fs::rename(&aside, &path).expect("it is there");
        file.check().expect("it is back");
        std::fs::remove_file(&path).expect("it is there");
    }
}
