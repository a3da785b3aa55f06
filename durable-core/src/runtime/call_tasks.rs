//! Calls that are finished also if their caller is gone.

use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::watch;

use crate::runtime::Runtime;

/// The calls that run in tasks of their own.
#[derive(Debug, Default)]
pub(crate) struct CallTasks {
    running: watch::Sender<usize>,
}

impl CallTasks {
    /// Returns once none runs.
    pub(crate) async fn wait_until_empty(&self) {
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await.map(drop); // the sender is in `self`
    }
}

impl Runtime {
    /// Carries out a call that writes in a task of its own. The caller's future may be dropped at any
    /// moment, and what has to follow the commit, such as stopping a cancelled body, still does.
    pub(crate) async fn finish_call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.calls.running.send_modify(|running| *running += 1);
        let task = CallTask(Arc::clone(self));
        let task = self.spawn(async move {
            let _task = task;
            call.await
        });
        match task.await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => pending().await, // the tokio runtime shuts down, and the caller with it
            },
        }
    }
}

/// A call counts as running while this lives.
struct CallTask(Arc<Runtime>);

impl Drop for CallTask {
    fn drop(&mut self) {
        self.0.calls.running.send_modify(|running| *running -= 1);
    }
}
