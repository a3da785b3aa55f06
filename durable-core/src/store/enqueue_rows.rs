//! Rows of workflows that are enqueued, for the statements of both stores.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::store::{
    Debounce, EnqueueOutcome, Entry, ExistingWorkflow, NewRecord, NewWorkflow, QueuePlacement, StoreError,
    StoreErrorKind, Verdict, WorkflowKey,
};
use crate::types::payload::{Outcome, RecordedError};
use crate::types::time::micros;

/// A workflow that is enqueued.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedRow<'a> {
    pub(super) row: &'a NewWorkflow,
    pub(super) placement: &'a QueuePlacement,
}

impl<'a> QueuedRow<'a> {
    pub(super) fn of(row: &'a NewWorkflow) -> Option<Self> {
        Some(Self { row, placement: row.placement.as_ref()? })
    }

    /// The order of the rows of one call.
    pub(super) fn sort_key(&self) -> (&'a str, Option<&'a str>, &'a str, WorkflowKey) {
        (&self.placement.queue, self.placement.deduplication_id.as_deref(), &self.row.id, self.row.key)
    }

    /// How long it is DELAYED, if it is.
    pub(super) fn delay(&self) -> Option<i64> {
        match &self.placement.debounce {
            Some(debounce) => Some(micros(debounce.period)),
            None => self.placement.delay.map(micros).filter(|it| *it > 0),
        }
    }

    pub(super) fn debounce(&self) -> Option<&'a Debounce> {
        self.placement.debounce.as_ref()
    }
}

/// The result of a start in a commit row by row.
#[derive(Debug)]
pub(super) enum StartedRow {
    /// It was written.
    Stored,
    /// Another workflow has its id.
    Existing(ExistingWorkflow),
    /// Another workflow has its deduplication id.
    Duplicate(ExistingWorkflow),
    /// A debounced workflow was given its arguments.
    Debounced(ExistingWorkflow),
}

impl StartedRow {
    /// The result of a start within a user's transaction.
    pub(super) fn outcome(self) -> EnqueueOutcome {
        match self {
            Self::Stored => EnqueueOutcome::Posted,
            Self::Existing(existing) | Self::Duplicate(existing) | Self::Debounced(existing) => {
                EnqueueOutcome::Existing(existing)
            }
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Stored => Verdict::Stored,
            Self::Existing(existing) => Verdict::Existing(existing),
            Self::Duplicate(existing) => Verdict::Duplicate(existing),
            Self::Debounced(existing) => Verdict::Debounced(existing),
        }
    }
}

/// For each entry, whether it starts a workflow with the id, the deduplication id or the debounce key of
/// an earlier one of the same call. Those are committed row by row, so that the first call wins.
pub(super) fn repeats_a_start<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> impl Iterator<Item = bool> {
    let (mut ids, mut deduplicated, mut debounced) = (HashSet::new(), HashSet::new(), HashSet::new());
    entries.into_iter().map(move |entry| {
        let Some(start) = &entry.start else { return false };
        let mut repeats = !ids.insert(&start.id);
        if let Some(placement) = &start.placement {
            repeats |=
                placement.deduplication_id.as_ref().is_some_and(|id| !deduplicated.insert((&placement.queue, id)));
            repeats |= placement
                .debounce
                .as_ref()
                .is_some_and(|it| !debounced.insert((&start.name, &start.instance, &it.key)));
        }
        repeats
    })
}

/// The error for a workflow without a queue: one that is enqueued within a user's transaction needs one.
pub(super) fn without_queue() -> StoreError {
    StoreError::new(StoreErrorKind::Refused, "a workflow that is started within a transaction needs a queue")
}

/// The error for a workflow without a partition key on a queue that asks for one.
pub(super) fn without_partition(workflow: &NewWorkflow, queue: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Refused,
        format_args!(
            "the queue {queue:?} is partitioned, and the workflow {:?} has no partition key: add `.partition(key)`",
            workflow.id
        ),
    )
}

/// The workflow that prevented a start was deleted before it was looked up: trying again succeeds.
pub(super) fn disappeared() -> StoreError {
    StoreError::new(StoreErrorKind::Contended, "a workflow was deleted while another one was started")
}

/// Whether the rest of the entry depends on the result of its start, so that it cannot be written in one
/// statement with others.
pub(super) fn depends_on_start(entry: &Entry) -> bool {
    let placement = entry.start.as_ref().and_then(|it| it.placement.as_ref());
    placement.is_some_and(|it| it.debounce.is_some() || it.deduplication_id.is_some() && entry.rows() > 1)
}

/// The record of the entry's start.
pub(super) fn start_record(entry: &Entry) -> Option<&NewRecord> {
    let start = entry.start.as_ref()?;
    entry.records.iter().find(|it| it.child.as_ref() == Some(&start.id))
}

/// The record as it is stored: the record of a debounced start names the DELAYED workflow, and that of a
/// start whose id belongs to another workflow holds the error, for the replay.
pub(super) fn effective_record<'r>(record: &'r NewRecord, entry: &Entry, verdict: &Verdict) -> Cow<'r, NewRecord> {
    match (verdict, &entry.start) {
        (Verdict::Debounced(existing), Some(start)) if record.child.as_ref() == Some(&start.id) => {
            Cow::Owned(NewRecord { child: Some(existing.id.clone()), ..record.clone() })
        }
        (Verdict::Existing(existing), Some(start)) if record.child.as_ref() == Some(&start.id) => {
            let Some(conflict) = existing.conflict(&start.name, start.instance.as_deref()) else {
                return Cow::Borrowed(record);
            };
            let outcome = Some(Outcome::Error(RecordedError::from_engine(&conflict).to_text()));
            Cow::Owned(NewRecord { child: None, outcome, ..record.clone() })
        }
        _ => Cow::Borrowed(record),
    }
}

/// The record of a debounced start: where an earlier sending of the call has stored it, it names the
/// workflow that these arguments were given to.
pub(super) fn debounce_record(entry: &Entry) -> Option<&NewRecord> {
    entry.start.as_ref()?.placement.as_ref()?.debounce.as_ref()?;
    start_record(entry)
}
