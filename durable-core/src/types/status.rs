//! The status of a workflow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of a workflow. In the database and in JSON it is the upper-case word that
/// [`Display`](fmt::Display) shows.
///
/// # Example
///
/// ```
/// use durable_core::Status;
///
/// assert_eq!(Status::Success.to_string(), "SUCCESS");
/// assert!(Status::Cancelled.is_terminal());
/// assert!(!Status::Parked.is_terminal(), "a parked workflow can be resumed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Status {
    /// On a queue, and not claimed by an executor yet.
    Enqueued,
    /// On a queue, with a delay that has not passed yet.
    Delayed,
    /// Running, or waiting to be recovered.
    Pending,
    /// The body returned `Ok`; the value is recorded.
    Success,
    /// The body returned `Err` or panicked; the error is recorded.
    Error,
    /// Cancelled by a call, or because its timeout passed; the reason is recorded.
    Cancelled,
    /// Stopped until a person resumes or cancels it, because another run would fail in the same way.
    /// The reason is recorded.
    Parked,
}

impl Status {
    /// Every status, in the order of a workflow's life.
    pub const ALL: [Self; 7] =
        [Self::Enqueued, Self::Delayed, Self::Pending, Self::Success, Self::Error, Self::Cancelled, Self::Parked];

    /// The word in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "ENQUEUED",
            Self::Delayed => "DELAYED",
            Self::Pending => "PENDING",
            Self::Success => "SUCCESS",
            Self::Error => "ERROR",
            Self::Cancelled => "CANCELLED",
            Self::Parked => "PARKED",
        }
    }

    /// Whether the workflow has ended: `SUCCESS`, `ERROR` and `CANCELLED`.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Error | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    /// Reads a status by its word in the database, in upper or lower case.
    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|it| it.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

/// The error of parsing a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownStatus(String);

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a status; the statuses are ", self.0)?;
        for (index, status) in Status::ALL.into_iter().enumerate() {
            write!(f, "{}{status}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_in_either_case_and_an_unknown_one_is_refused() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(status.as_str().to_lowercase().parse(), Ok(status));
        }
        let error = "RUNNING".parse::<Status>().expect_err("there is no such status");
        assert_eq!(
            error.to_string(),
            "\"RUNNING\" is not a status; the statuses are ENQUEUED, DELAYED, PENDING, SUCCESS, ERROR, CANCELLED, PARKED"
        );
    }
}
