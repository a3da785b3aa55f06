//! The position of an operation in a workflow.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The position of an operation in a workflow: a branch, and a number within it.
///
/// The body itself is the branch without a name and counts 1, 2, 3 …; the branches that the call at
/// position 3 makes count 3/1, 3/2 … That text is what [`Display`](fmt::Display) shows, what
/// [`FromStr`] reads, and how a position is written in JSON.
///
/// # Example
///
/// ```
/// use durable_core::Position;
///
/// let position: Position = "3/2/1".parse().unwrap();
/// assert_eq!((&*position.branch, position.number), ("3/2", 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Position {
    /// The branch: empty for the body, else the position of the call that made it.
    pub branch: Arc<str>,
    /// The number within the branch, from 1.
    pub number: i32,
}

impl Position {
    /// The position `number` of `branch`.
    #[must_use]
    pub fn new(branch: impl Into<Arc<str>>, number: i32) -> Self {
        Self { branch: branch.into(), number }
    }

    /// The number of the call in the body itself that it belongs to.
    #[must_use]
    pub(crate) fn number_in_body(&self) -> i32 {
        let first = self.branch.split('/').next().and_then(|it| it.parse().ok());
        first.unwrap_or(self.number)
    }

    /// Whether it is in a branch that was made by a call at or behind `other`, in the branch of `other`.
    #[must_use]
    pub(crate) fn is_made_at_or_behind(&self, other: &Self) -> bool {
        let Some(below) = self.branch.strip_prefix(&*other.branch) else { return false };
        let below = if other.branch.is_empty() { Some(below) } else { below.strip_prefix('/') };
        let number = below.and_then(|it| it.split('/').next()?.parse::<i32>().ok());
        number.is_some_and(|it| it >= other.number)
    }

    /// The branch that the call at this position makes.
    #[must_use]
    pub(crate) fn as_branch(&self) -> Arc<str> {
        self.to_string().into()
    }
}

/// The position of a call in the body.
impl From<i32> for Position {
    fn from(number: i32) -> Self {
        Self::new("", number)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.branch.is_empty() { write!(f, "{}", self.number) } else { write!(f, "{}/{}", self.branch, self.number) }
    }
}

/// The error of parsing a [`Position`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPosition(String);

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a position; a position is written as `3`, or as `3/1` in a branch", self.0)
    }
}

impl std::error::Error for InvalidPosition {}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let number = |it: &str| it.parse::<i32>().ok().filter(|it| *it > 0);
        let invalid = || InvalidPosition(text.to_owned());
        if !text.split('/').all(|it| number(it).is_some()) {
            return Err(invalid());
        }
        let (branch, last) = text.rsplit_once('/').unwrap_or(("", text));
        Ok(Self::new(branch, number(last).ok_or_else(invalid)?))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_belongs_to_the_call_of_the_body_that_made_its_branch() {
        let number = |text: &str| text.parse::<Position>().expect("a position").number_in_body();
        assert_eq!([number("7"), number("3/2"), number("12/2/1")], [7, 3, 12]);
    }

    #[test]
    fn a_position_knows_what_was_made_at_or_behind_another_one() {
        let position = |text: &str| text.parse::<Position>().expect("it is a position");
        for (other, made) in [("3", "3/1"), ("3", "4/1"), ("3", "12/2/1"), ("3/2", "3/2/7"), ("3/2", "3/10/1")] {
            assert!(position(made).is_made_at_or_behind(&position(other)), "{made} behind {other}");
        }
        for (other, made) in
            [("3", "2/9"), ("3", "4"), ("3/2", "3/1/7"), ("3/2", "30/2/7"), ("3/2", "4/2"), ("3/2", "3/3")]
        {
            assert!(!position(made).is_made_at_or_behind(&position(other)), "{made} behind {other}");
        }
    }

    #[test]
    fn a_position_reads_back_from_its_text() {
        for (position, text) in
            [(Position::new("", 7), "7"), (Position::new("3", 1), "3/1"), (Position::new("3/2", 1), "3/2/1")]
        {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
        for text in ["", "/", "0", "-1", "3/", "/3", "a/1", "3//1"] {
            let error = text.parse::<Position>().expect_err("it is not a position").to_string();
            assert!(error.starts_with(&format!("{text:?} is not a position")), "{error}");
        }
    }
}
