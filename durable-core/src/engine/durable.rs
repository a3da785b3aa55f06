//! `Durable`, the application's handle to its engine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::engine::builder::Builder;
use crate::engine::teardown::Teardown;
use crate::journal::current_engine;
#[cfg(feature = "testing")]
use crate::journal::current_engine::EngineScope;
use crate::runtime::Runtime;
use crate::store::Location;
use crate::types::error::Result;
use crate::types::listing::CurrentActivity;
use crate::wait::shutdown_phase::EnginePhase;

/// A handle to a running engine. Clones are handles to the same engine.
///
/// Keep one as long as workflows should run, and end with [`shutdown`](Self::shutdown). When the last
/// clone is dropped without a shutdown, all running workflows are dropped: nothing is lost, and the next
/// launch recovers them, but they are not handed over to other processes.
#[derive(Clone)]
#[must_use = "the engine stops when this is dropped"]
pub struct Durable {
    shared: Arc<EngineHandle>,
}

/// What the clones share. The engine's tasks hold the runtime and never this, so it is dropped with the last
/// clone.
struct EngineHandle {
    runtime: Arc<Runtime>,
    teardown: Arc<Teardown>,
}

impl Durable {
    /// Launches an engine with the default settings, on the database that the environment variable
    /// `DURABLE_DATABASE_URL` names, or else on the SQLite file `<name>.sqlite` in the working directory.
    ///
    /// The launch brings the schema up to date and recovers the workflows that an earlier process left
    /// unfinished. The engine becomes the one of this process: calls outside any workflow find it.
    ///
    /// # Errors
    /// As for [`Builder::launch`].
    pub async fn launch(name: impl Into<String>) -> Result<Self> {
        Self::builder(name).launch().await
    }

