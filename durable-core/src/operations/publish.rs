//! What events and streams have in common: a value that a workflow shows to everybody.

use std::sync::Arc;

use crate::journal::checkpoint::{Done, Operation};
use crate::journal::context::{Claim, Place, StepScope};
use crate::runtime::Runtime;
use crate::store::{Emission, EmissionKind, Entry, Verdict};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_name;
use crate::types::payload::PayloadError;
use crate::types::position::Position;

use crate::operations::caller_errors::{SHOWN_AGAIN, Unwritten};

/// Shows a value where the call was made.
pub(super) async fn emit(
    place: &Place,
    kind: EmissionKind,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<()> {
    match place {
        Place::Body(claim) => in_body(claim, kind, name, value).await,
        Place::Step(scope) => in_step(scope, kind, name, value).await,
        Place::Transaction(scope) => Err(scope.refusal(&format!("`durable::{}`", function(kind)))),
        Place::Outside => {
            let function = function(kind);
            let message = format!(
                "`durable::{function}` was called outside any workflow, and what it writes belongs to one: call it in the body of a #[workflow] or in one of its steps"
            );
            Err(Error::new(ErrorKind::Misuse, message))
        }
    }
}

/// In a body it is recorded, and goes with the next commit: it is no side effect of the outside world.
async fn in_body(claim: &Claim, kind: EmissionKind, name: &str, value: Result<String, PayloadError>) -> Result<()> {
    claim.check_home(function(kind)).await;
    let operation = match kind {
        EmissionKind::Event => Operation::set_event(name),
        EmissionKind::Item | EmissionKind::Close => Operation { kind: function(kind), name },
    };
    if claim.replayed(operation).await.is_some() {
        return Ok(());
    }
    claim.open().await;
    let execution = &claim.execution;
    let (workflow, position) = (execution.row.key, claim.position.clone());
    let emission = emission(&execution.runtime, kind, workflow, position, name, value)?;
    let record = claim.record(operation, Done { attempts: 1, ..Done::default() });
    execution.emit(record, emission);
    Ok(())
}

/// In a step there is nothing to record, and nothing to wait for its durability later: it is written now.
async fn in_step(
    scope: &Arc<StepScope>,
    kind: EmissionKind,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<()> {
    let execution = &scope.execution;
    let (workflow, position) = (execution.row.key, scope.position.clone());
    let emission = emission(&execution.runtime, kind, workflow, position, name, value)?;
    let what = format!("{} of the workflow {:?}", shown(kind, name), execution.row.id);
    let unwritten = Unwritten { runtime: &execution.runtime, what: &what, in_doubt: SHOWN_AGAIN };
    let entry = Entry { emissions: vec![emission], ..Entry::default() };
    match execution.runtime.write(execution.fence, entry, Some(&execution.row.id)).await {
        Ok(Verdict::Stored | Verdict::Existing(_)) => Ok(()),
        Ok(_) => Err(unwritten.deposed()),
        Err(error) => Err(unwritten.because(&error)),
    }
}

/// What is to be stored; refuses what cannot be.
fn emission(
    runtime: &Runtime,
    kind: EmissionKind,
    workflow: i64,
    position: Position,
    name: &str,
    value: Result<String, PayloadError>,
) -> Result<Emission> {
    let what = shown(kind, name);
    check_name("the name", name)?;
    let value = value.map_err(|fault| Error::new(ErrorKind::Payload, format!("{what} cannot be written: {fault}")))?;
    runtime.check_size(|| what, value.len())?;
    Ok(Emission { key: runtime.keys.next(), workflow, kind, name: name.to_owned(), value, position })
}

fn shown(kind: EmissionKind, name: &str) -> String {
    match kind {
        EmissionKind::Event => format!("the event {name:?}"),
        EmissionKind::Item | EmissionKind::Close => format!("the item of the stream {name:?}"),
    }
}

/// The name of the function that shows it.
fn function(kind: EmissionKind) -> &'static str {
    match kind {
        EmissionKind::Event => "set_event",
        EmissionKind::Item => "write_stream",
        EmissionKind::Close => "close_stream",
    }
}
