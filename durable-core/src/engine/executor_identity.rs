//! Which executor this is: its name, its host, its version, and its row in the database.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::lock_file::{LockFile, LockFolder};
use crate::store::{NewExecutor, Store};
use crate::types::keys::ExecutorKey;

/// What an executor takes, for diagnoses. In its row it is JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TakenWork {
    /// The names of its workflows.
    pub(super) workflows: Vec<String>,
    /// The names of the queues that it takes work from.
    pub(super) queues: Vec<String>,
    /// If it is pinned: the names with their versions, as the registry gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pinned: Option<Vec<String>>,
}

/// What this executor registers with, at the launch and again after it has lost its lease.
#[derive(Debug)]
pub(super) struct ExecutorIdentity {
    name: String,
    host: String,
    version: String,
    takes: TakenWork,
    lease: Duration,
    lock_folder: LockFolder,
}

impl ExecutorIdentity {
    pub(super) fn new(
        name: Option<&str>,
        version: String,
        takes: TakenWork,
        lease: Duration,
        schema: &str,
        store: &dyn Store,
    ) -> Self {
        let host = host();
        // A configured name that two executors share means a restart. A generated name must never be
        // shared by chance: hosts and process ids repeat in containers, so it ends with a random part.
        let random = uuid::Uuid::new_v4().as_fields().1;
        let generated = || format!("{host}:{}:{random:04x}", std::process::id());
        let name = name.map_or_else(generated, str::to_owned);
        let lock_folder = LockFolder::new(&host, &store.location(), schema);
        Self { name, host, version, takes, lease, lock_folder }
    }

    /// The same without lock files: a process that a test lets crash would leave them.
    pub(super) fn without_lock_files(mut self) -> Self {
        self.lock_folder = LockFolder::none(&self.host);
        self
    }

    /// The row of an executor with this key, and its lock file. Without a lock file, for example in a
    /// read-only folder, other executors wait for the lease instead.
    pub(super) fn executor(&self, key: ExecutorKey) -> (NewExecutor, Option<LockFile>) {
        let lock_file = self.lock_folder.create(key).ok();
        let executor = NewExecutor {
            key,
            name: self.name.clone(),
            host: self.host.clone(),
            lock_file: lock_file.as_ref().map(LockFile::path),
            version: self.version.clone(),
            takes: serde_json::to_string(&self.takes).ok(),
            lease: self.lease,
        };
        (executor, lock_file)
    }

    /// Where the executors of this database on this host have their lock files.
    pub(super) fn lock_folder(&self) -> &LockFolder {
        &self.lock_folder
    }
}

/// The name of this host.
pub(super) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
