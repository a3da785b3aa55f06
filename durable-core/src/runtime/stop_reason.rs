//! Why a run stops although its body has not returned.

use crate::types::error::Error;

/// Why a run ends without the body's having returned. None of these is ever a value in user code:
/// the awaited call does not return, and the driver drops the body.
#[derive(Debug, Clone)]
pub(crate) enum StopReason {
    /// The engine shuts down: the row stays PENDING and goes on elsewhere or later.
    Suspend,
    /// Another run recorded something else at a position: begin again from the journal.
    Replay,
    /// The executor was deposed: somebody else owns the workflow now.
    Lost,
    /// The workflow has come to an end by somebody's order.
    Cancelled,
    /// Its time is up.
    TimedOut,
    /// A panic in a step, a result that is too large: the workflow ends with this error.
    Fail(Error),
    /// A person is needed, and this is why.
    Park(String),
}
