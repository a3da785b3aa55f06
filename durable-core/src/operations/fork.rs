//! Forks and restarts: a new workflow with a part of the records of another one.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::journal::checkpoint::Operation;
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::operations::admin::not_found;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::change::announce_released;
use crate::operations::look::Look;
use crate::operations::queue_admin::unknown_queue;
use crate::operations::spans;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::runtime::Runtime;
use crate::store::{ForkOutcome, ForkPoint, ForkRequest, StoreError};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name, child_id, fresh_workflow_id};
use crate::types::payload::Outcome;
use crate::types::position::Position;
use crate::types::suggest::distance;

/// Makes a new workflow with the arguments of another one and with its records before a position, with their
/// branches, events and stream items. The call at that position and all later ones run anew. The workflow
/// itself is not changed.
///
/// The children of the copied part stay those of the other workflow. Messages are not copied.
///
/// In a workflow's body the call is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// There is no such workflow; no process has declared the queue, or it needs partition keys and the workflow has
/// none; the id of the fork belongs to another workflow; a replaced result or argument does not exist, or cannot
/// be written as JSON; no engine runs; it was called in a transaction; the database cannot be reached (in a body
/// the workflow waits for it).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use durable::{ForkFrom, Queue};
/// # static REPAIR: Queue = Queue::new("repair");
/// # async fn example() -> durable::Result<()> {
/// let fork = durable::fork_workflow("order-7", 3).await?; // keeps what calls 1 and 2 have recorded
/// let fork = durable::fork_workflow("order-7", ForkFrom::Failure)
///     .id("order-7b")
///     .queue(&REPAIR)
///     .replace_output(2, &"receipt-9")
///     .replace_argument("order", &7)
///     .await?;
/// println!("{}", fork.id());
/// # Ok(())
/// # }
/// ```
pub fn fork_workflow(id: impl AsRef<str>, from: impl Into<ForkFrom>) -> ForkCall {
    ForkCall::new(None, "fork_workflow", id.as_ref(), from.into())
}

/// Makes a new workflow with the same arguments, which begins from the beginning: a
/// [fork](fork_workflow) from position 1.
///
/// # Errors
/// As [`fork_workflow`].
pub fn restart_workflow(id: impl AsRef<str>) -> ForkCall {
    ForkCall::new(None, "restart_workflow", id.as_ref(), ForkFrom::Position(1))
}

/// From where on a fork runs anew. An integer is a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForkFrom {
    /// The call at this position of the body, counted from 1.
    Position(i32),
    /// The last call that has a record.
    LastStep,
    /// The first call whose error led to the end of the workflow, as [`resume_workflow`](crate::resume_workflow)
    /// finds it. Behind the last record if there is none.
    Failure,
}

impl From<i32> for ForkFrom {
    fn from(position: i32) -> Self {
        Self::Position(position)
    }
}

impl ForkFrom {
    pub(super) fn point(self) -> ForkPoint {
        match self {
            Self::Position(position) => ForkPoint::Position(position),
            Self::LastStep => ForkPoint::LastStep,
            Self::Failure => ForkPoint::Failure,
        }
    }
}

/// A fork. Given by [`fork_workflow`] and [`restart_workflow`]; awaiting it gives the handle of the new workflow.
#[must_use = "nothing is forked until it is awaited"]
pub struct ForkCall {
    call: Call<'static, ForkOptions, Result<WorkflowHandle<Value>>>,
}

struct ForkOptions {
    look: Look,
    /// The id that a fork in a body has if it is given none: it is the same at every replay.
    default_id: Option<String>,
    kind: &'static str,
    source: String,
    from: ForkFrom,
    id: Option<String>,
    queue: Option<String>,
    version: Option<String>,
    outputs: Vec<(Position, Result<String>)>,
    input: Option<Result<Value>>,
    arguments: Vec<(String, Result<Value>)>,
}

impl ForkCall {
    pub(crate) fn new(engine: Option<&Arc<Runtime>>, kind: &'static str, source: &str, from: ForkFrom) -> Self {
        let look = Look::through(engine);
        let default_id = match look.call_site() {
            CallSite::Body(reserved) => Some(child_id(&reserved.execution.row.id, &reserved.position)),
            _ => None,
        };
        Self {
            call: Call::new(ForkOptions {
                look,
                default_id,
                kind,
                source: source.to_owned(),
                from,
                id: None,
                queue: None,
                version: None,
                outputs: Vec::new(),
                input: None,
                arguments: Vec::new(),
            }),
        }
    }

