//! The engine's own tasks: each has an owner, a name, and is joined.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::words::sync::lock;

/// The engine's own tasks.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: Mutex<JoinSet<&'static str>>,
    names: Mutex<Vec<&'static str>>,
}

impl Background {
    /// Starts a task. It ends by itself when the level says so.
    pub(super) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.names).push(name);
        lock(&self.tasks).spawn(async move {
            task.await;
            name
        });
    }

    /// Waits until all have ended, for at most `bound`; then drops what is left, and gives the names
    /// of those that had to be dropped, or panicked.
    pub(super) async fn join(&self, bound: Duration) -> Vec<&'static str> {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        let mut left = std::mem::take(&mut *lock(&self.names));
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                if let Ok(name) = ended {
                    left.retain(|it| *it != name);
                }
            }
        };
        if tokio::time::timeout(bound, all).await.is_err() {
            tasks.shutdown().await;
        }
        left
    }

    /// Drops them all where they stand.
    pub(super) fn abort(&self) {
        lock(&self.tasks).abort_all();
    }
}
