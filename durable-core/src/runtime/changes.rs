//! What is news to others once an entry is stored.

use std::sync::Arc;

use crate::runtime::Runtime;
use crate::store::{Entry, Fence, QueuePlacement, StoreError, Verdict};

/// Something that is news to others once an entry is stored.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A workflow has come to an end, shows something, has a message.
    Workflow(String),
    /// A queue has more to do, now or when it is due.
    Queue { name: String, delayed: bool },
}

impl Change {
    /// The news in an entry; `own` is the id of the execution that writes it, if one does.
    pub(crate) fn of(entry: &Entry, own: Option<&str>) -> Vec<Self> {
        let shows = entry.finish.is_some() || !entry.publications.is_empty();
        let own = own.filter(|_| shows).map(|id| Self::Workflow(id.to_owned()));
        let sent = entry.messages.iter().map(|it| Self::Workflow(it.to.clone()));
        let place = entry.start.as_ref().and_then(|it| it.placement.as_ref());
        own.into_iter().chain(sent).chain(place.map(Self::of_place)).collect()
    }

    fn of_place(place: &QueuePlacement) -> Self {
        Self::Queue { name: place.queue.clone(), delayed: place.delay.is_some() || place.debounce.is_some() }
    }
}

impl Runtime {
    /// Hands an entry to the writer, waits for its verdict, and spreads the news of it, also if the
    /// caller no longer waits. `own` is the id of the execution that writes it, if one does.
    pub(crate) async fn write(
        self: &Arc<Self>,
        fence: Fence,
        entry: Entry,
        own: Option<&str>,
    ) -> Result<Verdict, StoreError> {
        self.write_then(fence, entry, own, |_| {}).await
    }

    /// The same, and calls `then` with the verdict, also if the caller no longer waits. What has to
    /// follow the commit is done there; it must not block.
    pub(crate) async fn write_then(
        self: &Arc<Self>,
        fence: Fence,
        entry: Entry,
        own: Option<&str>,
        then: impl FnOnce(&Verdict) + Send + 'static,
    ) -> Result<Verdict, StoreError> {
        let (news, runtime) = (Change::of(&entry, own), Arc::clone(self));
        let then = move |verdict: &Verdict| {
            then(verdict);
            if matches!(verdict, Verdict::Stored | Verdict::Existing(_) | Verdict::Debounced(_)) {
                runtime.announce(&news);
            }
        };
        self.writer.write(fence, entry, then).await
    }

    /// Tells whoever waits for it, here and elsewhere.
    pub(crate) fn announce(&self, news: &[Change]) {
        for told in news {
            match told {
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