    /// Sets the id of the new workflow: forking again with the same id gives the same workflow. By default it is a
    /// new UUID.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.call.set(|options| options.id = Some(id.into()));
        self
    }

    /// Puts the new workflow on this queue; by default it is put on the queue of the other one, if that has one.
    pub fn queue(mut self, queue: impl AsRef<str>) -> Self {
        self.call.set(|options| options.queue = Some(queue.as_ref().to_owned()));
        self
    }

    /// Sets the version of the program that is to run it, where programs run only workflows of their own version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.call.set(|options| options.version = Some(version.into()));
        self
    }

    /// Replaces the recorded result of a call that is kept: the new workflow goes on with this one. A recorded error
    /// becomes a success.
    pub fn replace_output<T: Serialize + ?Sized>(mut self, position: impl Into<Position>, output: &T) -> Self {
        let (position, output) = (position.into(), serde_json::to_string(output).map_err(|error| unwritable(&error)));
        self.call.set(|options| options.outputs.push((position, output)));
        self
    }

    /// Replaces all arguments, by a value that is written as a JSON object with their names: also those that were not
    /// recorded. [`replace_argument`](Self::replace_argument) replaces single ones of these.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> durable_core::Result<()> {
    /// let arguments = serde_json::json!({ "customer": "ann", "cents": 12 });
    /// durable_core::restart_workflow("invoice-7").replace_arguments(&arguments).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn replace_arguments<T: Serialize + ?Sized>(mut self, arguments: &T) -> Self {
        let input = serde_json::to_value(arguments).map_err(|error| unwritable(&error));
        self.call.set(|options| options.input = Some(input));
        self
    }

    /// Replaces an argument that was recorded, by its name.
    pub fn replace_argument<T: Serialize + ?Sized>(mut self, name: impl Into<String>, value: &T) -> Self {
        let (name, value) = (name.into(), serde_json::to_value(value).map_err(|error| unwritable(&error)));
        self.call.set(|options| options.arguments.push((name, value)));
        self
    }
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Payload, format!("a value for a fork cannot be written as JSON: {error}"))
}

impl CallOptions<'static> for ForkOptions {
    type Output = Result<WorkflowHandle<Value>>;

    async fn run(self: Box<Self>) -> Self::Output {
        let Self { look, default_id, kind, source, from, id, queue, version, outputs, input, arguments } = *self;
        check_id("the workflow id", &source)?;
        if let ForkFrom::Position(position @ ..1) = from {
            let message = format!("the workflow {source:?} cannot be forked from position {position}: the first is 1");
            return Err(Error::new(ErrorKind::Misuse, message));
        }
        let runtime = look.runtime().map_or_else(current_engine::engine, Ok)?;
        let id = id.or(default_id).unwrap_or_else(fresh_workflow_id);
        check_id("the workflow id", &id)?;
        check_name("the queue name", queue.as_deref().unwrap_or_default())?;
        let mut outcomes = Vec::new();
        for (position, output) in outputs {
            let output = output?;
            runtime.check_size(|| format!("the result for position {position}"), output.len())?;
            outcomes.push((position, Outcome::Output(output)));
        }
        let arguments = arguments.into_iter().map(|(name, value)| Ok((name, value?)));
        let arguments: Arc<Vec<(String, Value)>> = Arc::new(arguments.collect::<Result<_>>()?);
        let input = match input.transpose()? {
            None => None,
            Some(all @ Value::Object(_)) => Some(all.to_string()),
            Some(_) => {
                let message = "the arguments for a fork are no JSON object with their names, as in {\"order\": 7}";
                return Err(Error::new(ErrorKind::Payload, message));
            }
        };
        runtime
            .check_size(|| format!("the arguments of the fork of {source:?}"), input.as_ref().map_or(0, String::len))?;
        let request = ForkRequest {
            source: source.clone(),
            key: runtime.keys.next(),
            id,
            from: from.point(),
            queue,
            version,
            input,
            outcomes,
            trace_context: None,
        };
        let question = |runtime: Arc<Runtime>| {
            // The trace of now: until the question is asked, the body may be replaying, where there is none.
            let request = ForkRequest { trace_context: spans::current_traceparent(&runtime), ..request.clone() };
            let arguments = Arc::clone(&arguments);
            async move { fork(&runtime, request, &arguments).await }
        };
        let id: String = look.ask(Operation::on(kind, &source), "fork a workflow", question).await?;
        Ok(WorkflowHandle::of_existing(&runtime, id))
    }
}

