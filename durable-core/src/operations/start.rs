//! Starting a workflow, from outside and from another workflow.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::caller_errors::{RETRY_START, WriteFailure};
use crate::operations::run_workflow::RunTask;
use crate::operations::spans;
use crate::registry::{INTERNAL_QUEUE, Queue, Workflow};
use crate::runtime::Runtime;
use crate::runtime::running_workflows::RunningWorkflow;
use crate::runtime::spawned_tasks::note_outside_call;
use crate::store::{
    Entry, ExistingWorkflow, Fence, NewWorkflow, ParentRun, QueuePlacement, RunRow, StartContext, StoreError, Verdict,
    WorkflowIdentity,
};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name, child_id, fresh_workflow_id};
use crate::types::payload::{Outcome, PayloadError, RecordedError};
use crate::types::time::Timestamp;

/// A request to start a workflow.
#[derive(Debug)]
pub(crate) struct StartRequest {
    pub(crate) workflow: &'static Workflow,
    pub(crate) input: Result<String, PayloadError>,
    pub(crate) id: Option<String>,
    /// The name of the instance that the workflow is a method of.
    pub(crate) instance: Option<String>,
    /// How long it may run.
    pub(crate) limit: Limit,
    /// Its queue and priority; `None` starts at once.
    pub(crate) placement: Option<QueuePlacement>,
    /// Whether its queue is partitioned, so that it needs a partition key.
    pub(crate) needs_partition: bool,
    /// Whether to attach to an existing workflow with the same deduplication id.
    pub(crate) or_existing: bool,
    /// The labels, by name.
    pub(crate) labels: BTreeMap<String, String>,
    /// The user on whose behalf it is started.
    pub(crate) started_by: Option<String>,
}

/// The timeout of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    /// That of the attribute, or else the deadline of the calling workflow.
    #[default]
    Inherited,
    /// This long.
    For(Duration),
    /// No timeout.
    None,
}

/// A workflow that was started, or existed before.
#[derive(Debug)]
pub(crate) struct StartedWorkflow {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) id: String,
    /// Its run, if it is in this process.
    pub(crate) run: Option<Arc<RunningWorkflow>>,
    /// Whether this call has started it.
    pub(crate) is_new: bool,
}

impl StartRequest {
    /// Starts it, from the call site.
    pub(crate) async fn start(self, call_site: &CallSite) -> Result<StartedWorkflow> {
        if matches!(call_site, CallSite::Outside) {
            note_outside_call(self.workflow.name);
        }
        match call_site {
            // Queued workflows can run in other processes, so they are accepted until the engine is closed.
            CallSite::Outside if self.placement.is_some() => self.start_outside(current_engine::engine()?).await,
            CallSite::Outside => match current_engine::accepting_engine() {
                Ok(runtime) => self.start_outside(runtime).await,
                Err(error) => Err(self.id.iter().fold(error, |error, id| error.with_workflow(id))),
            },
            CallSite::Body(reserved) => self.start_in_body(reserved).await,
            CallSite::Step(scope) => {
                let message = format!(
                    "the workflow `{}` was called inside the step `{}`, where its start could not be recorded; call it from the workflow's body",
                    self.workflow.name, scope.name
                );
                Err(Error::new(ErrorKind::Misuse, message))
            }
            CallSite::Transaction(scope) => Err(scope.refusal(&format!("the workflow `{}`", self.workflow.name))),
        }
    }

    pub(super) async fn start_outside(self, runtime: Arc<Runtime>) -> Result<StartedWorkflow> {
        let new = spans::in_start_span(&runtime, self.workflow.name, self.placement.is_some(), || {
            self.check(&runtime, fresh_workflow_id, None)
        })?;
        let new = Arc::new(new);
        let entry = Entry { start: Some(Arc::clone(&new)), ..Entry::default() };
        let fence = runtime.fence();
        let id = new.id.clone();
        let (run, then) = run_when_stored(&runtime, self.workflow, fence, new);
        match runtime.write_then(fence, entry, None, then).await {
            Ok(Verdict::Stored) => Ok(StartedWorkflow { runtime, id, run: run.get().cloned(), is_new: true }),
            Ok(Verdict::Existing(existing)) => self.attach_by_id(&runtime, existing).await,
            Ok(Verdict::Debounced(existing)) => self.attach(&runtime, existing),
            Ok(Verdict::Duplicate(existing)) => self.of_duplicate(&runtime, existing),
            Ok(Verdict::Superseded | Verdict::Fenced | Verdict::NoReceiver { .. }) => {
                Err(unwritten(&runtime, &id, None))
            }
            Err(error) => Err(unwritten(&runtime, &id, Some(&error))),
        }
    }

