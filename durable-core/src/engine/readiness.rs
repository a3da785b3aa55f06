//! Whether a load balancer should send requests to this process.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wait::shutdown_phase::EnginePhase;

/// Why a process is not ready that cannot reach its database.
pub(super) const LEASE_NOT_CONFIRMED: &str = "the database does not answer: the lease of this process is not confirmed";

/// Whether this process takes new work, for the readiness probe of a load balancer. Returned by
/// [`Durable::readiness`](crate::Durable::readiness).
///
/// There are these two answers and no others, so a `match` needs no wildcard arm. As JSON it is
/// `{"ready":true}`, or `{"ready":false,"reason":"…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It takes new work.
    Ready,
    /// It takes no new work, for this reason: it is shutting down, or the database has not confirmed its lease for
    /// half of the lease's time. In the latter case it becomes ready again.
    NotReady(&'static str),
}

impl Readiness {
    /// Whether it takes new work.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }

    /// Why this process takes no new work; `None` if it does.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Ready => None,
            Self::NotReady(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.reason().unwrap_or("ready"))
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

/// The JSON form.
#[derive(Serialize, Deserialize)]
struct ReadinessJson {
    ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Serialize for Readiness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReadinessJson { ready: self.is_ready(), reason: self.reason().map(str::to_owned) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Readiness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NOT_READY: [EnginePhase; 5] = [
            EnginePhase::Quiesced,
            EnginePhase::Draining,
            EnginePhase::Aborting,
            EnginePhase::Stopping,
            EnginePhase::Closed,
        ];
        let json = ReadinessJson::deserialize(deserializer)?;
        if json.ready {
            return Ok(Self::Ready);
        }
        if json.reason.as_deref() == Some(LEASE_NOT_CONFIRMED) {
            return Ok(Self::NotReady(LEASE_NOT_CONFIRMED));
        }
        // The reason of another release may have another wording.
        let known = NOT_READY.into_iter().map(Self::from).find(|it| it.reason() == json.reason.as_deref());
        Ok(known.unwrap_or(Self::NotReady("shutting down")))
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
