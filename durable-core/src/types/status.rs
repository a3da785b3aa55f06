//! Where a workflow stands.

use std::fmt;

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

    /// The status of a word from the database, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
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