    /// A child: its row and the parent's record commit together, so that it is started once
    /// whatever happens to the parent.
    async fn start_in_body(self, reserved: &ReservedPosition) -> Result<StartedWorkflow> {
        let parent = &reserved.execution;
        let runtime = Arc::clone(&parent.runtime);
        let operation = Operation::workflow(self.workflow.name);
        reserved.check_same_body(self.workflow.name).await;
        if let Some(record) = reserved.replayed(operation).await {
            if let Some(Outcome::Error(text)) = &record.outcome {
                return Err(RecordedError::from_text(text).into_error());
            }
            let id = record.child.clone().unwrap_or_default(); // a start without an error has a child
            let run = runtime.running.get(&id);
            return Ok(StartedWorkflow { runtime, id, run, is_new: false });
        }
        reserved.ensure_accepting().await;
        let own_id = || child_id(&parent.row.id, &reserved.position);
        let new = self.check(&runtime, own_id, Some(&parent.row))?;
        let done = OperationResult { child: Some(new.id.clone()), attempts: 1, ..OperationResult::default() };
        let (new, records) = (Arc::new(new), vec![reserved.new_record(operation, done)]);
        let entry = Entry { start: Some(Arc::clone(&new)), records, ..Entry::default() };
        let id = new.id.clone();
        let (run, then) = run_when_stored(&runtime, self.workflow, parent.fence, new);
        match parent.write_then(entry, then).await {
            Ok(Verdict::Existing(existing)) => self.attach_by_id(&runtime, existing).await,
            Ok(Verdict::Debounced(existing)) => self.attach(&runtime, existing),
            Ok(Verdict::Duplicate(existing)) => {
                let duplicate = self.of_duplicate(&runtime, existing);
                let child = duplicate.as_ref().ok().map(|it| it.id.clone());
                let outcome =
                    duplicate.as_ref().err().map(|it| Outcome::Error(RecordedError::from_engine(it).to_text()));
                reserved
                    .record_result(
                        operation,
                        OperationResult { outcome, child, attempts: 1, ..OperationResult::default() },
                    )
                    .await;
                duplicate
            }
            Ok(_) => Ok(StartedWorkflow { runtime, id, run: run.get().cloned(), is_new: true }),
            Err(signal) => parent.stop_here(signal).await,
        }
    }

    /// The row to write in a transaction of the user's. It cannot run before the commit, so it always has
    /// a queue.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn for_outbox(&mut self, runtime: &Runtime) -> Result<NewWorkflow> {
        let placement = self.placement.get_or_insert_with(internal);
        if placement.debounce.is_some() {
            let message = "a debounced workflow cannot be started in a transaction: whether it replaces another one is decided when it is committed";
            return Err(Error::new(ErrorKind::Misuse, message));
        }
        self.check(runtime, fresh_workflow_id, None)
    }

    /// Another workflow with the same deduplication id is on the queue.
    pub(super) fn of_duplicate(&self, runtime: &Arc<Runtime>, existing: ExistingWorkflow) -> Result<StartedWorkflow> {
        let same = existing.is_of(self.workflow.name, self.instance.as_deref());
        if self.or_existing && same {
            return Ok(attached(runtime, existing));
        }
        let own = WorkflowIdentity(self.workflow.name, self.instance.as_deref());
        Err(duplicate(own, self.placement.as_ref(), &existing, same))
    }

    /// Attaches to a workflow that has the id already, and warns if it was started with other arguments: these are
    /// ignored then, which is seldom what the caller means.
    pub(super) async fn attach_by_id(
        &self,
        runtime: &Arc<Runtime>,
        existing: ExistingWorkflow,
    ) -> Result<StartedWorkflow> {
        let attached = self.attach(runtime, existing)?;
        if let Ok(input) = &self.input {
            warn_about_other_arguments(runtime, &attached.id, self.workflow.name, input).await;
        }
        Ok(attached)
    }

    /// Attaches to an existing workflow, if it has the same name and instance.
    pub(super) fn attach(&self, runtime: &Arc<Runtime>, existing: ExistingWorkflow) -> Result<StartedWorkflow> {
        let conflict = existing.conflict(self.workflow.name, self.instance.as_deref());
        conflict.map_or_else(|| Ok(attached(runtime, existing)), Err)
    }

    /// Refuses a workflow that cannot be stored, before anything is written.
    fn check(
        &self,
        runtime: &Runtime,
        fresh_id: impl FnOnce() -> String,
        parent: Option<&RunRow>,
    ) -> Result<NewWorkflow> {
        let name = self.workflow.name;
        let id = self.id.clone().unwrap_or_else(fresh_id);
        check_id("the workflow id", &id)?;
        check_name("the instance's name", self.instance.as_deref().unwrap_or_default())?;
        if let Some(placement) = &self.placement {
            check_placement(name, placement, self.needs_partition)?;
            runtime.registry.expect_queue(&placement.queue);
        }
        let input = self.input.clone().map_err(|error| {
            Error::new(ErrorKind::Payload, format!("the workflow `{name}` cannot be started: {error}"))
        })?;
        runtime.check_size(|| format!("the arguments of the workflow `{name}`"), input.len())?;
        Ok(NewWorkflow {
            key: runtime.keys.next(),
            id,
            name: name.to_owned(),
            input,
            instance: self.instance.clone(),
            parent: parent.map(|it| ParentRun { key: it.key, attempt: it.attempt }),
            version: Some(self.workflow.version(&runtime.settings.version).to_owned()),
            fingerprint: self.workflow.fingerprint,
            timeout: self.timeout().filter(|_| self.placement.is_some()),
            deadline: self.deadline(runtime, parent),
            placement: self.placement.clone(),
            context: self.context(runtime)?,
        })
    }
}

