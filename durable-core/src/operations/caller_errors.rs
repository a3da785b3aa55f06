//! Errors for callers outside any workflow when the engine or its database does not reply. They contain
//! whether anything was written, and what to do.

use crate::runtime::Runtime;
use crate::store::{StoreError, StoreErrorKind};
use crate::types::error::{Error, ErrorKind};
use crate::types::suggest;
use crate::wait::shutdown_phase::EnginePhase;

/// A write of a caller that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteFailure<'a> {
    pub(super) runtime: &'a Runtime,
    /// What was to be written, with the id of the workflow.
    pub(super) what: &'a str,
    /// What to do when it is unknown whether it was written.
    pub(super) if_unconfirmed: &'a str,
}

/// What to do about a workflow that may have been written.
pub(super) const RETRY_START: &str = "ask with its id, or start it again with the same id, which is safe";
/// What to do about a message that may have been written.
pub(super) const RETRY_SEND: &str =
    "sent again with the same idempotency key it is received once; without one it may be received twice";
/// What to do about an event or a stream item of a step.
pub(super) const RETRY_BY_STEP: &str = "it is written again when the step runs again";

impl WriteFailure<'_> {
    /// The error for the caller when the store failed with `error`.
    pub(super) fn error_for(&self, error: &StoreError) -> Error {
        let Self { runtime, what, if_unconfirmed } = self;
        match error.kind {
            StoreErrorKind::Closed => self.closed(),
            StoreErrorKind::Unreachable => {
                let message = format!(
                    "the database had not confirmed {what} when `{}` shut down, so it may or may not have been written: {if_unconfirmed}",
                    runtime.settings.name
                );
                Error::new(ErrorKind::Unconfirmed, message)
            }
            _ => refused(what, error),
        }
    }

    /// Another executor has taken over from this one, which may not write any more.
    pub(super) fn fenced(&self) -> Error {
        if self.runtime.shutdown.phase() >= EnginePhase::Draining {
            return self.closed();
        }
        let message = format!(
            "this executor (`{}`) lost its lease and another process took over, so {} was not written; retry: the executor registers again automatically",
            self.runtime.settings.name, self.what
        );
        Error::new(ErrorKind::Database, message)
    }

    fn closed(&self) -> Error {
        let message = format!(
            "`{}` is shutting down and can no longer store {}; nothing was written, do it in another process or after the restart",
            self.runtime.settings.name, self.what
        );
        Error::new(ErrorKind::ShuttingDown, message)
    }
}

/// The database refused the write.
pub(super) fn refused(what: &str, error: &StoreError) -> Error {
    Error::new(ErrorKind::Database, format!("the database refused {what}: {error}"))
}

/// A read, or a write that belongs to no workflow, failed.
pub(crate) fn failed_to(runtime: &Runtime, what: &str, error: &StoreError) -> Error {
    if error.kind == StoreErrorKind::Closed {
        let message = format!(
            "cannot {what}: `{}` is shutting down and has closed its database; do it in another process or after the restart",
            runtime.settings.name
        );
        return Error::new(ErrorKind::ShuttingDown, message);
    }
    Error::new(ErrorKind::Database, format!("cannot {what} in {}: {error}", runtime.store.location()))
}

/// The engine shut down before something of a workflow was there; the workflow may not exist yet.
pub(super) fn interrupted_for(what: &str) -> Error {
    let message = format!(
        "this process is shutting down and no longer waits for {what}: ask again in another process or after the restart"
    );
    Error::new(ErrorKind::Interrupted, message)
}

/// The engine shut down before an existing workflow ended.
pub(crate) fn interrupted(id: &str) -> Error {
    let message = format!(
        "this process is shutting down; the workflow {id:?} is safe in the database and continues in another process or after the restart: ask again with its id"
    );
    Error::new(ErrorKind::Interrupted, message).with_workflow(id)
}

/// There is no queue or schedule of this name; `known` are the names that there are.
pub(super) fn unknown_name(what: &str, name: &str, known: impl IntoIterator<Item = String>) -> Error {
    let distance_of = |known: String| (suggest::distance(name, &known), known);
    let closest = known.into_iter().map(distance_of).min().filter(|(distance, _)| *distance <= name.len() / 3);
    let suggestion = closest.map_or_else(String::new, |(_, known)| format!("; did you mean {known:?}?"));
    Error::new(ErrorKind::NotFound, format!("no {what} has the name {name:?}{suggestion}"))
}
