//! The rows of one call sorted by kind, as the multi-row statements want them, and when a row that
//! is there already counts as the one that was to be written.

use crate::store::enqueue_rows::QueuedRow;
use crate::store::{
    Entry, Fence, Finish, NewMessage, NewRecord, NewWorkflow, Publication, PublicationKind, Record, RunRow, Verdict,
};
use crate::types::payload::Outcome;
use crate::types::status::Status;
use crate::types::time::LATEST;

/// The rows of some entries by kind.
#[derive(Debug, Default)]
pub(super) struct BatchRows<'a> {
    /// Sorted by id: two executors that start the same ids at once then meet in the same order, and
    /// wait for each other instead of dead-locking.
    pub(super) begins: Vec<&'a NewWorkflow>,
    /// The ones that go on a queue. Sorted by queue, deduplication id and id, for the same reason.
    pub(super) queued: Vec<QueuedRow<'a>>,
    pub(super) records: Vec<BatchRecord<'a>>,
    /// Sorted by key, like the rows that a cancellation locks.
    pub(super) finishes: Vec<&'a Finish>,
    /// Sorted by receiver and idempotency key, for the same reason as the begins.
    pub(super) messages: Vec<WithEnd<'a, NewMessage>>,
    pub(super) received: Vec<WithEnd<'a, i64>>,
    /// In the order of their keys, which is that in which they count.
    pub(super) events: Vec<WithEnd<'a, Publication>>,
    /// The same.
    pub(super) items: Vec<WithEnd<'a, Publication>>,
}

/// A record, and whether its entry also ends the execution: then it may only be stored with that end.
#[derive(Debug)]
pub(super) struct BatchRecord<'a> {
    pub(super) record: &'a NewRecord,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite takes the whole call back instead"))]
    pub(super) ends: bool,
    /// The workflow that the entry begins, if this is the record of that: what is recorded depends on
    /// whether it was begun.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite takes the whole call back instead"))]
    pub(super) begins: Option<i64>,
}

/// A row of an entry.
#[derive(Debug)]
pub(super) struct WithEnd<'a, T> {
    /// The run that the entry ends, if it ends one: then the row may only be stored with that end.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite takes the whole call back instead"))]
    pub(super) ends: Option<i64>,
    pub(super) row: &'a T,
}

impl<'a> BatchRows<'a> {
    pub(super) fn of(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut parts = Self::default();
        for it in entries {
            let ends = it.finish.as_ref().map(|it| it.workflow);
            match it.start.as_ref().map(|row| (row, QueuedRow::of(row))) {
                Some((_, Some(queued))) => parts.queued.push(queued),
                Some((row, None)) => parts.begins.push(row),
                None => {}
            }
            let of_begin = it.start.as_ref();
            parts.records.extend(it.records.iter().map(|record| {
                let begin = of_begin.filter(|begin| record.child.as_ref() == Some(&begin.id));
                BatchRecord { record, ends: ends.is_some(), begins: begin.map(|it| it.key) }
            }));
            parts.finishes.extend(&it.finish);
            parts.messages.extend(it.messages.iter().map(|row| WithEnd { ends, row }));
            parts.received.extend(it.received.iter().map(|row| WithEnd { ends, row }));
            for row in &it.publications {
                let table = if row.kind == PublicationKind::Event { &mut parts.events } else { &mut parts.items };
                table.push(WithEnd { ends, row });
            }
        }
        parts.begins.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        parts.queued.sort_unstable_by(|a, b| a.line().cmp(&b.line()));
        parts.finishes.sort_by_key(|it| it.workflow);
        let place = |it: &WithEnd<'a, NewMessage>| (&it.row.to, &it.row.idempotency_key, it.row.key);
        parts.messages.sort_by(|a, b| place(a).cmp(&place(b)));
        parts.received.sort_unstable_by_key(|it| *it.row);
        parts.events.sort_by_key(|it| it.row.key);
        parts.items.sort_by_key(|it| it.row.key);
        parts
    }

    /// Whether something is said in these entries.
    pub(super) fn talks(&self) -> bool {
        !(self.messages.is_empty() && self.received.is_empty() && self.events.is_empty() && self.items.is_empty())
    }

    /// Whether some entry cannot be all or nothing inside one multi-row statement, where every part
    /// sees the database as it was before: an entry that begins one workflow and ends another one,
    /// two ends of one run, an end with records of another run, or a message to a workflow that is
    /// only begun here.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite has statement after statement"))]
    pub(super) fn need_care(&self, entries: &[&Entry]) -> bool {
        let twins = self.finishes.windows(2).any(|it| it[0].workflow == it[1].workflow);
        let begun = |id: &str| {
            self.begins.binary_search_by(|it| it.id.as_str().cmp(id)).is_ok()
                || self.queued.iter().any(|it| it.row.id == id)
        };
        twins
            || self.messages.iter().any(|it| begun(&it.row.to))
            || entries.iter().any(|entry| {
                entry.finish.as_ref().is_some_and(|finish| {
                    entry.start.is_some() || entry.records.iter().any(|it| it.workflow != finish.workflow)
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

/// The time that is a duration after another one, in the SQL of both stores; nothing where the
/// duration is nothing. It overflows for no duration, whoever has written it, and ends where the calendar does.
pub(super) fn later(time: &str, duration: &str) -> String {
    format!("case when {duration} > {LATEST} - {time} then {LATEST} else {time} + {duration} end")
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

/// How many delayed workflows one call makes ENQUEUED, so that no transaction grows without bounds.
pub(super) const PROMOTED_AT_ONCE: i64 = 1_000;

/// The statuses that nothing changes any more, as SQL lists them.
pub(super) const TERMINAL: &str = "('SUCCESS', 'ERROR', 'CANCELLED')";

/// What the value column of a stream holds: nothing for its end.
pub(super) fn value_of(it: &Publication) -> Option<&str> {
    (it.kind != PublicationKind::Close).then_some(it.value.as_str())
}
