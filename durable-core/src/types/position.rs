//! Where in a workflow an operation stands.

use std::fmt;
use std::sync::Arc;

/// Where in a workflow an operation stands: its number, within its branch.
///
/// The body itself is the branch without a name and counts 1, 2, 3 …; the branches that the call at
/// position 3 makes count 3/1, 3/2 …
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// The branch that the call at this position makes.
    #[must_use]
    pub(crate) fn as_branch(&self) -> Arc<str> {
        self.to_string().into()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.branch.is_empty() { write!(f, "{}", self.number) } else { write!(f, "{}/{}", self.branch, self.number) }
    }
}
