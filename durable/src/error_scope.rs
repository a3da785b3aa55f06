//! What an error means for a change of several workflows.

use crate::{Error, ErrorKind};

/// Whether an error is about one workflow, so that the change of the next one may succeed.
pub(crate) fn is_about_one(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::Duplicate
            | ErrorKind::Ended
            | ErrorKind::InvalidId
            | ErrorKind::IdConflict
            | ErrorKind::Payload
    )
}
