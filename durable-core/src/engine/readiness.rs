//! Whether a load balancer should send requests to this process.

use crate::wait::shutdown_phase::EnginePhase;

/// Whether this process takes new work, for the readiness probe of a load balancer. Returned by
/// [`Durable::readiness`](crate::Durable::readiness).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It takes new work.
    Ready,
    /// It takes no new work, for this reason: it is shutting down. It never becomes ready again.
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
    fn from(phase: EnginePhase) -> Self {
        Self::NotReady(match phase {
            EnginePhase::Running => return Self::Ready,
            EnginePhase::Quiesced => "a shutdown is coming: no new work is taken",
            EnginePhase::Draining => "shutting down: running workflows may finish",
            EnginePhase::Aborting => "shutting down: running steps may finish",
            EnginePhase::Stopping | EnginePhase::Closing => "shutting down: unfinished workflows are handed over",
            EnginePhase::Closed => "shut down",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_engine_is_ready() {
        assert!(Readiness::from(EnginePhase::Running).is_ready());
        for phase in [EnginePhase::Quiesced, EnginePhase::Draining, EnginePhase::Stopping, EnginePhase::Closed] {
            assert!(!Readiness::from(phase).is_ready(), "{phase:?}");
        }
    }
}
