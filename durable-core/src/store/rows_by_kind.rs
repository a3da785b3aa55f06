//! The rows of one call sorted by kind, for the multi-row statements, and whether an existing row
//! counts as the one to write.

use crate::store::enqueue_rows::QueuedRow;
use crate::store::{
    Entry, Fence, Finish, MessageKey, NewMessage, NewRecord, NewWorkflow, Publication, PublicationKind, Record,
    Verdict, WorkflowKey,
};
use crate::types::keys::Epoch;
use crate::types::payload::Outcome;
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// The rows of some entries by kind.
#[derive(Debug, Default)]
pub(super) struct BatchRows<'a> {
    /// Sorted by id: two executors that start the same ids at the same time then lock them in the same
    /// order, and wait for each other instead of dead-locking.
    pub(super) starts: Vec<&'a NewWorkflow>,
    /// The enqueued workflows. Sorted by queue, deduplication id and id, for the same reason.
    pub(super) queued: Vec<QueuedRow<'a>>,
    pub(super) records: Vec<BatchRecord<'a>>,
    /// Sorted by key, like the rows that a cancellation locks.
    pub(super) finishes: Vec<&'a Finish>,
    /// Sorted by receiver and idempotency key, for the same reason as the starts.
    pub(super) messages: Vec<WithEnd<'a, NewMessage>>,
    pub(super) received: Vec<WithEnd<'a, MessageKey>>,
    /// In the order of their keys.
    pub(super) events: Vec<WithEnd<'a, Publication>>,
    /// The same.
    pub(super) items: Vec<WithEnd<'a, Publication>>,
}

/// A record, and whether its entry also ends the execution: then it may only be stored with that end.
#[derive(Debug)]
pub(super) struct BatchRecord<'a> {
    pub(super) record: &'a NewRecord,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite rolls the whole call back instead"))]
    pub(super) ends: bool,
    /// The workflow that the entry starts, if this is the record of that: it is only stored if the
    /// workflow was started.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite rolls the whole call back instead"))]
    pub(super) starts: Option<WorkflowKey>,
}

/// A row of an entry.
#[derive(Debug)]
pub(super) struct WithEnd<'a, T> {
    /// The run that the entry ends, if it ends one: then the row may only be stored with that end.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite rolls the whole call back instead"))]
    pub(super) ends: Option<WorkflowKey>,
    pub(super) row: &'a T,
}

impl<'a> BatchRows<'a> {
    pub(super) fn of(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut rows = Self::default();
        for it in entries {
            let ends = it.finish.as_ref().map(|it| it.workflow);
            match it.start.as_deref().map(|row| (row, QueuedRow::of(row))) {
                Some((_, Some(queued))) => rows.queued.push(queued),
                Some((row, None)) => rows.starts.push(row),
                None => {}
            }
            let of_start = it.start.as_ref();
            rows.records.extend(it.records.iter().map(|record| {
                let start = of_start.filter(|start| record.child.as_ref() == Some(&start.id));
                BatchRecord { record, ends: ends.is_some(), starts: start.map(|it| it.key) }
            }));
            rows.finishes.extend(&it.finish);
            rows.messages.extend(it.messages.iter().map(|row| WithEnd { ends, row }));
            rows.received.extend(it.received.iter().map(|row| WithEnd { ends, row }));
            for row in &it.publications {
                let table = if row.kind == PublicationKind::Event { &mut rows.events } else { &mut rows.items };
                table.push(WithEnd { ends, row });
            }
        }
        rows.starts.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        rows.queued.sort_unstable_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        rows.finishes.sort_by_key(|it| it.workflow);
        let sort_key = |it: &WithEnd<'a, NewMessage>| (&it.row.to, &it.row.idempotency_key, it.row.key);
        rows.messages.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        rows.received.sort_unstable_by_key(|it| *it.row);
        rows.events.sort_by_key(|it| it.row.key);
        rows.items.sort_by_key(|it| it.row.key);
        rows
    }

    /// Whether the entries have messages, events or items of streams.
    pub(super) fn has_messaging(&self) -> bool {
        !(self.messages.is_empty() && self.received.is_empty() && self.events.is_empty() && self.items.is_empty())
    }

    /// Whether some entry cannot be all or nothing inside one multi-row statement, whose parts all see
    /// the database as it was before: an entry that starts one workflow and ends another one, two ends
    /// of one run, an end with records of another run, or a message to a workflow that is started here.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite sends one statement after the other"))]
    pub(super) fn needs_slow_path(&self, entries: &[&Entry]) -> bool {
        let twins = self.finishes.windows(2).any(|it| it[0].workflow == it[1].workflow);
        let starts = |id: &str| {
            self.starts.binary_search_by(|it| it.id.as_str().cmp(id)).is_ok()
                || self.queued.iter().any(|it| it.row.id == id)
        };
        twins
            || self.messages.iter().any(|it| starts(&it.row.to))
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

/// A time plus a duration, in the SQL of both stores; NULL where the duration is NULL. The sum never
/// overflows, whatever the duration: it is at most the end of the calendar.
pub(super) fn add_saturating(time: &str, duration: &str) -> String {
    let latest = Timestamp::LATEST.as_micros();
    format!("case when {duration} > {latest} - {time} then {latest} else {time} + {duration} end")
}

/// Whether the stored record is the one that was to be written. Times and attempts may differ: the
/// execution continues the same way.
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

/// The same verdict for all entries.
pub(super) fn same_for_all(verdict: &Verdict, entries: usize) -> Vec<Verdict> {
    vec![verdict.clone(); entries]
}

/// How many workflows one statement releases, so that it does not take longer than a statement may.
pub(super) const RELEASED_AT_ONCE: u64 = 50_000;

/// How many workflows without a task one heartbeat lists.
pub(super) const MAX_NOT_RUNNING: u32 = 1_000;

/// The reason of a workflow that was recovered too often; the stores insert the number between, and add the id.
pub(super) const TOO_MANY_RECOVERIES: [&str; 3] = [
    "recovered ",
    " times without coming to an end (max_recoveries = ",
    "); it may crash the process each time; once that is mended: `durable resume ",
];

impl Fence {
    /// The epoch of an executor that has just been registered.
    pub(crate) const FIRST_EPOCH: Epoch = Epoch::new(1);
}

/// Keys as the database has them.
pub(super) fn numbers<K: Copy + Into<i64>>(keys: &[K]) -> Vec<i64> {
    keys.iter().map(|it| (*it).into()).collect()
}

/// How many delayed workflows one call makes ENQUEUED, so that no transaction grows without bounds.
pub(super) const PROMOTED_AT_ONCE: i64 = 1_000;

/// How long it is remembered which partition key of a priority was served last (microseconds): longer than a queue stays
/// empty while it is in use.
pub(super) const TURNS_REMEMBERED: i64 = 3_600_000_000;

/// How many priorities a claim goes through before it goes through all partition keys.
pub(super) const PRIORITIES_IN_TURNS: u32 = 32;

/// How many of the starts that leave their window next are looked at for the time of the next start.
pub(super) const WINDOWS_LOOKED_AT: u32 = 50;

/// The terminal statuses, as SQL lists them.
pub(super) const TERMINAL: &str = "('SUCCESS', 'ERROR', 'CANCELLED')";

/// What the value column of a stream holds: NULL for its end.
pub(super) fn value_of(it: &Publication) -> Option<&str> {
    (it.kind != PublicationKind::Close).then_some(it.value.as_str())
}
