//! Why a run stops although its body has not returned.

use crate::types::error::Error;

/// Why a run stops although its body has not returned. None of these is ever a value in user code: the
/// awaited call does not return, and the driver drops the body.
#[derive(Debug, Clone)]
pub(crate) enum StopReason {
    /// The engine shuts down: the row stays PENDING, and the workflow continues in another process or later.
    Suspend,
    /// Another run recorded something else at a position: the body starts again from the records.
    Replay,
    /// Another run owns the workflow now: the executor lost its lease, or has claimed it again.
    Lost,
    /// The workflow was cancelled.
    Cancelled,
    /// The body cancels its own workflow, and with `children` what it has started.
    CancelItself { children: bool },
    /// Its deadline has passed.
    TimedOut,
    /// The workflow ends with this error, such as a panic in a step or a result that is too large.
    Fail(Error),
    /// The workflow is parked for this reason.
    Park(String),
}
