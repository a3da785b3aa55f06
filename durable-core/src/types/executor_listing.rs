//! Listings of executors.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One launch of a program, as the database has it. As JSON the fields have these names and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListedExecutor {
    /// Its name: as configured, or made of host and process.
    pub name: String,
    /// The host that it runs on.
    pub host: String,
    /// The version of its program.
    pub version: Option<String>,
    /// Its state.
    pub state: ExecutorState,
    /// When it was launched.
    pub started_at: DateTime<Utc>,
    /// Until when it counts as alive without another heartbeat.
    pub lease_until: DateTime<Utc>,
    /// How many workflows it runs.
    pub running: u64,
}

/// The state of an executor. In JSON it is the lower-case word that [`as_str`](Self::as_str) gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExecutorState {
    /// Its heartbeat came in time.
    Live,
    /// It shuts down, and takes no new workflows.
    Leaving,
    /// Its lease has expired: another executor takes its workflows over.
    Expired,
    /// Another executor has taken its workflows over.
    Dead,
}

impl ExecutorState {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Leaving => "leaving",
            Self::Expired => "expired",
            Self::Dead => "dead",
        }
    }
}
