//! The rows of one call sorted by kind, as the multi-row statements want them, and when a row that
//! is there already counts as the one that was to be written.

use std::collections::HashSet;

use super::{Entry, Fence, Finish, NewRecord, NewWorkflow, Record, RunRow, Verdict};
use crate::words::payload::Outcome;
use crate::words::status::Status;

/// The rows of some entries by kind.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// Sorted by id: two executors that start the same ids at once then meet in the same order, and
    /// wait for each other instead of dead-locking.
    pub(super) begins: Vec<&'a NewWorkflow>,
    pub(super) records: Vec<PartRecord<'a>>,
    pub(super) finishes: Vec<&'a Finish>,
}

/// A record, and whether its entry also ends the execution: then it may only be stored with that end.
#[derive(Debug)]
pub(super) struct PartRecord<'a> {
    pub(super) record: &'a NewRecord,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite takes the whole call back instead"))]
    pub(super) ends: bool,
}

impl<'a> Parts<'a> {
    pub(super) fn of(entries: &'a [Entry]) -> Self {
        let mut parts = Self::default();
        for entry in entries {
            let ends = entry.finish.is_some();
            parts.begins.extend(&entry.begin);
            parts.records.extend(entry.records.iter().map(|record| PartRecord { record, ends }));
            parts.finishes.extend(&entry.finish);
        }
        parts.begins.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        parts
    }

    /// Whether some entry cannot be all or nothing inside one multi-row statement, where every part
    /// sees the database as it was before: an entry that begins one workflow and ends another one,
    /// two ends of one run, or an end with records of another run.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite has statement after statement"))]
    pub(super) fn need_care(&self, entries: &[Entry]) -> bool {
        let mut ended = HashSet::with_capacity(self.finishes.len());
        let twins = self.finishes.iter().any(|it| !ended.insert(it.workflow));
        twins
            || entries.iter().any(|entry| {
                entry.finish.as_ref().is_some_and(|finish| {
                    entry.begin.is_some() || entry.records.iter().any(|it| it.workflow != finish.workflow)
                })
            })
    }
}

/// The output column of an outcome.
pub(super) fn output_of(outcome: Option<&Outcome>) -> Option<&str> {
    match outcome {
        Some(Outcome::Output(text)) => Some(text),
        _ => None,
    }
}

/// The error column of an outcome.
pub(super) fn error_of(outcome: Option<&Outcome>) -> Option<&str> {
    match outcome {
        Some(Outcome::Error(text)) => Some(text),
        _ => None,
    }
}

/// Micros of a duration, for the columns of times.
pub(super) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Whether the stored record is the one that was to be written. Times and attempts may differ: the
/// execution goes on the same way.
pub(super) fn is_same_record(stored: &Record, new: &NewRecord) -> bool {
    stored.name == new.name && stored.kind == new.kind && stored.child == new.child && stored.outcome == new.outcome
}

/// What is stored of the end of a run.
#[derive(Debug)]
pub(super) struct StoredEnd {
    pub(super) status: Status,
    pub(super) attempt: i32,
    pub(super) outcome: Option<Outcome>,
}

/// Whether the stored end is the one that was to be written.
pub(super) fn is_same_end(stored: &StoredEnd, new: &Finish) -> bool {
    stored.status == new.status && stored.attempt == new.attempt && stored.outcome == new.outcome
}

/// The same verdict for everybody.
pub(super) fn all(verdict: &Verdict, entries: usize) -> Vec<Verdict> {
    vec![verdict.clone(); entries]
}

/// The adopted rows, oldest first, whatever order the database gave them in.
pub(super) fn oldest_first(mut runs: Vec<RunRow>) -> Vec<RunRow> {
    runs.sort_unstable_by_key(|it| it.key);
    runs
}

/// The reason of a workflow that was recovered too often; the stores put the number in.
pub(super) const TOO_MANY_RECOVERIES: [&str; 3] = [
    "recovered ",
    " times without coming to an end (max_recoveries = ",
    "); it may crash the process each time. Resume it when the cause is mended",
];

impl Fence {
    /// The epoch of an executor that has just signed on.
    pub(super) const FIRST_EPOCH: i64 = 1;
}
