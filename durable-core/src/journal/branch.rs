//! The branches of a body: each counts its calls for itself.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::types::position::Position;

/// Positions are counted per branch.
#[derive(Debug)]
pub(crate) struct Branch {
    path: Arc<str>,
    last: AtomicI32,
    /// All branches of an execution share it, so that it counts those that are left. The first one
    /// that is forked makes it.
    family: OnceLock<Arc<()>>,
}

impl Branch {
    /// The branch of a body itself.
    pub(crate) fn root() -> Self {
        Self { path: "".into(), last: AtomicI32::new(0), family: OnceLock::new() }
    }

    /// Another branch of the same execution.
    pub(crate) fn fork(&self, path: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            path,
            last: AtomicI32::new(0),
            family: Arc::clone(self.family.get_or_init(Arc::default)).into(),
        })
    }

    /// Whether any branch is left that was forked.
    pub(crate) fn has_forks(&self) -> bool {
        self.family.get().is_some_and(|it| Arc::strong_count(it) > 1)
    }

    /// Claims the next position.
    pub(crate) fn next_position(&self) -> Position {
        Position { branch: Arc::clone(&self.path), number: self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
