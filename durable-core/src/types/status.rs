//! Where a workflow stands.

use std::fmt;
use std::str::FromStr;

/// Where a workflow stands. In the database it is the upper-case word that [`Display`](fmt::Display) shows.
///
/// # Example
///
/// ```
/// use durable_core::Status;
///
/// assert_eq!(Status::Success.to_string(), "SUCCESS");
/// assert!(Status::Cancelled.is_terminal());
/// assert!(!Status::Parked.is_terminal(), "a parked workflow waits for a person, and can go on");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// On a queue, and no executor has taken it yet.
    Enqueued,
    /// On a queue, and not due yet.
    Delayed,
    /// Running, or to be recovered.
    Pending,
    /// The body returned `Ok`; the value is recorded.
    Success,
    /// The body returned `Err` or panicked; the error is recorded.
    Error,
    /// Cancelled by somebody, or its time was up; the reason is recorded.
    Cancelled,
    /// Needs a person: going on by itself could only repeat a fault. The reason is recorded.
    Parked,
}

impl Status {
    /// Every status, in the order of a workflow's life.
    pub const ALL: [Self; 7] =
        [Self::Enqueued, Self::Delayed, Self::Pending, Self::Success, Self::Error, Self::Cancelled, Self::Parked];

    /// The word in the database.
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

    /// Whether nothing will ever change it again: `SUCCESS`, `ERROR` and `CANCELLED`.
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

    /// Reads a status as the database has it, in upper or lower case.
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
