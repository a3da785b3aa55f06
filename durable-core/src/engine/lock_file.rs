//! Who this process is: its host, its version, and a lock file that shows whether it lives.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::store::Location;
use crate::types::keys::ExecutorKey;

/// This host's name.
pub(super) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// A hash of the running executable, the same wherever the same build runs.
pub(super) fn version_of_executable() -> String {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| hash_of_executable().unwrap_or_else(|_| "unknown".to_owned())).clone()
}

fn hash_of_executable() -> io::Result<String> {
    let mut file = File::open(std::env::current_exe()?)?;
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:016x}", hasher.finish())),
            read => hasher.write(&buffer[..read]),
        }
    }
}

/// A file that this process holds locked while it lives. The system lets go of the lock when the
/// process ends, in whatever way; so another process on this host that gets the lock knows that the
/// holder is dead, and need not wait for its lease.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// Only held.
    _file: File,
    /// Whether the file is to go with the lock.
    tidy: bool,
}

impl LockFile {
    /// Makes and locks one: beside the database's file, or in the directory for temporary files.
    pub(super) fn create(location: &Location, executor: ExecutorKey) -> io::Result<Self> {
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
        Ok(Self { path, _file: file, tidy: true })
    }

    /// Lets go of the lock and leaves the file, as a killed process would: whoever finds it knows
    /// that the executor is gone.
    pub(super) fn keep_file(mut self) {
        self.tidy = false;
    }

    pub(super) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.tidy {
            // If it stays, whoever takes over removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the holder of a lock file is dead for certain. A file that is not there, or cannot be
/// asked, says nothing: the holder may be in another container, with files of its own.
pub(super) fn is_holder_dead(path: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return false };
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Removes the lock file of an executor that was deposed.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(path); // somebody else may have done it already
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_shows_whether_its_holder_lives() {
        let location = Location { shown: String::new(), file: None, in_memory: false };
        let executor = crate::types::id::KeyMaker::new().next();
        let lock = LockFile::create(&location, executor).expect("the directory for temporary files is writable");
        let path = PathBuf::from(lock.path());
        assert!(!is_holder_dead(&path), "this process lives");

        let left = path.with_extension("left");
        fs::copy(&path, &left).expect("a lock file can be copied, and nobody holds the copy");
        assert!(is_holder_dead(&left));
        remove(&left);

        drop(lock);
        assert!(!is_holder_dead(&path), "a missing file says nothing");
    }
}
