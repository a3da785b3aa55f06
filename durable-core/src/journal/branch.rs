//! The branches of a body. Each branch counts its own positions.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::types::position::Position;

/// A part of a workflow that runs beside others and counts its own positions.
#[derive(Debug)]
pub(crate) struct Branch {
    path: Arc<str>,
    last: AtomicI32,
    /// Shared by all branches of an execution, so its reference count tells how many are alive. It is
    /// made by the first fork.
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

    /// Whether a forked branch is alive.
    pub(crate) fn has_forks(&self) -> bool {
        self.family.get().is_some_and(|it| Arc::strong_count(it) > 1)
    }

    /// What its positions begin with.
    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The position that the next call gets, without reserving it.
    pub(crate) fn peek(&self) -> Position {
        Position { branch: Arc::clone(&self.path), number: self.last.load(Ordering::Relaxed) + 1 }
    }

    /// Reserves the next position.
    pub(crate) fn next_position(&self) -> Position {
        Position { branch: Arc::clone(&self.path), number: self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
