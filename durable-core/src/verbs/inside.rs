//! What a step's body can ask about itself.

use std::sync::Arc;

use crate::journal::cancelling::Cancelling;
use crate::journal::context::{Context, StepScope};
use crate::journal::current;

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

/// Tells a step that runs long, or blocks, that it shall stop: the workflow was cancelled, this
/// process shuts down, or another executor has taken over. What it returns after that is not
/// recorded, except at a shutdown, where it may still come to its end.
///
/// An async step need not ask: it is dropped at its next await. A blocking one cannot be dropped.
/// Outside a workflow's step the token is never cancelled.
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
    let cancelling = step().map_or_else(Arc::default, |scope| Arc::clone(scope.execution.cancellation()));
    Cancellation { cancelling }
}

/// Given by [`cancellation`]. It can be cloned, and taken to other threads.
#[derive(Debug, Clone)]
pub struct Cancellation {
    cancelling: Arc<Cancelling>,
}

impl Cancellation {
    /// Whether the step shall stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelling.is_cancelled()
    }

    /// Returns once the step shall stop.
    pub async fn cancelled(&self) {
        self.cancelling.cancelled().await;
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
    let runtime = current::engine().unwrap_or_else(|error| panic!("{error}"));
    runtime.objects.state().unwrap_or_else(|| {
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
