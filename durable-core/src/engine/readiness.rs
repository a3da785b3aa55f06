//! Whether a load balancer should send requests here.

use crate::wait::shutdown_phase::EnginePhase;

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

impl From<EnginePhase> for Readiness {
    fn from(level: EnginePhase) -> Self {
        Self::NotReady(match level {
            EnginePhase::Running => return Self::Ready,
            EnginePhase::Quiesced => "no new work is taken: a shutdown is coming",
            EnginePhase::Draining => "shutting down: running workflows come to their end",
            EnginePhase::Aborting => "shutting down: running steps come to their end",
            EnginePhase::Stopping | EnginePhase::Closing => "shutting down: what is left is handed over",
            EnginePhase::Closed => "shut down",
        })
    }
}
