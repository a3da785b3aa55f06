//! What a step's body can ask about itself.

use std::future::{Future, pending};
use std::sync::Arc;

use crate::journal::context::{Context, StepScope};
use crate::journal::current_engine;
pub use crate::wait::cancellation::AbortReason;

/// Which attempt of a step this is. Given by [`step_status`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepStatus {
    /// The id of the workflow whose step it is.
    pub workflow_id: String,
    /// The step's name.
    pub name: &'static str,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many attempts there are at most.
    pub max_attempts: u32,
}

/// Which attempt of which step is running: `None` outside a workflow's step.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// if let Some(status) = durable::step_status() {
///     println!("attempt {} of {}", status.attempt, status.max_attempts);
/// }
/// ```
#[must_use]
pub fn step_status() -> Option<StepStatus> {
    let scope = step()?;
    Some(StepStatus {
        workflow_id: scope.execution.row.id.to_string(),
        name: scope.name,
        attempt: scope.attempt,
        max_attempts: scope.max_attempts,
    })
}

/// A key for the outside service that a step calls: the same in every attempt of this step and after
/// every recovery, and different in every other step. `None` outside a workflow's step.
///
/// A step's side effect can happen twice, if the process dies between the effect and its record. A
/// service that takes an idempotency key makes it once.
#[must_use]
pub fn idempotency_key() -> Option<String> {
    let scope = step()?;
    Some(format!("{}:{}", scope.execution.row.id, scope.position))
}

/// Whether the running step shall stop, and why: `None` as long as it shall not, and outside any
/// workflow's step.
///
/// An async step need not ask: it is dropped at its next await when its workflow is cancelled, and at
/// a shutdown when the time for running steps is over. A step that blocks, or that wants to leave
/// things in order, asks now and then and returns an error. At a shutdown such an error, of a step
/// that has been told, is not recorded: no retry is used up, and the step runs again elsewhere or
/// after the restart. What it returns with `Ok` is recorded.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # fn copy_a_little() -> bool { false }
/// fn copy() -> durable::Result<()> {
///     while copy_a_little() {
///         if let Some(why) = durable::should_abort() {
///             return Err(durable::Error::msg(format!("stopped half way: {why:?}")));
///         }
///     }
///     Ok(())
/// }
/// ```
#[must_use]
pub fn should_abort() -> Option<AbortReason> {
    cancellation().reason()
}

/// Returns once the running step shall stop, and says why: [`should_abort`], to be raced with what
/// the step does. Outside any workflow's step it never returns.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn download() -> durable::Result<u64> { Ok(1) }
/// async fn fetch() -> durable::Result<u64> {
///     tokio::select! {
///         bytes = download() => bytes,
///         why = durable::aborted() => Err(durable::Error::msg(format!("stopped: {why:?}"))),
///     }
/// }
/// ```
pub fn aborted() -> impl Future<Output = AbortReason> + Send {
    let cancellation = cancellation();
    async move { cancellation.cancelled().await }
}

/// The same as a token, which can be taken to other threads and tasks: see [`should_abort`].
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # fn work_a_little() -> bool { false }
/// let cancellation = durable::cancellation();
/// while !cancellation.is_cancelled() && work_a_little() {}
/// ```
#[must_use]
pub fn cancellation() -> Cancellation {
    Cancellation { step: step() }
}

/// Given by [`cancellation`]. It can be cloned, and taken to other threads.
#[derive(Debug, Clone)]
pub struct Cancellation {
    step: Option<Arc<StepScope>>,
}

impl Cancellation {
    /// Whether the step shall stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Whether the step shall stop, and why.
    #[must_use]
    pub fn reason(&self) -> Option<AbortReason> {
        let step = self.step.as_ref()?;
        let reason = step.execution.cancellation().reason();
        step.note_abort(reason);
        reason
    }

    /// Returns once the step shall stop, and says why. Outside any workflow's step it never returns.
    pub async fn cancelled(&self) -> AbortReason {
        let Some(step) = &self.step else { return pending().await };
        let reason = step.execution.cancellation().cancelled().await;
        step.note_abort(Some(reason));
        reason
    }
}

/// What the builder was given with `.state(value)`, by its type: a client, a pool, the configuration.
///
/// # Panics
/// When the builder was given nothing of this type, or no engine runs. In a workflow or a step that
/// ends the workflow with an error that says so.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # struct Client;
/// let client = durable::state::<Client>();
/// ```
#[must_use]
pub fn state<T: Send + Sync + 'static>() -> Arc<T> {
    let runtime = current_engine::engine().unwrap_or_else(|error| panic!("{error}"));
    runtime.resources.state().unwrap_or_else(|| {
        let name = std::any::type_name::<T>();
        panic!("the builder was given no `{name}`: add `.state(…)` with one before the launch")
    })
}

fn step() -> Option<Arc<StepScope>> {
    match Context::here() {
        Some(Context::Step(scope)) => Some(scope),
        _ => None,
    }
}
