//! Workflows that go on a queue, on their way into the database.

use std::borrow::Cow;

use crate::store::{
    Debounce, Entry, ExistingWorkflow, NewRecord, NewWorkflow, QueuePlacement, StoreError, StoreErrorKind, Verdict,
};
use crate::types::payload::{Outcome, RecordedError};
use crate::types::time::micros;

/// A workflow that goes on a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedRow<'a> {
    pub(super) row: &'a NewWorkflow,
    pub(super) place: &'a QueuePlacement,
}

impl<'a> QueuedRow<'a> {
    pub(super) fn of(row: &'a NewWorkflow) -> Option<Self> {
        Some(Self { row, place: row.placement.as_ref()? })
    }

    /// By what they are sorted in one call.
    pub(super) fn line(&self) -> (&'a str, Option<&'a str>, &'a str, i64) {
        (&self.place.queue, self.place.deduplication_id.as_deref(), &self.row.id, self.row.key)
    }

    pub(super) fn partition(&self) -> &'a str {
        self.place.partition.as_deref().unwrap_or_default()
    }

    /// How long it is DELAYED, if it is.
    pub(super) fn delay(&self) -> Option<i64> {
        match &self.place.debounce {
            Some(debounce) => Some(micros(debounce.period)),
            None => self.place.delay.map(micros).filter(|it| *it > 0),
        }
    }

    pub(super) fn debounce(&self) -> Option<&'a Debounce> {
        self.place.debounce.as_ref()
    }
}

/// What became of a workflow that an entry of the careful path begins.
#[derive(Debug)]
pub(super) enum StartedRow {
    /// It is there.
    Stored,
    /// Another one has its id.
    Existing(ExistingWorkflow),
    /// Another one has its deduplication id.
    Duplicate(ExistingWorkflow),
    /// Another one has its arguments now.
    Debounced(ExistingWorkflow),
}

impl StartedRow {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Stored => Verdict::Stored,
            Self::Existing(held) => Verdict::Existing(held),
            Self::Duplicate(held) => Verdict::Duplicate(held),
            Self::Debounced(held) => Verdict::Debounced(held),
        }
    }
}

/// A posted workflow is for somebody else to run, so it has to wait somewhere.
pub(super) fn nowhere() -> StoreError {
    StoreError::new(StoreErrorKind::Refused, "a workflow that is posted has to have a place on a queue")
}

/// What was in the way is there no more.
pub(super) fn went_away() -> StoreError {
    StoreError::new(StoreErrorKind::Contended, "a workflow went away while another one was enqueued")
}

/// Whether what becomes of the entry's begin changes what is to be stored of the rest of it, so that
/// it cannot go with others in one statement.
pub(super) fn hangs_on_its_begin(entry: &Entry) -> bool {
    let place = entry.start.as_ref().and_then(|it| it.placement.as_ref());
    place.is_some_and(|it| it.debounce.is_some() || it.deduplication_id.is_some() && entry.rows() > 1)
}

/// The record of the start of what the entry begins.
pub(super) fn record_of_the_begin(entry: &Entry) -> Option<&NewRecord> {
    let begin = entry.start.as_ref()?;
    entry.records.iter().find(|it| it.child.as_ref() == Some(&begin.id))
}

/// The record as it is stored: the record of a begin that was debounced names the workflow that waits,
/// and that of one whose id belongs to something else holds the error, for the replay.
pub(super) fn of_whom<'r>(record: &'r NewRecord, entry: &Entry, verdict: &Verdict) -> Cow<'r, NewRecord> {
    match (verdict, &entry.start) {
        (Verdict::Debounced(held), Some(begin)) if record.child.as_ref() == Some(&begin.id) => {
            Cow::Owned(NewRecord { child: Some(held.id.clone()), ..record.clone() })
        }
        (Verdict::Existing(held), Some(begin)) if record.child.as_ref() == Some(&begin.id) => {
            let Some(conflict) = held.conflict(&begin.name, begin.instance.as_deref()) else {
                return Cow::Borrowed(record);
            };
            let outcome = Some(Outcome::Error(RecordedError::from_engine(&conflict).to_text()));
            Cow::Owned(NewRecord { child: None, outcome, ..record.clone() })
        }
        _ => Cow::Borrowed(record),
    }
}

/// The record of a begin that is debounced: where an earlier sending of the call has stored it, it
/// tells whose arguments these became.
pub(super) fn record_of_a_debounce(entry: &Entry) -> Option<&NewRecord> {
    entry.start.as_ref()?.placement.as_ref()?.debounce.as_ref()?;
    record_of_the_begin(entry)
}
