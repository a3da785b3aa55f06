//! Whether the present code of a workflow makes the operations that are recorded.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::position::Position;

/// Whether the present code of a workflow makes the operations that are recorded: see
/// [`verify_replay`](crate::verify_replay). Its text, by [`Display`](fmt::Display), is a sentence without the id.
///
/// As JSON the outcome is a field `outcome` with one of `match`, `mismatch`, `missing`, `extra` and `unknown`, beside the
/// fields that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplayReport {
    /// The id of the workflow.
    pub id: String,
    /// The registered name of its function.
    pub workflow: String,
    /// How many operations are recorded.
    pub records: u32,
    /// How many of them the code asked for.
    pub compared: u32,
    /// How they compare.
    #[serde(flatten)]
    pub outcome: ReplayOutcome,
}

/// How a recorded history and the present code compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayOutcome {
    /// The code asks for what is recorded, up to its end or to where the workflow stands.
    Match,
    /// The code asks for another operation at a position.
    Mismatch {
        /// Where.
        position: Position,
        /// What is recorded there.
        recorded: OperationName,
        /// What the code calls there now.
        now: OperationName,
    },
    /// The code returned without asking for operations that are recorded.
    Missing {
        /// The position of the first of them.
        position: Position,
        /// The first of them.
        recorded: OperationName,
        /// How many they are.
        count: u32,
    },
    /// The code asks for an operation that a workflow which has returned did not make.
    Extra {
        /// Where.
        position: Position,
        /// What the code calls there.
        now: OperationName,
    },
    /// It could not be found out.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// An operation, by its kind and name: the step `charge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperationName {
    /// `step`, `transaction`, `sleep` and so on.
    pub kind: String,
    /// The name of the function, the topic, and so on.
    pub name: String,
}

impl OperationName {
    pub(crate) fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} `{}`", self.kind, self.name)
    }
}

impl ReplayReport {
    /// Whether the present code can continue the workflow, or would have done what it did.
    #[must_use]
    pub fn is_match(&self) -> bool {
        self.outcome == ReplayOutcome::Match
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            ReplayOutcome::Match => write!(f, "the code makes the {} recorded operations", self.compared),
            ReplayOutcome::Mismatch { position, recorded, now } => write!(
                f,
                "at position {position} this workflow recorded {recorded}, and the code now calls {now} there"
            ),
            ReplayOutcome::Missing { position, recorded, count } => {
                write!(f, "the code returns without {recorded}, which this workflow recorded at position {position}")?;
                if *count > 1 { write!(f, " ({count} operations are missing)") } else { Ok(()) }
            }
            ReplayOutcome::Extra { position, now } => {
                write!(f, "the code calls {now} at position {position}, and this workflow had returned before")
            }
            ReplayOutcome::Unknown { reason } => write!(f, "the replay could not be verified: {reason}"),
        }
    }
}
