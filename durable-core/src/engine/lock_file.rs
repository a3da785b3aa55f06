//! A lock file shows other processes on this host whether an executor is alive.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::{ExecutorInfo, Location};
use crate::types::keys::ExecutorKey;
use crate::types::sync::{Mutex, lock};

/// Where the executors of one database on this host have their lock files: beside the database's file, or in
/// the directory for temporary files. Only files with names of this kind are ever opened or removed.
#[derive(Debug)]
pub(super) struct LockFolder {
    host: String,
    /// The folder and the beginning of the names; `None` without lock files, as for a database in memory.
    place: Option<(PathBuf, String)>,
}

/// What a lock file shows about its executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockState {
    /// A process holds the lock: it exists, but it may be stopped.
    Held,
    /// No process holds the lock: the executor is certainly dead.
    Free,
    /// The file is of another host or another folder, or it is missing. That proves nothing: the executor may
    /// run in another container, with its own files.
    Unknown,
}

const SUFFIX: &str = ".lock";

/// What a URL says about the server and the database, without the user and the options: processes that reach one
/// database as different users have their lock files under one name.
fn server_and_database(shown: &str) -> &str {
    let without_options = shown.split('?').next().unwrap_or(shown);
    let without_scheme = without_options.split_once("://").map_or(without_options, |(_, it)| it);
    without_scheme.rsplit_once('@').map_or(without_scheme, |(_, it)| it)
}

impl LockFolder {
    pub(super) fn new(host: &str, location: &Location, schema: &str) -> Self {
        let beside = |database: &PathBuf| {
            let database = fs::canonicalize(database).ok()?;
            let file = database.file_name()?.to_string_lossy().into_owned();
            Some((database.parent()?.to_path_buf(), format!("{file}-durable-")))
        };
        let place = match &location.file {
            _ if location.in_memory => None,
            Some(database) => beside(database),
            // Of several databases in one folder each has its own names.
            None => {
                let database = format!("{}#{schema}", server_and_database(&location.shown));
                let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, database.as_bytes()).as_fields().0;
                Some((std::env::temp_dir(), format!("durable-{id:08x}-")))
            }
        };
        Self { host: host.to_owned(), place }
    }

    /// No lock files.
    pub(super) fn none(host: &str) -> Self {
        Self { host: host.to_owned(), place: None }
    }

    /// Whether executors of this database can have lock files.
    pub(super) fn exists(&self) -> bool {
        self.place.is_some()
    }

    /// The folder, if there is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.place.as_ref().map(|(folder, _)| folder.as_path())
    }

    fn path(&self, executor: ExecutorKey) -> Option<PathBuf> {
        let (folder, prefix) = self.place.as_ref()?;
        Some(folder.join(format!("{prefix}{executor}{SUFFIX}")))
    }

    /// Creates and locks the file of an executor. It appears under its name when it is locked, so that no
    /// other process takes its executor for dead.
    pub(super) fn create(&self, executor: ExecutorKey) -> io::Result<LockFile> {
        let path = self.path(executor).ok_or(io::ErrorKind::Unsupported)?;
        let unlocked = path.with_extension("new");
        let file = File::create_new(&unlocked)?;
        let named = file.lock().and_then(|()| fs::rename(&unlocked, &path));
        if let Err(error) = named {
            let _ = fs::remove_file(&unlocked);
            return Err(error);
        }
        Ok(LockFile { path, _file: file, remove_on_drop: true })
    }

    /// The path of an executor's lock file, if it is one of this folder.
    fn path_of(&self, executor: &ExecutorInfo) -> Option<PathBuf> {
        let path = self.path(executor.key)?;
        let is_own = executor.host == self.host && executor.lock_file.as_deref() == path.to_str();
        is_own.then_some(path)
    }

    /// What the lock file of an executor shows.
    pub(super) fn state(&self, executor: &ExecutorInfo) -> LockState {
        self.path_of(executor).map_or(LockState::Unknown, |path| state_of(&path))
    }

    /// Removes the lock file of an executor that is gone, if it is one of this folder.
    pub(super) fn remove(&self, executor: &ExecutorInfo) {
        if let Some(path) = self.path_of(executor) {
            remove(&path);
        }
    }

    /// The executors whose lock files no process holds.
    pub(super) fn free(&self) -> Vec<ExecutorKey> {
        let Some((folder, prefix)) = &self.place else { return Vec::new() };
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let key = |name: &str| name.strip_prefix(prefix)?.strip_suffix(SUFFIX)?.parse::<i64>().ok();
        let keys = entries.flatten().filter_map(|it| key(it.file_name().to_str()?)).map(ExecutorKey::new);
        keys.filter(|it| self.path(*it).is_some_and(|path| state_of(&path) == LockState::Free)).collect()
    }

    /// Removes the lock file of an executor without a row, if no process holds it.
    pub(super) fn remove_free(&self, executor: ExecutorKey) {
        if let Some(path) = self.path(executor).filter(|it| state_of(it) == LockState::Free) {
            remove(&path);
        }
    }
}

