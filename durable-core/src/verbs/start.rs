//! Starting a workflow, from outside and from another workflow.

use std::sync::Arc;
use std::time::Duration;

use super::drive::Drive;
use crate::journal::checkpoint::{Done, Operation};
use crate::journal::context::{Claim, Place};
use crate::journal::current;
use crate::journal::live::Run;
use crate::journal::runtime::Runtime;
use crate::registry::Workflow;
use crate::store::{Entry, Fence, Held, NewWorkflow, RunRow, StoreError, Verdict};
use crate::words::error::{Error, ErrorKind, Result};
use crate::words::id::{check_id, fresh_workflow_id};
use crate::words::payload::{Outcome, PayloadError, RecordedError};

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) workflow: &'static Workflow,
    pub(crate) input: Result<String, PayloadError>,
    pub(crate) id: Option<String>,
    /// The name of the instance that the workflow is a method of.
    pub(crate) instance: Option<String>,
    /// How long it may run.
    pub(crate) limit: Limit,
}

/// How long a workflow may run, as its call says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    /// As its attribute says; else as long as the workflow that calls it.
    #[default]
    Inherited,
    /// So long.
    For(Duration),
    /// As long as it takes.
    None,
}

/// A workflow that is started, or was there already.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) id: String,
    /// Its run, if it is in this process.
    pub(crate) run: Option<Arc<Run>>,
}

impl Request {
    /// Starts it where the call was made.
    pub(crate) async fn start(self, place: &Place) -> Result<Started> {
        match place {
            Place::Outside => self.start_outside(current::open_engine()?).await,
            Place::Body(claim) => self.start_in_body(claim).await,
            Place::Step(scope) => {
                let message = format!(
                    "the workflow `{}` was called inside the step `{}`, where its start could not be recorded; call it from the workflow's body",
                    self.workflow.name, scope.name
                );
                Err(Error::new(ErrorKind::Misuse, message))
            }
            Place::Transaction(scope) => Err(scope.refusal(&format!("the workflow `{}`", self.workflow.name))),
        }
    }

    async fn start_outside(self, runtime: Arc<Runtime>) -> Result<Started> {
        let new = self.check(&runtime, fresh_workflow_id, None)?;
        let entry = Entry { begin: Some(new.clone()), ..Entry::default() };
        let fence = runtime.fence();
        match runtime.writer.write(fence, entry, |_| {}).await {
            Ok(Verdict::Stored) => Ok(run_new(&runtime, self.workflow, fence, new, true)),
            Ok(Verdict::Existing(held) | Verdict::Duplicate(held) | Verdict::Debounced(held)) => {
                attach(&runtime, self.workflow, held)
            }
            Ok(Verdict::Superseded | Verdict::Fenced | Verdict::NoReceiver { .. }) => Err(interrupted(&new.id)),
            Err(error) => Err(of_store(&error, &new.id)),
        }
    }

    /// A child: its row and the parent's record commit together, so that it is started once
    /// whatever happens to the parent.
    async fn start_in_body(self, claim: &Claim) -> Result<Started> {
        let parent = &claim.execution;
        let runtime = Arc::clone(&parent.runtime);
        let operation = Operation::workflow(self.workflow.name);
        claim.check_home(self.workflow.name).await;
        if let Some(record) = claim.replayed(operation).await {
            if let Some(Outcome::Error(text)) = &record.outcome {
                return Err(RecordedError::from_text(text).into_error());
            }
            let id = record.child.clone().unwrap_or_default(); // a start without an error has a child
            let run = runtime.live.get(&id);
            return Ok(Started { runtime, id, run });
        }
        claim.open().await;
        let own_id = || format!("{}-{}", parent.row.id, claim.position);
        let new = self.check(&runtime, own_id, Some(&parent.row))?;
        let done = Done { child: Some(new.id.clone()), attempts: 1, ..Done::default() };
        let entry =
            Entry { begin: Some(new.clone()), records: vec![claim.record(operation, done)], ..Entry::default() };
        match parent.write(entry).await {
            Ok(Verdict::Existing(held)) => attach(&runtime, self.workflow, held),
            Ok(_) => Ok(run_new(&runtime, self.workflow, parent.fence, new, false)),
            Err(signal) => parent.stop(signal).await,
        }
    }