impl StartRequest {
    /// What is stored with it for people and tools.
    fn context(&self, runtime: &Runtime) -> Result<StartContext> {
        context_of(runtime, Some(&runtime.settings.name), self.started_by.as_deref(), &self.labels)
    }

    /// Its own timeout.
    fn timeout(&self) -> Option<Duration> {
        match self.limit {
            Limit::None => None,
            Limit::For(timeout) => Some(timeout),
            Limit::Inherited => self.workflow.options.timeout,
        }
    }

    /// Its deadline. The timeout of a queued workflow counts from the start of its first run.
    fn deadline(&self, runtime: &Runtime, parent: Option<&RunRow>) -> Option<Timestamp> {
        match (self.limit, self.timeout()) {
            (Limit::None, _) => None,
            (_, Some(_)) if self.placement.is_some() => None,
            (_, Some(timeout)) => Some(runtime.timers.clock.after(timeout)),
            (_, None) => parent.and_then(|it| it.deadline),
        }
    }
}

/// Called with the verdict on a start.
type OnVerdict = Box<dyn FnOnce(&Verdict) + Send>;

/// What follows the commit of a start: unless it waits on a queue, the workflow runs here. The caller's
/// future may have been dropped by then. The run is in the cell once the caller has the verdict.
fn run_when_stored(
    runtime: &Arc<Runtime>,
    workflow: &'static Workflow,
    fence: Fence,
    new: Arc<NewWorkflow>,
) -> (Arc<OnceLock<Arc<RunningWorkflow>>>, OnVerdict) {
    let cell = Arc::new(OnceLock::new());
    let (runtime, run) = (Arc::clone(runtime), Arc::clone(&cell));
    // It is boxed because the caller's future would hold it several times.
    let then = Box::new(move |verdict: &Verdict| {
        if *verdict == Verdict::Stored && new.placement.is_none() {
            let _ = run.set(run_new(&runtime, workflow, fence, &new)); // it is called once
        }
    });
    (cell, then)
}

/// Runs a workflow after its row was stored. It has no records, so none are read.
fn run_new(
    runtime: &Arc<Runtime>,
    workflow: &'static Workflow,
    fence: Fence,
    new: &NewWorkflow,
) -> Arc<RunningWorkflow> {
    let row = RunRow {
        key: new.key,
        id: new.id.as_str().into(),
        name: Box::default(), // the function is known
        input: new.input.as_str().into(),
        instance: new.instance.as_deref().map(Into::into),
        attempt: 1,
        is_fork: false,
        recoveries: 0,
        version: None,
        fingerprint: new.fingerprint,
        deadline: new.deadline,
        parent: new.parent.map(|it| it.key),
        queue: None,
        keyed: false,
        waits_since: None,
        trace_context: new.context.trace_context.as_deref().map(Into::into),
    };
    let drive =
        RunTask { runtime: Arc::clone(runtime), workflow, row: Arc::new(row), fence, records: Vec::new(), slot: None };
    // A run of the same id can only be here if its row was deleted; it is about to stop then.
    drive.spawn().unwrap_or_else(|(earlier, _)| earlier)
}

