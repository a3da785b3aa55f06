//! Texts with a NUL character. Postgres refuses them; SQLite would store them and cut them off in some
//! functions, so this store refuses them too. Otherwise a program that moves to Postgres would find out
//! too late.

use crate::store::rows_by_kind::{error_of, output_of};
use crate::store::{Entry, Finish, NewMessage, NewRecord, NewWorkflow, Publication, StoreError, StoreErrorKind};

/// Refuses a message as [`refuse_nul`] does.
pub(super) fn refuse_nul_in_message(message: &NewMessage) -> Result<(), StoreError> {
    let texts = [Some(&message.to), Some(&message.topic), Some(&message.payload), message.idempotency_key.as_ref()];
    if texts.into_iter().flatten().any(|it| has_nul(it)) { Err(nul()) } else { Ok(()) }
}

/// Refuses a workflow as [`refuse_nul`] does.
pub(super) fn refuse_nul_in_workflow(it: &NewWorkflow) -> Result<(), StoreError> {
    let own = [Some(&it.id), Some(&it.name), it.version.as_ref(), Some(&it.input), it.instance.as_ref()];
    let placement = it.placement.as_ref().map(|it| {
        let debounce = it.debounce.as_ref().map(|it| &it.key);
        [Some(&it.queue), it.partition.as_ref(), it.deduplication_id.as_ref(), debounce]
    });
    let mut texts = own.into_iter().chain(placement.into_iter().flatten()).flatten();
    if texts.any(|it| has_nul(it)) { Err(nul()) } else { Ok(()) }
}

/// Refuses entries with such a text.
pub(super) fn refuse_nul(entries: &[Entry]) -> Result<(), StoreError> {
    let record = |it: &NewRecord| {
        let texts = [Some(&*it.position.branch), Some(it.kind), Some(&*it.name), it.child.as_deref()];
        let outcome = [output_of(it.outcome.as_ref()), error_of(it.outcome.as_ref())];
        texts.into_iter().chain(outcome).flatten().any(has_nul)
    };
    let finish = |it: &Finish| {
        let texts = [output_of(it.outcome.as_ref()), error_of(it.outcome.as_ref()), it.reason.as_deref()];
        texts.into_iter().flatten().any(has_nul)
    };
    for entry in entries {
        entry.start.as_deref().map_or(Ok(()), refuse_nul_in_workflow)?;
        if entry.records.iter().any(record) || entry.finish.as_ref().is_some_and(finish) {
            return Err(nul());
        }
        entry.messages.iter().try_for_each(refuse_nul_in_message)?;
        let publication = |it: &Publication| [&*it.position.branch, &it.name, &it.value].into_iter().any(has_nul);
        if entry.publications.iter().any(publication) {
            return Err(nul());
        }
    }
    Ok(())
}

fn nul() -> StoreError {
    StoreError::new(StoreErrorKind::Refused, "a text with a NUL character in it cannot be stored")
}

fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}
