//! Background tasks of the application, which end before the engine closes.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::engine::durable::Durable;
use crate::journal::current_engine;
use crate::runtime::Runtime;
use crate::wait::shutdown_phase::EnginePhase;

impl Durable {
    /// Spawns a background task of the application, with this engine as the current one. The shutdown asks
    /// it to stop through its [`Stopping`], after a web service has finished its requests and while the engine
    /// still works: messages can be sent, and workflows enqueued. It waits for the task as long as for running
    /// workflows, drops it after that, and reports it in
    /// [`ShutdownReport::background`](crate::ShutdownReport::background).
    ///
    /// A panic of the task is logged and reported. A task that is spawned once the shutdown has begun to drop
    /// what runs is not started.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::Durable;
    /// # async fn next_mail() -> String { String::new() }
    /// # async fn handle(mail: String) {}
    /// # fn example(app: &Durable) {
    /// app.spawn("mailbox", |stopping| async move {
    ///     loop {
    ///         tokio::select! {
    ///             () = stopping.requested() => break,
    ///             mail = next_mail() => handle(mail).await,
    ///         }
    ///     }
    /// });
    /// # }
    /// ```
    pub fn spawn<F, T>(&self, name: impl Into<Cow<'static, str>>, task: F)
    where
        F: FnOnce(Stopping) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        if self.phase() > EnginePhase::Draining {
            tracing::warn!(target: "durable", task = %name, "a background task was not started, because this process is shutting down");
            return;
        }
        let runtime = self.runtime();
        let task = task(Stopping { runtime: Arc::clone(runtime) });
        let task = current_engine::scope(Arc::clone(runtime), task);
        self.teardown().background().spawn_on(&runtime.tokio, name, EnginePhase::Draining, task);
    }
}

/// Tells a background task of the application that it is to stop. Given by [`Durable::spawn`].
#[derive(Clone)]
pub struct Stopping {
    runtime: Arc<Runtime>,
}

impl Stopping {
    /// Returns once the task is to stop; at once if that was requested before.
    pub async fn requested(&self) {
        self.runtime.shutdown.wait_for(EnginePhase::Draining).await;
    }

    /// Whether the task is to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.runtime.shutdown.phase() >= EnginePhase::Draining
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stopping({})", self.is_requested())
    }
}
