//! A lock file shows other processes on this host whether an executor is alive.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::store::Location;
use crate::types::sync::lock;

/// A file that this process keeps locked as long as the executor is alive. The operating system
/// releases the lock when the process ends, however it ends. So a process on the same host that gets
/// the lock knows that the executor is dead, and need not wait for its lease to expire.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// Keeps the lock.
    _file: File,
    /// Whether dropping it also removes the file.
    remove_on_drop: bool,
}

impl LockFile {
    /// Creates and locks one: beside the database's file, or in the directory for temporary files.
    pub(super) fn create(location: &Location, executor: i64) -> io::Result<Self> {
        let name = format!("durable-{executor}.lock");
        let path = match &location.file {
            Some(database) => {
                let database = fs::canonicalize(database)?;
                let stem = database.file_name().unwrap_or_default().to_string_lossy().into_owned();
                database.with_file_name(format!("{stem}-{name}"))
            }
            None => std::env::temp_dir().join(name),
        };
        let file = File::create_new(&path)?;
        file.lock()?;
        Ok(Self { path, _file: file, remove_on_drop: true })
    }

    /// Releases the lock and keeps the file, as a killed process does: a process that finds it knows
    /// that the executor is dead.
    fn unlock(mut self) {
        self.remove_on_drop = false;
    }

    pub(super) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.remove_on_drop {
            remove(&self.path);
        }
    }
}

/// Whether the holder of a lock file is certainly dead. A missing or unreadable file proves nothing:
/// the holder may run in another container, with its own files.
pub(super) fn is_holder_dead(path: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return false };
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Removes the lock file of an executor that is gone.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(path); // another process may have removed it, and a leftover does no harm
}

/// What identifies an application that is launched again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Application {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) schema: String,
}

/// The lock files of executors of this process that have shut down and keep their workflows for a restart.
static HELD_UNTIL_RESTART: Mutex<Vec<(Application, LockFile)>> = Mutex::new(Vec::new());

/// The application is launched again: the launch may take over what its earlier executors in this
/// process have kept.
pub(super) fn unlock_for_restart(application: &Application) {
    for (_, lock_file) in lock(&HELD_UNTIL_RESTART).extract_if(.., |(of, _)| of == application) {
        lock_file.unlock();
    }
}

/// The lock file of a running executor, if it has one.
#[derive(Debug)]
pub(super) struct LockFileKeeper {
    held: Mutex<Option<LockFile>>,
}

impl LockFileKeeper {
    pub(super) fn new(lock_file: Option<LockFile>) -> Self {
        Self { held: Mutex::new(lock_file) }
    }

    /// Puts the lock file of a newly registered executor in place of the earlier one, which is removed.
    pub(super) fn replace(&self, lock_file: Option<LockFile>) {
        *lock(&self.held) = lock_file;
    }

    /// Releases the lock and keeps the file: the executor's row is still there, without a heartbeat.
    pub(super) fn unlock(&self) {
        if let Some(lock_file) = lock(&self.held).take() {
            lock_file.unlock();
        }
    }

    /// Keeps the lock until the process ends: a stuck workflow may still be running, so the executor must
    /// not be taken for dead before its lease has expired.
    pub(super) fn hold_until_exit(&self) {
        std::mem::forget(lock(&self.held).take());
    }

    /// Keeps the lock until the process ends or launches the application again: until then no other
    /// executor may take over the workflows that were not released.
    pub(super) fn hold_until_restart(&self, of: &Application) {
        if let Some(lock_file) = lock(&self.held).take() {
            lock(&HELD_UNTIL_RESTART).push((of.clone(), lock_file));
        }
    }

    /// Removes the lock file: the executor's row was deleted.
    pub(super) fn remove(&self) {
        lock(&self.held).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create() -> LockFile {
        let location = Location { shown: String::new(), file: None, in_memory: false };
        let executor = crate::types::id::KeyMaker::new().next();
        LockFile::create(&location, executor).expect("the directory for temporary files is writable")
    }

    #[test]
    fn a_lock_file_shows_whether_its_holder_is_alive() {
        let lock = create();
        let path = PathBuf::from(lock.path());
        assert!(!is_holder_dead(&path), "this process is alive");

        let left = path.with_extension("left");
        fs::copy(&path, &left).expect("a lock file can be copied, and the copy is not locked");
        assert!(is_holder_dead(&left));
        remove(&left);

        drop(lock);
        assert!(!is_holder_dead(&path), "a missing file proves nothing");
    }

    #[test]
    fn a_lock_is_held_until_the_application_is_launched_again() {
        let keeper = LockFileKeeper::new(Some(create()));
        let path = PathBuf::from(lock(&keeper.held).as_ref().expect("it was given one").path());
        let location = Location { shown: path.to_string_lossy().into_owned(), file: None, in_memory: false };
        let application = Application { name: "app".to_owned(), location, schema: "durable".to_owned() };
        keeper.hold_until_restart(&application);
        unlock_for_restart(&Application { name: "another".to_owned(), ..application.clone() });
        assert!(!is_holder_dead(&path), "another application is no restart");
        unlock_for_restart(&application);
        assert!(is_holder_dead(&path), "the file stays, and is unlocked");
        remove(&path);
    }
}