fn state_of(path: &PathBuf) -> LockState {
    // A symbolic link is not of this engine's making.
    if !fs::symlink_metadata(path).is_ok_and(|it| it.is_file()) {
        return LockState::Unknown;
    }
    let Ok(file) = File::options().read(true).write(true).open(path) else { return LockState::Unknown };
    match file.try_lock() {
        Ok(()) => LockState::Free,
        Err(TryLockError::WouldBlock) => LockState::Held,
        Err(TryLockError::Error(_)) => LockState::Unknown,
    }
}

fn remove(path: &PathBuf) {
    let _ = fs::remove_file(path); // another process may have removed it, and a leftover does no harm
}

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

    /// A folder of a database that no other test has.
    fn folder() -> LockFolder {
        let shown = format!("test {}", crate::types::id::KeyMaker::new().next::<ExecutorKey>());
        LockFolder::new("here", &Location { shown, file: None, in_memory: false }, "durable")
    }

    fn info(key: ExecutorKey, path: &str) -> ExecutorInfo {
        ExecutorInfo {
            key,
            name: "a".to_owned(),
            epoch: crate::store::Fence::FIRST_EPOCH,
            host: "here".to_owned(),
            lock_file: Some(path.to_owned()),
            expired: false,
            leaving: false,
        }
    }

    #[test]
    fn one_database_has_one_name_whatever_the_user_and_the_options() {
        for url in [
            "postgres://ada:***@db:5432/shop?application_name=web",
            "postgresql://bob@db:5432/shop",
            "postgres://db:5432/shop",
        ] {
            assert_eq!(server_and_database(url), "db:5432/shop");
        }
    }

    #[test]
    fn a_lock_file_shows_whether_its_holder_is_alive() {
        let (folder, key) = (folder(), ExecutorKey::new(7));
        let lock = folder.create(key).expect("the directory for temporary files is writable");
        let executor = info(key, &lock.path());
        assert_eq!(folder.state(&executor), LockState::Held, "this process is alive");
        assert!(folder.free().is_empty());

        lock.unlock();
        assert_eq!((folder.state(&executor), folder.free()), (LockState::Free, vec![key]));
        folder.remove(&executor);
        assert_eq!(folder.state(&executor), LockState::Unknown, "a missing file proves nothing");
    }

    #[test]
    fn only_a_lock_file_of_this_host_and_folder_with_the_name_of_its_executor_is_touched() {
        let (folder, key) = (folder(), ExecutorKey::new(7));
        let lock = folder.create(key).expect("the directory for temporary files is writable");
        let path = lock.path();
        lock.unlock();
        let other = PathBuf::from(&path).with_extension("txt");
        fs::write(&other, "a file of the user").expect("the directory for temporary files is writable");
        let elsewhere = ExecutorInfo { host: "there".to_owned(), ..info(key, &path) };
        for executor in [info(key, &other.to_string_lossy()), info(ExecutorKey::new(8), &path), elsewhere] {
            assert_eq!(folder.state(&executor), LockState::Unknown, "{executor:?}");
            folder.remove(&executor);
        }
        assert!(other.exists() && PathBuf::from(&path).exists());
        remove(&other);
        folder.remove_free(key);
        assert!(!PathBuf::from(&path).exists());
    }

    #[test]
    fn a_lock_is_held_until_the_application_is_launched_again() {
        let (folder, key) = (folder(), ExecutorKey::new(7));
        let keeper = LockFileKeeper::new(folder.create(key).ok());
        let path = lock(&keeper.held).as_ref().expect("it was given one").path();
        let executor = info(key, &path);
        let location = Location { shown: path, file: None, in_memory: false };
        let application = Application { name: "app".to_owned(), location, schema: "durable".to_owned() };
        keeper.hold_until_restart(&application);
        unlock_for_restart(&Application { name: "another".to_owned(), ..application.clone() });
        assert_eq!(folder.state(&executor), LockState::Held, "another application is no restart");
        unlock_for_restart(&application);
        assert_eq!(folder.state(&executor), LockState::Free, "the file stays, and is unlocked");
        folder.remove(&executor);
    }
}
