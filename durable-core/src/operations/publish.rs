//! What events and streams have in common: values that a workflow publishes.

use std::sync::Arc;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{CallSite, StepScope};
use crate::journal::execution::Execution;
use crate::journal::reserved_position::ReservedPosition;
use crate::runtime::Runtime;
use crate::store::{Entry, Publication, PublicationKind, Verdict};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_name;
use crate::types::keys::WorkflowKey;
use crate::types::payload::{Outcome, PayloadError, RecordedError};
use crate::types::position::Position;

use crate::operations::caller_errors::{RETRY_BY_STEP, WriteFailure};

/// Publishes a value.
pub(super) async fn publish(
    call_site: &CallSite,
    kind: PublicationKind,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<()> {
    match call_site {
        CallSite::Body(reserved) => in_body(reserved, kind, name, value).await,
        CallSite::Step(scope) => in_step(scope, kind, name, value).await,
        CallSite::Transaction(scope) => Err(scope.refusal(&format!("`durable::{}`", function(kind)))),
        CallSite::Outside => {
            let function = function(kind);
            let message = format!(
                "`durable::{function}` was called outside any workflow, and what it writes belongs to one: call it in the body of a #[workflow] or in one of its steps"
            );
            Err(Error::new(ErrorKind::Misuse, message))
        }
    }
}

/// In a body it is recorded and written with the next commit: it is not a side effect outside the database.
async fn in_body(
    reserved: &ReservedPosition,
    kind: PublicationKind,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<()> {
    reserved.check_same_body(function(kind)).await;
    let operation = match kind {
        PublicationKind::Event => Operation::set_event(name),
        PublicationKind::Item | PublicationKind::Close => Operation::on(function(kind), name),
    };
    let execution = &reserved.execution;
    if let Some(record) = reserved.replayed(operation).await {
        if let Some(Outcome::Error(text)) = &record.outcome {
            return Err(RecordedError::from_text(text).into_error());
        }
        if kind == PublicationKind::Close {
            execution.close_stream(name);
        }
        return Ok(());
    }
    reserved.ensure_accepting().await;
    if let Err(error) = check_open(execution, kind, name) {
        let outcome = Some(Outcome::Error(RecordedError::from_engine(&error).to_text()));
        reserved.record_result(operation, OperationResult { outcome, attempts: 1, ..OperationResult::default() }).await;
        return Err(error);
    }
    let (workflow, position) = (execution.row.key, reserved.position.clone());
    let publication = publication(&execution.runtime, kind, workflow, position, name, value)?;
    let record = reserved.new_record(operation, OperationResult { attempts: 1, ..OperationResult::default() });
    execution.publish(record, publication);
    Ok(())
}

/// In a step nothing is recorded and no later write would carry it, so it is written at once.
async fn in_step(
    scope: &Arc<StepScope>,
    kind: PublicationKind,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<()> {
    let execution = &scope.execution;
    check_open(execution, kind, name)?;
    let (workflow, position) = (execution.row.key, scope.position.clone());
    let publication = publication(&execution.runtime, kind, workflow, position, name, value)?;
    let what = format!("{} of the workflow {:?}", describe(kind, name), execution.row.id);
    let failure = WriteFailure { runtime: &execution.runtime, what: &what, if_unconfirmed: RETRY_BY_STEP };
    let entry = Entry { publications: vec![publication], ..Entry::default() };
    match execution.runtime.write(execution.fence, entry, Some(&execution.row.id)).await {
        Ok(Verdict::Stored | Verdict::Existing(_)) => Ok(()),
        Ok(_) => Err(failure.fenced()),
        Err(error) => Err(failure.error_for(&error)),
    }
}

/// Refuses an item for a stream that is closed, since no reader would get it, and notes a close.
fn check_open(execution: &Execution, kind: PublicationKind, name: &str) -> Result<()> {
    match kind {
        PublicationKind::Close => execution.close_stream(name),
        PublicationKind::Item if execution.is_stream_closed(name) => {
            let message = format!(
                "the stream {name:?} of the workflow {:?} is closed, and its readers have stopped: write before `close_stream`, or to another stream",
                execution.row.id
            );
            return Err(Error::new(ErrorKind::Misuse, message));
        }
        PublicationKind::Item | PublicationKind::Event => {}
    }
    Ok(())
}

/// The value to store. A value that cannot be stored is refused.
fn publication(
    runtime: &Runtime,
    kind: PublicationKind,
    workflow: WorkflowKey,
    position: Position,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<Publication> {
    let what = describe(kind, name);
    check_name("the name", name)?;
    let value = value.map_err(|error| Error::new(ErrorKind::Payload, format!("{what} cannot be written: {error}")))?;
    runtime.check_size(|| what, value.len())?;
    Ok(Publication { key: runtime.keys.next(), workflow, kind, name: name.to_owned(), value, position })
}

fn describe(kind: PublicationKind, name: &str) -> String {
    match kind {
        PublicationKind::Event => format!("the event {name:?}"),
        PublicationKind::Item | PublicationKind::Close => format!("the item of the stream {name:?}"),
    }
}

/// The name of the function that publishes it.
fn function(kind: PublicationKind) -> &'static str {
    match kind {
        PublicationKind::Event => "set_event",
        PublicationKind::Item => "write_stream",
        PublicationKind::Close => "close_stream",
    }
}
