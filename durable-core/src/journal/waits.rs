//! Who waits for workflows that run elsewhere: one question to the database for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::level::{Gate, Level};
use crate::store::{Ended, Store, Wanted};
use crate::words::sync::lock;

/// How soon the database is asked again, from the first time to the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(500)];

/// Who waits for workflows that run elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// A waiter keeps its sender alive; a weak one whose waiters are gone is swept out.
    watched: Mutex<HashMap<String, Weak<Answer>>>,
    /// Pokes the poller: somebody new waits.
    news: Notify,
}

type Answer = watch::Sender<Option<Arc<Ended>>>;

impl Waits {
    /// Returns when the workflow has come to an end, or is parked.
    pub(crate) async fn ended(&self, id: &str) -> Arc<Ended> {
        let answer = self.answer(id);
        self.news.notify_one();
        let mut watcher = answer.subscribe();
        let ended = watcher.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match ended {
            Some(ended) => ended,
            None => std::future::pending().await, // `answer` is alive, so the wait cannot fail
        }
    }

    /// The answer that all waiters of one id share.
    fn answer(&self, id: &str) -> Arc<Answer> {
        let mut watched = lock(&self.watched);
        if let Some(answer) = watched.get(id).and_then(Weak::upgrade)
            && answer.borrow().is_none()
        {
            return answer;
        }
        // A new waiter asks anew: what was parked when the last one asked may have been resumed.
        let answer = Arc::new(Answer::new(None));
        watched.insert(id.to_owned(), Arc::downgrade(&answer));
        answer
    }

    fn publish(&self, ended: Ended) {
        let answer = lock(&self.watched).remove(&ended.id);
        if let Some(answer) = answer.and_then(|it| it.upgrade()) {
            answer.send_replace(Some(Arc::new(ended)));
        }
    }

    fn ids(&self) -> Vec<String> {
        let mut watched = lock(&self.watched);
        watched.retain(|_, answer| answer.strong_count() > 0);
        watched.keys().cloned().collect()
    }
}

/// The poller's task. Nobody waiting, nothing asked.
pub(crate) async fn run(waits: &Waits, store: &dyn Store, gate: &Gate) {
    let mut pause = PAUSES[0];
    loop {
        let ids = waits.ids();
        let next = async {
            if ids.is_empty() {
                waits.news.notified().await;
                return PAUSES[0];
            }
            match store.look(&Wanted { ends: ids, ..Wanted::default() }).await {
                Ok(found) => found.ends.into_iter().for_each(|it| waits.publish(it)),
                Err(error) => tracing::debug!(target: "durable", %error, "asking for results failed"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => (pause * 2).min(PAUSES[1]),
                () = waits.news.notified() => PAUSES[0],
            }
        };
        tokio::select! {
            longer = next => pause = longer,
            () = gate.reached(Level::Killed) => return,
        }
    }
}
