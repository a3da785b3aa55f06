//! Versions of the program: which workflows a process runs, and what is in flight of each.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::replay_report::ReplayReport;

/// Which workflows a process runs that were started by another version of the program: see
/// [`Builder::version_policy`](crate::Builder::version_policy).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VersionPolicy {
    /// All. A replay that meets another operation than the recorded one parks the workflow.
    #[default]
    Adopt,
    /// Only those of its own version: the [`application_version`](crate::Builder::application_version), or for a
    /// function with `#[workflow(version = "2")]` that one. The others are left for processes of their version, in
    /// queues and when their process has died. Workflows that were enqueued without a version, by SQL, run anywhere.
    Pin,
    /// All of its own version, and of other versions those whose whole recorded history fits. What does not fit is parked
    /// before anything of it runs, with the reason; so is what cannot be verified, if its function has changed.
    AdoptVerified,
}

/// How the workflows in flight match the present code, found out by the launch: see
/// [`Durable::deploy_report`](crate::Durable::deploy_report).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeployReport {
    /// The version of this program.
    pub version: String,
    /// The functions that have changed under workflows in flight, by name.
    pub functions: Vec<FunctionDeploy>,
    /// Whether all workflows in flight of changed functions were verified. If not, there were too many, or the time was
    /// up.
    pub complete: bool,
}

/// The workflows in flight of one function that has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionDeploy {
    /// The registered name of the function.
    pub name: String,
    /// How many match the present code.
    pub matched: u32,
    /// How many do not.
    pub mismatched: u32,
    /// How many could not be verified.
    pub unknown: u32,
    /// The reports of those that did not fit or could not be verified, at most a hundred.
    pub reports: Vec<ReplayReport>,
}

/// What is in flight of one version of the program: see [`Durable::versions`](crate::Durable::versions).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VersionInfo {
    /// The version; `None` for workflows that were enqueued without one.
    pub version: Option<String>,
    /// How many workflows of it are PENDING.
    pub pending: u64,
    /// How many are ENQUEUED.
    pub enqueued: u64,
    /// How many are DELAYED.
    pub delayed: u64,
    /// How many are PARKED. They are not in flight, and may need this version when they are resumed.
    pub parked: u64,
    /// When the oldest of those that are in flight was started.
    pub oldest: Option<DateTime<Utc>>,
    /// How many executors of it live.
    pub executors: u64,
}

impl VersionInfo {
    /// How many workflows of this version have not ended and are not parked. At 0 its last process can go.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.pending + self.enqueued + self.delayed
    }
}

impl fmt::Display for FunctionDeploy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, matched, mismatched, unknown, .. } = self;
        write!(f, "`{name}`: {matched} match, {mismatched} do not, {unknown} unknown")
    }
}
