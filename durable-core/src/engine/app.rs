//! The application's handle on its engine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::engine::builder::Builder;
use crate::engine::teardown::Teardown;
use crate::journal::current_engine;
use crate::operations::admin::{self, CancelCall};
use crate::operations::queue_admin::{self, QueueInfo};
use crate::operations::workflow_handle::{self, WorkflowHandle};
use crate::runtime::Runtime;
use crate::store::Location;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::listing::{Filter, StepInfo, WorkflowInfo};
use crate::types::payload::Payload;
use crate::wait::shutdown_phase::EnginePhase;

/// A running engine. Clones are the same engine.
///
/// Keep it for as long as workflows shall run, and end with [`shutdown`](Self::shutdown). When the
/// last clone is dropped without that, everything is dropped where it stands: nothing is lost, and
/// the next launch recovers it, but nothing is handed over either.
#[derive(Clone)]
#[must_use = "the engine stops when this is dropped"]
pub struct Durable {
    guard: Arc<Guard>,
}

/// What the clones share. Tasks of the engine hold the runtime and never this, so that dropping the
/// last clone is noticed.
struct Guard {
    runtime: Arc<Runtime>,
    teardown: Arc<Teardown>,
}

impl Durable {
    /// Launches an engine with everything by default: the database that `DURABLE_DATABASE_URL`
    /// names, else the SQLite file `<name>.sqlite` in the working directory.
    ///
    /// It brings the schema up to date, recovers the workflows that an earlier process left, and
    /// becomes the engine of this process: calls outside any workflow find it by themselves.
    ///
    /// # Errors
    /// Two workflows have one name; the database cannot be opened, is not writable, or was made by
    /// a newer release.
    pub async fn launch(name: impl Into<String>) -> Result<Self> {
        Self::builder(name).launch().await
    }

    /// Settings before the launch.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    pub(super) fn new(runtime: Arc<Runtime>, teardown: Arc<Teardown>) -> Self {
        Self { guard: Arc::new(Guard { runtime, teardown }) }
    }

    /// The application's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.runtime().settings.name
    }

    /// Where its database is, without a password.
    #[must_use]
    pub fn location(&self) -> Location {
        self.runtime().store.location()
    }

    /// How far it is on its way down.
    #[must_use]
    pub fn phase(&self) -> EnginePhase {
        self.runtime().shutdown.phase()
    }

    /// Returns once the engine is so far on its way down, or further.
    ///
    /// # Example: something of the program's own that ends with the shutdown
    ///
    /// ```no_run
    /// # use durable_core::{Durable, Level};
    /// # async fn poll_the_mailbox() {}
    /// # async fn example(app: Durable) {
    /// tokio::select! {
    ///     () = poll_the_mailbox() => {}
    ///     () = app.reached(Level::Quiesced) => {}
    /// }
    /// # }
    /// ```
    pub async fn wait_for_phase(&self, level: EnginePhase) {
        self.runtime().shutdown.wait_for(level).await;
    }

    /// Lists workflows, the oldest first. See [`Filter`].
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_workflows(&self, filter: Filter) -> Result<Vec<WorkflowInfo>> {
        admin::list(self.runtime(), &filter).await
    }

    /// The records of a workflow, in the order of their positions.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_steps(&self, id: impl AsRef<str>) -> Result<Vec<StepInfo>> {
        admin::steps(self.runtime(), id.as_ref()).await
    }

    /// Cancels a workflow: see [`cancel_workflow`](crate::cancel_workflow).
    pub fn cancel_workflow(&self, id: impl AsRef<str>) -> CancelCall {
        CancelCall::new(Ok(Arc::clone(self.runtime())), id.as_ref())
    }

    /// Every queue, with its depth, lag and limits: see [`list_queues`](crate::list_queues).
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_queues(&self) -> Result<Vec<QueueInfo>> {
        queue_admin::list(self.runtime()).await
    }

    /// Finds a workflow by its id: see [`retrieve_workflow`](crate::retrieve_workflow).
    ///
    /// # Errors
    /// There is no such workflow, or the database cannot be reached.
    pub async fn retrieve_workflow<T: Payload>(&self, id: impl AsRef<str>) -> Result<WorkflowHandle<T>> {
        workflow_handle::retrieve(Arc::clone(self.runtime()), id.as_ref()).await
    }

    /// Makes this the engine of everything that `future` itself does. Only a process with several
    /// engines needs it: with one, calls find it by themselves.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        current_engine::scope(Arc::clone(self.runtime()), future)
    }

    /// Spawns a task that belongs to this engine, as [`scope`](Self::scope) does for a future.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.scope(future))
    }

    /// Not public API: returns once this engine hears of what other processes write, and has nothing to do.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn listening(&self) {
        let runtime = self.runtime();
        while !(runtime.waiters.is_listening()
            && runtime.waiters.wakeup.is_idle()
            && runtime.queues.wakeup.is_idle()
            && runtime.schedules.is_idle())
        {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Not public API: lets time pass that does not.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn skip_time(&self, duration: std::time::Duration) {
        self.runtime().timers.clock.skip(duration);
        self.runtime().timers.wake();
        self.runtime().schedules.wake();
    }

    /// Not public API: what tests look at.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn store(&self) -> Arc<dyn crate::store::Store> {
        Arc::clone(&self.runtime().store)
    }

    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.guard.runtime
    }

    pub(super) fn teardown(&self) -> &Arc<Teardown> {
        &self.guard.teardown
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.teardown.engine_dropped();
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({:?}, {}, {:?})", self.name(), self.location(), self.phase())
    }
}

/// Not public API: what a wrong setting is reported as.
#[doc(hidden)]
pub fn config_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}
