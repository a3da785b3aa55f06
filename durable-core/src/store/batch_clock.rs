//! The time that all messages and publications of one call share in a commit row by row, where each is
//! a statement of its own.

use std::collections::HashMap;

use crate::store::{Publication, PublicationKind, Timestamp, WorkflowKey};

/// The time of one call.
#[derive(Debug)]
pub(super) struct BatchClock {
    /// Whether the call may have been committed before.
    pub(super) again: bool,
    /// The database's clock, read when it is first needed.
    pub(super) now: Option<Timestamp>,
    /// When this call has written to its events and streams before.
    published: HashMap<(bool, WorkflowKey, String), Timestamp>,
}

impl BatchClock {
    pub(super) fn new(again: bool) -> Self {
        Self { again, now: None, published: HashMap::new() }
    }

    /// When this call wrote to the event or stream before.
    pub(super) fn published(&self, it: &Publication) -> Option<Timestamp> {
        self.published.get(&of(it)).copied()
    }

    /// Notes when this call has written to the event or stream.
    pub(super) fn note(&mut self, it: &Publication, at: Timestamp) {
        self.published.insert(of(it), at);
    }
}

/// The event or stream of a publication.
fn of(it: &Publication) -> (bool, WorkflowKey, String) {
    (it.kind == PublicationKind::Event, it.workflow, it.name.clone())
}