/// Forks, and gives the id of the new workflow. It is carried out also if the caller is dropped.
pub(super) async fn fork(
    runtime: &Arc<Runtime>,
    mut request: ForkRequest,
    arguments: &[(String, Value)],
) -> std::result::Result<Result<String>, StoreError> {
    if !arguments.is_empty() {
        let Some(source) = runtime.store.show(&request.source).await? else {
            return Ok(Err(not_found(&request.source)));
        };
        let input = request.input.take().or(source.input).unwrap_or_default();
        match replace_arguments(runtime, &request.source, &input, arguments) {
            Ok(input) => request.input = Some(input),
            Err(error) => return Ok(Err(error)),
        }
    }
    let task_runtime = Arc::clone(runtime);
    let call = async move {
        let outcome = task_runtime.store.fork(&request).await?;
        let error = |kind, message: String| Ok(Err(Error::new(kind, message)));
        let (source, id) = (&request.source, request.id.clone());
        match outcome {
            ForkOutcome::Forked { queue: Some(queue), .. } => task_runtime.announce_queue(&queue),
            ForkOutcome::Forked { queue: None, .. } => announce_released(&task_runtime),
            ForkOutcome::Existing => {}
            ForkOutcome::NotFound => return Ok(Err(not_found(source))),
            ForkOutcome::UnknownQueue(known) => {
                return Ok(Err(unknown_queue(request.queue.as_deref().unwrap_or_default(), known)));
            }
            ForkOutcome::NoPartitionKey => {
                return error(
                    ErrorKind::Refused,
                    format!(
                        "{source:?} cannot be forked to that queue: it needs partition keys, and the workflow has none"
                    ),
                );
            }
            ForkOutcome::IdTaken(name) => {
                return error(
                    ErrorKind::IdConflict,
                    format!(
                        "the id {id:?} belongs to a workflow `{name}` that is no fork of {source:?}; choose another"
                    ),
                );
            }
            ForkOutcome::BehindEnd(last) => {
                return error(
                    ErrorKind::NotFound,
                    format!(
                        "the last call of {source:?} that has a record is at position {last}, so it cannot be forked from behind {}: `durable show {source}` lists the positions",
                        last + 1
                    ),
                );
            }
            ForkOutcome::NoRecord(position) => {
                return error(
                    ErrorKind::NotFound,
                    format!(
                        "the fork of {source:?} keeps no record at position {position}, so its result cannot be replaced: `durable show {source}` lists the positions; fork from a later one"
                    ),
                );
            }
        }
        Ok(Ok(id))
    };
    runtime.finish_call(call).await
}

/// The arguments with some of them replaced.
fn replace_arguments(runtime: &Runtime, id: &str, input: &str, replaced: &[(String, Value)]) -> Result<String> {
    let Ok(mut all) = serde_json::from_str::<serde_json::Map<String, Value>>(input) else {
        let message = format!(
            "the recorded arguments of the workflow {id:?} are no JSON object, so none can be replaced: replace all of them with `.replace_arguments(..)`, or `--input`"
        );
        return Err(Error::new(ErrorKind::Payload, message));
    };
    for (name, value) in replaced {
        if !all.contains_key(name) {
            let known = all.keys().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "and none at all".to_owned() } else { format!("but {known}") };
            let similar = all.keys().min_by_key(|it| distance(name, it));
            let similar = similar.filter(|it| distance(name, it) <= name.len() / 3);
            let hint = similar.map_or_else(
                || "; to add it, replace all of them with `.replace_arguments(..)`, or `--input`".to_owned(),
                |it| format!("; did you mean `{it}`?"),
            );
            let message = format!("the workflow {id:?} has recorded no argument `{name}`, {known}{hint}");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        all.insert(name.clone(), value.clone());
    }
    let input = Value::Object(all).to_string();
    runtime.check_size(|| format!("the arguments of the fork of {id:?}"), input.len())?;
    Ok(input)
}

impl fmt::Debug for ForkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.source, self.from)
    }
}

delegate_to_call!("ForkCall", [] ForkCall => Result<WorkflowHandle<Value>>, [] ForkCall);
