//! The engine that a call uses when it does not name one.

use std::future::Future;
use std::sync::{Arc, Weak};

use crate::journal::context::Context;
use crate::runtime::Runtime;
use crate::store::Location;
use crate::types::error::{Error, ErrorKind};
use crate::types::sync::{Mutex, lock};
use crate::wait::shutdown_phase::EnginePhase;

tokio::task_local! {
    /// Set by `Durable::scope`, and around the body of a `#[durable::test]`.
    static SCOPE: Scope;
}

#[cfg(not(feature = "testing"))]
type Scope = Arc<Runtime>;
#[cfg(feature = "testing")]
type Scope = Arc<EngineScope>;

/// The engine of a scope. A test that restarts its engine replaces it.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub struct EngineScope(Mutex<Arc<Runtime>>);

#[cfg(feature = "testing")]
impl EngineScope {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Self {
        Self(Mutex::new(runtime))
    }

    /// Makes another engine that of the calls in the scope.
    pub(crate) fn replace(&self, runtime: Arc<Runtime>) {
        *lock(&self.0) = runtime;
    }

    /// Runs `future` in this scope.
    pub fn run<F: Future>(self: &Arc<Self>, future: F) -> impl Future<Output = F::Output> + use<F> {
        SCOPE.scope(Arc::clone(self), future)
    }
}

/// The launched engines of this process that are not shutting down.
static LAUNCHED: Mutex<Vec<Weak<Runtime>>> = Mutex::new(Vec::new());

/// The engines that are shutting down. Calls use them as long as there is no other one: until they are
/// closed, workflows can be enqueued, sent messages and looked up.
static CLOSING: Mutex<Vec<Weak<Runtime>>> = Mutex::new(Vec::new());

/// Adds a launched engine.
pub(crate) fn register(runtime: &Arc<Runtime>) {
    lock(&LAUNCHED).push(Arc::downgrade(runtime));
}

/// Removes an engine.
pub(crate) fn unregister(runtime: &Arc<Runtime>) {
    lock(&LAUNCHED).retain(|it| it.strong_count() > 0 && !std::ptr::eq(it.as_ptr(), Arc::as_ptr(runtime)));
}

/// Notes that an engine is shutting down.
pub(crate) fn mark_closing(runtime: &Arc<Runtime>) {
    lock(&CLOSING).push(Arc::downgrade(runtime)); // first, so that it is always in one of the two lists
    unregister(runtime);
}

/// Removes an engine that is closed.
pub(crate) fn mark_closed(runtime: &Arc<Runtime>) {
    lock(&CLOSING).retain(|it| it.strong_count() > 0 && !std::ptr::eq(it.as_ptr(), Arc::as_ptr(runtime)));
}

/// Whether an engine of this application on this database is shutting down in this process.
pub(crate) fn is_closing(name: &str, location: &Location, schema: &str) -> bool {
    let closing = upgrade_all(&CLOSING);
    let same = |it: &Arc<Runtime>| {
        it.settings.name == name && it.settings.schema == schema && it.store.location() == *location
    };
    !location.in_memory && closing.iter().any(same)
}

fn upgrade_all(list: &Mutex<Vec<Weak<Runtime>>>) -> Vec<Arc<Runtime>> {
    lock(list).iter().filter_map(Weak::upgrade).collect()
}

/// Makes `runtime` the engine of the calls in `future`. It does not reach into spawned tasks.
pub(crate) fn scope<F: Future>(runtime: Arc<Runtime>, future: F) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "testing")]
    let runtime = Arc::new(EngineScope::new(runtime));
    SCOPE.scope(runtime, future)
}

/// The engine of the running code: that of its workflow, else that of its scope, else the only one in
/// the process. An engine that is shutting down counts only if no other is launched.
///
/// # Errors
/// There is none, or there are several: two engines in one process, as parallel tests have, never mix.
pub(crate) fn engine() -> Result<Arc<Runtime>, Error> {
    match Context::here() {
        Some(Context::Body { execution, .. }) => return Ok(Arc::clone(&execution.runtime)),
        Some(Context::Step(scope)) => return Ok(Arc::clone(&scope.execution.runtime)),
        Some(Context::Transaction(scope)) => return Ok(Arc::clone(&scope.runtime)),
        None => {}
    }
    #[cfg(not(feature = "testing"))]
    let scope = SCOPE.try_with(Arc::clone);
    #[cfg(feature = "testing")]
    let scope = SCOPE.try_with(|it| Arc::clone(&lock(&it.0)));
    if let Ok(runtime) = scope {
        return Ok(runtime);
    }
    let launched = upgrade_all(&LAUNCHED);
    let known = if launched.is_empty() { upgrade_all(&CLOSING) } else { launched };
    match known.as_slice() {
        [only] => Ok(Arc::clone(only)),
        [] => Err(Error::new(
            ErrorKind::NoEngine,
            "no engine is running in this process: call `Durable::launch(\"my-app\").await?` first and keep the value that it returns",
        )),
        several => {
            let engines: Vec<_> = several.iter().map(|it| describe(it)).collect();
            let message = format!(
                "{} engines are running in this process ({}) and this task belongs to none of them: run it with `app.scope(…)`, spawn it with `app.spawn_scoped(…)`, or launch only one; clones of an app share one engine",
                several.len(),
                engines.join(", ")
            );
            Err(Error::new(ErrorKind::NoEngine, message))
        }
    }
}

/// An engine by its name and its database, for messages.
fn describe(runtime: &Runtime) -> String {
    let (name, location) = (&runtime.settings.name, runtime.store.location());
    // Databases that are not files have schemas.
    if location.in_memory || location.file.is_some() {
        format!("`{name}` on {location}")
    } else {
        format!("`{name}` on {location} in the schema {}", runtime.settings.schema)
    }
}

/// The same, for calls that are refused while the engine is shutting down.
pub(crate) fn accepting_engine() -> Result<Arc<Runtime>, Error> {
    accepting(engine()?)
}

/// The engine that was given, unless it is shutting down.
pub(crate) fn accepting(runtime: Arc<Runtime>) -> Result<Arc<Runtime>, Error> {
    if runtime.shutdown.phase() >= EnginePhase::Draining {
        let message = format!(
            "`{}` is shutting down and starts no new workflow; nothing was written, start it on another process or after the restart",
            runtime.settings.name
        );
        return Err(Error::new(ErrorKind::ShuttingDown, message));
    }
    Ok(runtime)
}
