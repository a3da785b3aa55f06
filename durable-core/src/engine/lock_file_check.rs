//! Whether the lock files of the executors on this host can be relied on, for a diagnosis.

use crate::engine::executor_identity::host;
use crate::engine::lock_file::{LockFolder, LockState};
use crate::store::{ExecutorInfo, Location};
use crate::types::diagnosis::Diagnosis;

const NAME: &str = "lock files";

/// Adds what is found to the diagnosis.
pub(super) fn check(diagnosis: &mut Diagnosis, executors: &[ExecutorInfo], location: &Location, schema: &str) {
    let host = host();
    let folder = LockFolder::new(&host, location, schema);
    let Some(place) = folder.folder() else { return };
    let here: Vec<_> = executors.iter().filter(|it| it.host == host).collect();
    let unusable: Vec<_> = here
        .iter()
        .filter(|it| folder.state(it) == LockState::Unknown)
        .map(|it| match &it.lock_file {
            Some(path) => format!("{} ({path})", it.name),
            None => format!("{} (none)", it.name),
        })
        .collect();
    if unusable.is_empty() {
        let finding = format!("those of {} executors on this host are in {}", here.len(), place.display());
        diagnosis.good(NAME, finding);
        return;
    }
    diagnosis.warning(
        NAME,
        format!("no lock file of this user in {} shows whether these executors live: {}", place.display(), unusable.join(", ")),
        "run the processes of this host as one user with one directory for temporary files; until then a dead one is found by its lease alone",
    );
}
