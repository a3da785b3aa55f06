//! Whether a load balancer should send requests here.

use crate::wait::shutdown_phase::Level;

/// Whether this process takes new work, for the readiness probe of a load balancer. Given by
/// [`Durable::readiness`](crate::Durable::readiness).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not, and why: on its way down, and it never comes back up.
    NotReady(&'static str),
}

impl Readiness {
    /// Whether it takes new work.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}

impl From<Level> for Readiness {
    fn from(level: Level) -> Self {
        Self::NotReady(match level {
            Level::Running => return Self::Ready,
            Level::Quiesced => "no new work is taken: a shutdown is coming",
            Level::Draining => "shutting down: running workflows come to their end",
            Level::Aborting => "shutting down: running steps come to their end",
            Level::Killed | Level::Closing => "shutting down: what is left is handed over",
            Level::Closed => "shut down",
        })
    }
}