    /// Configures an engine before its launch.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    pub(super) fn new(runtime: Arc<Runtime>, teardown: Arc<Teardown>) -> Self {
        Self { shared: Arc::new(EngineHandle { runtime, teardown }) }
    }

    /// The application's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.runtime().settings.name
    }

    /// Where the database is, without the password.
    #[must_use]
    pub fn location(&self) -> Location {
        self.runtime().store.location()
    }

    /// The phase of the engine: running, or a phase of its shutdown.
    #[must_use]
    pub fn phase(&self) -> EnginePhase {
        self.runtime().shutdown.phase()
    }

    /// Returns once the engine is in `phase` or a later one.
    ///
    /// # Example: a task of the application that ends with the shutdown
    ///
    /// ```no_run
    /// # use durable_core::{Durable, EnginePhase};
    /// # async fn poll_the_mailbox() {}
    /// # async fn example(app: Durable) {
    /// tokio::select! {
    ///     () = poll_the_mailbox() => {}
    ///     () = app.wait_for_phase(EnginePhase::Quiesced) => {}
    /// }
    /// # }
    /// ```
    pub async fn wait_for_phase(&self, phase: EnginePhase) {
        self.runtime().shutdown.wait_for(phase).await;
    }

    /// What a workflow does now, if it runs in this process: the step that runs or is to be tried again, the message
    /// that it waits for, and so on, the latest last. It is not in the database, and so empty for a workflow that runs
    /// in another process. It is also empty while the body computes.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::Durable;
    /// # fn example(app: &Durable) {
    /// for activity in app.activities("order-1001") {
    ///     println!("{}", activity.what); // waiting to retry step `charge`: 2 of 10 attempts failed
    /// }
    /// # }
    /// ```
    pub fn activities(&self, id: impl AsRef<str>) -> Vec<CurrentActivity> {
        let execution = self.runtime().running.get(id.as_ref()).and_then(|it| it.execution());
        execution.map_or_else(Vec::new, |it| it.current_activities())
    }

    /// Runs `future` with this engine as the current one. Only a process with several engines needs it:
    /// with one, every call finds it.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        current_engine::scope(Arc::clone(self.runtime()), future)
    }

    /// Spawns a task with this engine as the current one: see [`scope`](Self::scope). The shutdown does not wait
    /// for it: see [`spawn`](Self::spawn) for tasks that it waits for.
    pub fn spawn_scoped<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.scope(future))
    }

    /// Not public API: returns once this engine receives notifications and has nothing to do.
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

    /// Not public API: moves this engine's clock forward.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn skip_time(&self, duration: std::time::Duration) {
        self.runtime().timers.clock.skip(duration);
        self.runtime().timers.wake();
        self.runtime().schedules.wake();
    }

    /// Not public API: waits until nothing that is due is left for this process, for tests.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn wait_until_idle(&self) {
        let _waits = self.runtime().rest.outside_wait(); // the standstill of a test is noticed
        crate::engine::idle::wait_until_idle(self.runtime(), false).await;
    }

    /// Not public API: puts a function in the place of a step, for tests.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn mock<F, Args, M>(&self, function: M) -> crate::Mock<F::Output>
    where
        F: crate::StepFunction<Args, Output: Send + 'static>,
        Args: 'static,
        M: crate::MockFunction<Args, F::Output>,
    {
        crate::Mock::set::<Args, M>(&self.runtime().mocks, std::any::type_name::<F>(), function)
    }

    /// Not public API: a scope that [`replace_in`](Self::replace_in) gives another engine.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn replaceable_scope(&self) -> Arc<EngineScope> {
        Arc::new(EngineScope::new(Arc::clone(self.runtime())))
    }

    /// Not public API: makes this engine that of a scope.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn replace_in(&self, scope: &EngineScope) {
        scope.replace(Arc::clone(self.runtime()));
    }

    /// Not public API: drops everything that runs, as if the last handle were dropped, and waits until it is dropped. A
    /// body that blocks its thread cannot be dropped, and is not waited for.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn drop_everything(&self) {
        self.teardown().engine_dropped();
        let dropped = async {
            self.runtime().running.wait_until_empty().await;
            self.teardown().background().wait_for_end(EnginePhase::Closed).await;
        };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), dropped).await;
    }

    /// Not public API: lets everything rest, then moves the clock to each due moment within `duration`, and lets things
    /// rest between. The engine was launched with [`virtual_time`](crate::Builder::virtual_time).
    ///
    /// # Errors
    /// Things do not come to rest: the message lists the unfinished workflows.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn advance(&self, duration: std::time::Duration) -> Result<(), String> {
        self.move_clock(Some(duration)).await.map(drop)
    }

    /// Not public API: lets everything rest, moves the clock to the next due moment, and lets things rest again.
    /// Returns by how much it moved; `None` if nothing is due.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn advance_to_next(&self) -> Result<Option<std::time::Duration>, String> {
        self.move_clock(None).await
    }

    /// Not public API: how long, in real time, something may take that does not get on.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn set_patience(&self, patience: std::time::Duration) {
        self.runtime().rest.set_patience(patience);
    }

    /// Not public API: returns once a caller has waited for the engine for longer than the patience, while nothing could
    /// go on without time passing. The message lists the unfinished workflows.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn standstill(&self) -> String {
        let mut standstill = self.runtime().rest.standstill.subscribe();
        match standstill.wait_for(Option::is_some).await {
            Ok(message) => message.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await, // does not happen: the sender lives as long as `self`
        }
    }

    #[cfg(feature = "testing")]
    async fn move_clock(&self, by: Option<std::time::Duration>) -> Result<Option<std::time::Duration>, String> {
        let (moved, answer) = tokio::sync::oneshot::channel();
        let Some(moves) = self.runtime().rest.moves.get() else {
            return Err("the time of this engine is not virtual: use an engine of `#[durable::test]`".to_owned());
        };
        let _ = moves.send(crate::runtime::rest::ClockMove { by, moved }); // then there is no answer
        answer.await.unwrap_or_else(|_| {
            Err("time does not pass, because the engine does not run: launch it with `app.restart()` first".to_owned())
        })
    }

    /// Not public API: the store, for tests.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn store(&self) -> Arc<dyn crate::store::Store> {
        Arc::clone(&self.runtime().store)
    }

    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.shared.runtime
    }

    pub(super) fn teardown(&self) -> &Arc<Teardown> {
        &self.shared.teardown
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.teardown.engine_dropped();
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({:?}, {}, {:?})", self.name(), self.location(), self.phase())
    }
}
