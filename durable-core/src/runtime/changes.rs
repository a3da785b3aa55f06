//! The changes that an entry makes for other workflows and processes once it is stored.

use std::sync::Arc;

use crate::runtime::Runtime;
use crate::store::{Entry, Fence, QueuePlacement, StoreError, Verdict};

/// A change that others may wait for, announced once its entry is stored.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A workflow has ended, or has a new event, stream item or message.
    Workflow(String),
    /// A queue has a new workflow; with `delayed` it is not due at once.
    Queue { name: String, delayed: bool },
}

impl Change {
    /// The changes in an entry. `own` is the id of the workflow that writes it, if one does.
    pub(crate) fn from_entry(entry: &Entry, own: Option<&str>) -> Vec<Self> {
        let changes_own = entry.finish.is_some() || !entry.publications.is_empty();
        let own = own.filter(|_| changes_own).map(|id| Self::Workflow(id.to_owned()));
        let receivers = entry.messages.iter().map(|it| Self::Workflow(it.to.clone()));
        let placement = entry.start.as_ref().and_then(|it| it.placement.as_ref());
        own.into_iter().chain(receivers).chain(placement.map(Self::from_placement)).collect()
    }

    fn from_placement(placement: &QueuePlacement) -> Self {
        let delayed = placement.delay.is_some() || placement.debounce.is_some();
        Self::Queue { name: placement.queue.clone(), delayed }
    }
}

impl Runtime {
    /// Hands an entry to the writer, waits for its verdict, and announces its changes, also if the
    /// caller no longer waits. `own` is the id of the workflow that writes it, if one does.
    pub(crate) async fn write(
        self: &Arc<Self>,
        fence: Fence,
        entry: Entry,
        own: Option<&str>,
    ) -> Result<Verdict, StoreError> {
        self.write_then(fence, entry, own, |_| {}).await
    }

    /// The same, and calls `then` with the verdict, also if the caller no longer waits. Work that
    /// has to follow the commit is done there; it must not block.
    pub(crate) async fn write_then(
        self: &Arc<Self>,
        fence: Fence,
        entry: Entry,
        own: Option<&str>,
        then: impl FnOnce(&Verdict) + Send + 'static,
    ) -> Result<Verdict, StoreError> {
        let (changes, runtime) = (Change::from_entry(&entry, own), Arc::clone(self));
        let then = move |verdict: &Verdict| {
            then(verdict);
            if matches!(verdict, Verdict::Stored | Verdict::Existing(_) | Verdict::Debounced(_)) {
                runtime.announce(&changes);
            }
        };
        self.writer.write(fence, entry, then).await
    }

    /// Wakes the waits for these changes, in this process and in others.
    pub(crate) fn announce(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Workflow(id) => self.announce_workflow(id),
                Change::Queue { name, delayed } => {
                    self.announce_queue(name);
                    if *delayed {
                        self.queues.notify_delayed();
                    }
                }
            }
        }
    }
}
