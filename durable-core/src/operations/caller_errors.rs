//! What callers outside any workflow are told when the engine or its database gives no answer:
//! whether something was written, and what to do now.

use crate::runtime::Runtime;
use crate::store::{StoreError, StoreErrorKind};
use crate::types::error::{Error, ErrorKind};
use crate::wait::shutdown_phase::EnginePhase;

/// Something that a caller wanted to have written.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteFailure<'a> {
    pub(super) runtime: &'a Runtime,
    /// What, with the id of the workflow.
    pub(super) what: &'a str,
    /// What to do when nobody knows whether it was.
    pub(super) if_unconfirmed: &'a str,
}

/// What to do about a workflow that may have been written.
pub(super) const RETRY_START: &str = "ask with its id, or start it again with the same id, which is safe";
/// What to do about a message that may have been written.
pub(super) const RETRY_SEND: &str =
    "sent again with the same idempotency key it is received once; without one it may be received twice";
/// What to do about something that a step shows: the step runs again.
pub(super) const RETRY_BY_STEP: &str = "it is shown when the step runs again";

impl WriteFailure<'_> {
    /// The store gave an error.
    pub(super) fn error_for(&self, error: &StoreError) -> Error {
        let Self { runtime, what, if_unconfirmed } = self;
        match error.kind {
            StoreErrorKind::Closed => self.closed(),
            StoreErrorKind::Unreachable => {
                let message = format!(
                    "the database had not confirmed {what} when `{}` gave up, so it may or may not have been written: {if_unconfirmed}",
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
            "another process took `{}` for dead and has taken over from it, so nothing was written of {}; it signs on again in a moment, do it again then",
            self.runtime.settings.name, self.what
        );
        Error::new(ErrorKind::Database, message)
    }

    fn closed(&self) -> Error {
        let message = format!(
            "`{}` is shutting down and can store {} no more; nothing was written, do it on another process or after the restart",
            self.runtime.settings.name, self.what
        );
        Error::new(ErrorKind::ShuttingDown, message)
    }
}

/// The database does not take it.
pub(super) fn refused(what: &str, error: &StoreError) -> Error {
    Error::new(ErrorKind::Database, format!("the database refused {what}: {error}"))
}

/// The database could not be asked, or not be told what is no record of a workflow.
pub(super) fn failed_to(runtime: &Runtime, what: &str, error: &StoreError) -> Error {
    if error.kind == StoreErrorKind::Closed {
        let message = format!(
            "cannot {what}: `{}` is shutting down and has closed its database; do it on another process or after the restart",
            runtime.settings.name
        );
        return Error::new(ErrorKind::ShuttingDown, message);
    }
    Error::new(ErrorKind::Database, format!("cannot {what} in {}: {error}", runtime.store.location()))
}

/// The engine goes down before there is something of a workflow that may not be there yet.
pub(super) fn interrupted_for(what: &str) -> Error {
    let message = format!(
        "this process is shutting down and waits no longer for {what}: ask again elsewhere or after the restart"
    );
    Error::new(ErrorKind::Interrupted, message)
}

/// The engine goes down before the end of a workflow that is there.
pub(crate) fn interrupted(id: &str) -> Error {
    let message = format!(
        "this process is shutting down; the workflow {id:?} is safe in the database and goes on elsewhere or after the restart: ask again with its id"
    );
    Error::new(ErrorKind::Interrupted, message).with_workflow(id)
}
