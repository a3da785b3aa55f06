//! Functions for the body of a step: its attempt, its cancellation, its workflow.

use std::borrow::Cow;
use std::future::{Future, pending};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::journal::context::{Context, StepScope};
use crate::journal::current_engine;
use crate::runtime::Runtime;
use crate::types::position::Position;
pub use crate::wait::cancellation::AbortReason;

/// Which attempt of which step is running. Given by [`step_status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepStatus {
    /// The id of the workflow that the step belongs to.
    pub workflow_id: String,
    /// The step's name.
    pub name: Cow<'static, str>,
    /// The step's position in the workflow.
    pub position: Position,
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
        name: scope.name.into(),
        position: scope.position.clone(),
        attempt: scope.attempt,
        max_attempts: scope.max_attempts,
    })
}

/// The id of the workflow that is running: in its body, its steps and its transactions. `None` outside
/// any workflow, and in a task that user code has spawned with tokio.
///
/// Hand it to an outside service that is to answer with [`send`](crate::send()).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn request_approval(callback: &str) {}
/// # async fn step() {
/// // In a #[step]:
/// if let Some(id) = durable::workflow_id() {
///     request_approval(&format!("https://shop.example/approved/{id}")).await;
/// }
/// # }
/// ```
#[must_use]
pub fn workflow_id() -> Option<String> {
    let execution = match Context::here()? {
        Context::Body { execution, .. } => execution,
        Context::Step(scope) => Arc::clone(&scope.execution),
        Context::Transaction(scope) => Arc::clone(scope.execution.as_ref()?),
    };
    Some(execution.row.id.to_string())
}

/// An idempotency key for the service that a step calls: the same in every attempt of this step and
/// after every recovery, and different in every other step. `None` outside a workflow's step.
///
/// A step's side effect can happen twice, if the process crashes between the effect and its record. A
/// service that accepts an idempotency key carries it out once.
#[must_use]
pub fn idempotency_key() -> Option<String> {
    let scope = step()?;
    Some(format!("{}:{}", scope.execution.row.id, scope.position))
}

/// Why the running attempt of a step should stop; `None` as long as it should not, and outside any
/// workflow's step.
///
/// An async step need not call this: it is dropped at its next `.await` when its workflow is cancelled,
/// when it takes longer than its timeout, when it loses a `select!`, and at a shutdown when the time for
/// running steps is over. A step that blocks its thread, or that has to clean up, calls it from time to
/// time and returns an error. At a shutdown the error of a step that
/// has received a reason is not recorded: no retry is used up, and the step runs again in another process
/// or after the restart. A value that it returns with `Ok` is recorded.
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

/// Waits until the running step should stop, and returns the reason: the async form of
/// [`should_abort`], for `tokio::select!`. Outside any workflow's step it never returns.
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

/// A token that reports whether the running attempt of a step should stop: [`should_abort`] for other
/// threads and tasks.
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

/// Whether a step should stop. Given by [`cancellation`]; it can be cloned and sent to other threads.
#[derive(Debug, Clone)]
pub struct Cancellation {
    step: Option<Arc<StepScope>>,
}

impl Cancellation {
    /// Whether the step should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Why the step should stop; `None` as long as it should not.
    #[must_use]
    pub fn reason(&self) -> Option<AbortReason> {
        self.step.as_ref()?.abort_reason()
    }

    /// Waits until the step should stop, and returns the reason. Outside any workflow's step it never returns.
    pub async fn cancelled(&self) -> AbortReason {
        let Some(step) = &self.step else { return pending().await };
        step.aborted().await
    }
}

/// The value that the builder was given with `.state(value)`, by its type: a client, a pool, the
/// configuration.
///
/// # Panics
/// When the builder was given no value of this type, or no engine runs. In a workflow or a step the
/// workflow then ends with that message as its error.
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
    state_of(&current_engine::engine().unwrap_or_else(|error| panic!("{error}")))
}

/// The state of this type that the engine's builder was given.
///
/// # Panics
/// When it was given none.
pub(crate) fn state_of<T: Send + Sync + 'static>(runtime: &Runtime) -> Arc<T> {
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