/// What is stored with a workflow for people and tools.
pub(super) fn context_of(
    runtime: &Runtime,
    application: Option<&str>,
    started_by: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Result<StartContext> {
    check_name("the user", started_by.unwrap_or_default())?;
    Ok(StartContext {
        application: application.map(str::to_owned),
        started_by: started_by.map(str::to_owned),
        trace_context: spans::current_traceparent(runtime),
        labels: labels_text(labels)?,
    })
}

/// Labels as they are stored. Their names and values are in an index.
fn labels_text(labels: &BTreeMap<String, String>) -> Result<Option<String>> {
    for (name, value) in labels {
        check_id("the label's name", name)?;
        check_name("the label's value", value)?;
    }
    Ok((!labels.is_empty()).then(|| serde_json::json!(labels).to_string()))
}

/// The error of a call whose deduplication id belongs to another workflow; `same` if that is one of the same function.
pub(super) fn duplicate(
    own: WorkflowIdentity<'_>,
    placement: Option<&QueuePlacement>,
    existing: &ExistingWorkflow,
    same: bool,
) -> Error {
    let (queue, key) =
        placement.map_or(("", ""), |it| (it.queue.as_str(), it.deduplication_id.as_deref().unwrap_or_default()));
    let fix = if same {
        "wait for it, or attach to it with `.or_existing()`"
    } else {
        "that is another workflow, so this call cannot attach to it: choose another deduplication id, such as one that begins with the name of the workflow"
    };
    let message = format!(
        "the workflow {:?} ({}) with the deduplication id {key:?} is {} on the queue {queue:?}, so {own} was not enqueued; {fix}",
        existing.id,
        WorkflowIdentity(&existing.name, existing.instance.as_deref()),
        existing.status
    );
    Error::new(ErrorKind::Duplicate, message).with_workflow(&existing.id)
}

/// Logs a warning if the existing workflow with this id was started with other arguments. It is the caller's own if
/// the answer to a write was lost.
pub(super) async fn warn_about_other_arguments(runtime: &Runtime, id: &str, workflow: &str, input: &str) {
    if let Ok(Some(earlier)) = runtime.store.show(id).await
        && let Some(earlier) = &earlier.input
        && !same_json(earlier, input)
    {
        tracing::warn!(target: "durable", %id, workflow, "the workflow id is in use with other arguments: this call attaches to the earlier workflow, and its own arguments are ignored; an id names one execution for ever, choose another for another one");
    }
}

/// Whether two texts are the same value. The text of a workflow that was enqueued with SQL is that of its author.
fn same_json(left: &str, right: &str) -> bool {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    left == right || (read(left) == read(right))
}

fn attached(runtime: &Arc<Runtime>, existing: ExistingWorkflow) -> StartedWorkflow {
    let run = runtime.running.get(&existing.id);
    StartedWorkflow { runtime: Arc::clone(runtime), id: existing.id, run, is_new: false }
}

/// The error for a caller outside if the workflow was not written, or may not have been.
fn unwritten(runtime: &Runtime, id: &str, because: Option<&StoreError>) -> Error {
    let what = format!("the workflow {id:?}");
    let unwritten = WriteFailure { runtime, what: &what, if_unconfirmed: RETRY_START };
    because.map_or_else(|| unwritten.fenced(), |error| unwritten.error_for(error)).with_workflow(id)
}

/// A place on a queue.
pub(super) fn of_queue(queue: &Queue) -> QueuePlacement {
    QueuePlacement { queue: queue.name().to_owned(), ..QueuePlacement::default() }
}

/// The engine's own queue, for workflows that need a queue and were given none.
pub(super) fn internal() -> QueuePlacement {
    QueuePlacement { queue: INTERNAL_QUEUE.to_owned(), ..QueuePlacement::default() }
}

pub(super) fn check_placement(workflow: &str, placement: &QueuePlacement, needs_partition: bool) -> Result<()> {
    let misuse =
        |problem: &str| Err(Error::new(ErrorKind::Misuse, format!("the call of the workflow `{workflow}` {problem}")));
    if needs_partition && placement.partition.is_none() {
        let queue = &placement.queue;
        return misuse(&format!(
            "has no partition key, and its queue `{queue}` is declared with `.partitioned()` or a limit per partition key: add `.partition(key)` to the call"
        ));
    }
    match &placement.debounce {
        Some(debounce) if debounce.key.is_empty() => {
            return misuse(
                "has `.debounce_up_to(..)` without `.debounce(..)`: add `.debounce(key, period)`, or remove the bound",
            );
        }
        Some(_) if placement.delay.is_some() => {
            return misuse(
                "has both `.delay(..)` and `.debounce(..)`, and a debounced call is delayed by its period: remove `.delay(..)`, and debounce with the longer of the two",
            );
        }
        _ => {}
    }
    let keys = [
        ("the queue name", Some(placement.queue.as_str())),
        ("the partition key", placement.partition.as_deref()),
        ("the deduplication id", placement.deduplication_id.as_deref()),
        ("the debounce key", placement.debounce.as_ref().map(|it| it.key.as_str())),
    ];
    keys.into_iter().try_for_each(|(what, key)| key.map_or(Ok(()), |key| check_id(what, key)))
}