    /// Refuses what cannot be stored, before anything is.
    fn check(
        &self,
        runtime: &Runtime,
        fresh_id: impl FnOnce() -> String,
        parent: Option<&RunRow>,
    ) -> Result<NewWorkflow> {
        let name = self.workflow.name;
        let id = self.id.clone().unwrap_or_else(fresh_id);
        check_id("the workflow id", &id)?;
        let input = self.input.clone().map_err(|fault| {
            Error::new(ErrorKind::Payload, format!("the workflow `{name}` cannot be started: {fault}"))
        })?;
        runtime.check_size(|| format!("the arguments of the workflow `{name}`"), input.len())?;
        Ok(NewWorkflow {
            key: runtime.keys.next(),
            id,
            name: name.to_owned(),
            input,
            instance: self.instance.clone(),
            parent: parent.map(|it| it.key),
            version: runtime.settings.version.clone(),
            fingerprint: self.workflow.fingerprint,
            timeout: None,
            deadline: self.deadline(runtime, parent),
            place: None,
        })
    }
}

impl Request {
    /// When its time is up. It begins to run at once, so that is known now.
    fn deadline(&self, runtime: &Runtime, parent: Option<&RunRow>) -> Option<i64> {
        let own = match self.limit {
            Limit::None => return None,
            Limit::For(timeout) => Some(timeout),
            Limit::Inherited => self.workflow.options.timeout,
        };
        match own {
            Some(timeout) => Some(runtime.timers.clock.after(timeout)),
            None => parent.and_then(|it| it.deadline),
        }
    }
}

/// Runs a workflow whose row was stored a moment ago. It has no records, so none are read.
fn run_new(
    runtime: &Arc<Runtime>,
    workflow: &'static Workflow,
    fence: Fence,
    new: NewWorkflow,
    top_level: bool,
) -> Started {
    let id = new.id.clone();
    let row = RunRow {
        key: new.key,
        id: new.id,
        name: new.name,
        input: new.input,
        instance: new.instance,
        attempt: 1,
        recoveries: 0,
        fingerprint: new.fingerprint,
        deadline: new.deadline,
        queue: None,
    };
    let drive =
        Drive { runtime: Arc::clone(runtime), workflow, row: Arc::new(row), fence, records: Vec::new(), top_level };
    // A run of the same id can only be here if the row was deleted under it; it is on its way out then.
    let run = drive.spawn().unwrap_or_else(|(earlier, _)| earlier);
    Started { runtime: Arc::clone(runtime), id, run: Some(run) }
}

/// Attaches to a workflow that was there already, if it is the same one.
fn attach(runtime: &Arc<Runtime>, workflow: &Workflow, held: Held) -> Result<Started> {
    if held.name != workflow.name {
        let message = format!(
            "the workflow id {:?} belongs to a workflow `{}` already, and was now used to start `{}`; an id names one execution for ever, choose another",
            held.id, held.name, workflow.name
        );
        return Err(Error::new(ErrorKind::IdConflict, message));
    }
    let run = runtime.live.get(&held.id);
    Ok(Started { runtime: Arc::clone(runtime), id: held.id, run })
}

/// What a caller outside is told when the engine goes down before the answer is there.
pub(crate) fn interrupted(id: &str) -> Error {
    let message = format!(
        "this process is shutting down; the workflow {id:?} is safe in the database and goes on elsewhere or after the restart: ask again with its id"
    );
    Error::new(ErrorKind::Interrupted, message)
}

/// An error of the store, for a caller outside.
pub(crate) fn of_store(error: &StoreError, id: &str) -> Error {
    if error.fault == crate::store::Fault::Closed {
        return interrupted(id);
    }
    Error::new(ErrorKind::Database, format!("the database refused the workflow {id:?}: {error}"))
}
